/* The cryptography of connections between machines, all of it libsodium's. Built without it
 * (UNISONO_MACHINES=OFF) the ranks of one machine meet as ever, and those of others cannot come. */
#ifndef UNI_RENDEZVOUS_SEAL_H
#define UNI_RENDEZVOUS_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unisono.h"

enum { UNI_SEAL_KEY = 32, UNI_SEAL_BYTES = 16 /* what a seal adds */ };

/* Before all else. UNSUPPORTED: built without. */
unisono_status uni_seal_start(void);

void uni_seal_random(void *bytes, size_t n);
void uni_seal_forget(void *bytes, size_t n); /* overwrites them, whatever the compiler thinks */

struct uni_bytes {
  const void *at;
  size_t n;
};

/* A hash of `n` bytes, at least 16, of all parts (BLAKE2b); with a key, which may be {NULL, 0}. */
void uni_seal_hash(void *hash, size_t n, struct uni_bytes key, const struct uni_bytes *parts, size_t count);

/* Seals `bytes` in place, with room for UNI_SEAL_BYTES more (XSalsa20, Poly1305). A key's numbers are used
 * once. */
void uni_seal_close(unsigned char *text, size_t bytes, uint64_t number,
                    const unsigned char key[UNI_SEAL_KEY]);

/* Undoes it, for `bytes` with the seal; false: somebody else wrote them. */
bool uni_seal_open(unsigned char *text, size_t bytes, uint64_t number, const unsigned char key[UNI_SEAL_KEY]);

#endif
