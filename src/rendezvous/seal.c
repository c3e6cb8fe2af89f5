#include "rendezvous/seal.h"

#include <string.h>

#include "error.h"
#include "hash.h"
#include "rendezvous/identity.h"

#ifdef UNISONO_SODIUM
#include <sodium.h>

_Static_assert(UNI_SEAL_KEY == crypto_secretbox_KEYBYTES && UNI_SEAL_BYTES == crypto_secretbox_MACBYTES,
               "the sizes are libsodium's");

unisono_status uni_seal_start(void) {
  return sodium_init() < 0 ? uni_fail(UNISONO_ERROR_SYSTEM, "libsodium finds no random numbers") : UNISONO_OK;
}

void uni_seal_random(void *bytes, size_t n) {
  randombytes_buf(bytes, n);
}

void uni_seal_forget(void *bytes, size_t n) {
  sodium_memzero(bytes, n);
}

void uni_seal_hash(void *hash, size_t n, struct uni_bytes key, const struct uni_bytes *parts, size_t count) {
  crypto_generichash_state state;
  crypto_generichash_init(&state, key.at, key.n, n);
  for (size_t i = 0; i < count; i++)
    crypto_generichash_update(&state, parts[i].at, parts[i].n);
  crypto_generichash_final(&state, hash, n);
}

static void nonce_of(uint64_t number, unsigned char nonce[crypto_secretbox_NONCEBYTES]) {
  memset(nonce, 0, crypto_secretbox_NONCEBYTES);
  memcpy(nonce, &number, sizeof number);
}

void uni_seal_close(unsigned char *text, size_t bytes, uint64_t number,
                    const unsigned char key[UNI_SEAL_KEY]) {
  unsigned char nonce[crypto_secretbox_NONCEBYTES];
  nonce_of(number, nonce);
  crypto_secretbox_easy(text, text, bytes, nonce, key);
}

bool uni_seal_open(unsigned char *text, size_t bytes, uint64_t number,
                   const unsigned char key[UNI_SEAL_KEY]) {
  unsigned char nonce[crypto_secretbox_NONCEBYTES];
  nonce_of(number, nonce);
  return crypto_secretbox_open_easy(text, text, bytes, nonce, key) == 0;
}

#else

unisono_status uni_seal_start(void) {
  return uni_fail(UNISONO_ERROR_UNSUPPORTED, "this build is for one machine (UNISONO_MACHINES=OFF); ranks of "
                                             "several need one with libsodium");
}

void uni_seal_random(void *bytes, size_t n) {
  memset(bytes, 0, n); /* not reached */
}

void uni_seal_forget(void *bytes, size_t n) {
  memset(bytes, 0, n);
}

/* For ranks of one machine and user, who could read each other's memory. */
void uni_seal_hash(void *hash, size_t n, struct uni_bytes key, const struct uni_bytes *parts, size_t count) {
  for (size_t at = 0; at < n; at += sizeof(uint64_t)) {
    uint64_t word = uni_hash(key.at, key.n, UINT64_C(0xcbf29ce484222325) + at);
    for (size_t i = 0; i < count; i++)
      word = uni_hash(parts[i].at, parts[i].n, word);
    memcpy((char *)hash + at, &word, n - at < sizeof word ? n - at : sizeof word);
  }
}

void uni_seal_close(unsigned char *text, size_t bytes, uint64_t number,
                    const unsigned char key[UNI_SEAL_KEY]) {
  (void)text, (void)bytes, (void)number, (void)key; /* not reached: there are no connections */
}

bool uni_seal_open(unsigned char *text, size_t bytes, uint64_t number,
                   const unsigned char key[UNI_SEAL_KEY]) {
  (void)text, (void)bytes, (void)number, (void)key;
  return false;
}
#endif
