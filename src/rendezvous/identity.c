#include "rendezvous/identity.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "env.h"
#include "error.h"
#include "hash.h"
#include "rendezvous/seal.h"

#define MAGIC UINT64_C(0x31304f53494e55) /* "UNISO01" */
#define SEED_NAME UINT64_C(0xcbf29ce484222325)
enum { FIRST_PORT = 20000, MANY_PORTS = 12000 };

static unisono_status here(uint64_t *machine, uint64_t *network) {
  char boot[64];
  int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, boot, sizeof boot);
  if (fd >= 0)
    close(fd);
  struct stat info;
  if (n <= 0 || stat("/proc/self/ns/net", &info) != 0)
    return uni_fail_errno("reading the machine's boot id and network namespace under /proc");
  *machine = uni_hash(boot, (size_t)n, SEED_NAME);
  *network = (uint64_t)info.st_ino;
  return UNISONO_OK;
}

unisono_status uni_identity_new(struct uni_identity *identity) {
  memset(identity, 0, sizeof *identity);
  identity->magic = MAGIC;
  uint64_t random[4];
  if (getrandom(random, sizeof random, 0) != sizeof random)
    return uni_fail_errno("getrandom for the unique id");
  memcpy(identity->name, random, sizeof identity->name);
  memcpy(identity->secret, random + 2, sizeof identity->secret);
  unisono_status status = uni_addresses_here(&identity->addresses);
  if (!status)
    status = uni_identity_choose_ports(identity);
  identity->via = identity->addresses.n ? UNI_VIA_BOTH : UNI_VIA_MACHINE;
  return status ? status : here(&identity->machine, &identity->network);
}

unisono_status uni_identity_choose_ports(struct uni_identity *identity) {
  static const char *const names[] = {"UNISONO_PORT", NULL};
  int port;
  bool found;
  unisono_status status = uni_env_number(names, &port, &found);
  if (status)
    return status;
  if (found && (port < 1 || port > UINT16_MAX))
    return uni_fail(UNISONO_ERROR_INVALID, "UNISONO_PORT=%d is no port; use 1 to 65535", port);
  uint16_t *ports = identity->addresses.ports;
  memset(ports, 0, sizeof identity->addresses.ports);
  if (found)
    ports[0] = (uint16_t)port;
  for (uint64_t i = 0; !found && i < UNI_PORTS; i++) /* below those that systems give out by themselves */
    ports[i] = (uint16_t)(FIRST_PORT + uni_hash(&i, sizeof i, identity->name[0]) % MANY_PORTS);
  return UNISONO_OK;
}

unisono_status uni_identity_derive(const char *words, const char *secret, struct uni_identity *identity) {
  memset(identity, 0, sizeof *identity);
  identity->magic = MAGIC;
  size_t n = strlen(words);
  for (unsigned i = 0; i < 2; i++)
    identity->name[i] = uni_hash(words, n, SEED_NAME + i);
  if (secret && *secret)
    uni_seal_hash(identity->secret, sizeof identity->secret, (struct uni_bytes){NULL, 0},
                  &(struct uni_bytes){secret, strlen(secret)}, 1);
  return here(&identity->machine, &identity->network);
}

void uni_identity_pack(const struct uni_identity *identity, unisono_unique_id *id) {
  _Static_assert(sizeof *identity <= sizeof *id, "an identity must fit into a unique id");
  memset(id, 0, sizeof *id);
  memcpy(id, identity, sizeof *identity);
}

unisono_status uni_identity_unpack(const unisono_unique_id *id, struct uni_identity *identity) {
  if (!id)
    return uni_fail(UNISONO_ERROR_INVALID, "id is NULL; give the one from unisono_get_unique_id");
  memcpy(identity, id, sizeof *identity);
  if (identity->magic != MAGIC)
    return uni_fail(UNISONO_ERROR_INVALID, "id does not come from unisono_get_unique_id of this version");
  return UNISONO_OK;
}

unisono_status uni_identity_is_near(const struct uni_identity *identity, bool *near) {
  uint64_t machine, network;
  unisono_status status = here(&machine, &network);
  *near = !status && machine == identity->machine && network == identity->network;
  return status;
}

unisono_status uni_identity_place(uint64_t *kernel, uint64_t *place) {
  uint64_t key[2] = {0};
  unisono_status status = here(&key[0], &key[1]);
  *kernel = key[0];
  *place = uni_hash(key, sizeof key, SEED_NAME);
  return status;
}

void uni_identity_key(const struct uni_identity *identity, unsigned char *key, size_t bytes) {
  uni_seal_hash(key, bytes, (struct uni_bytes){identity->secret, sizeof identity->secret},
                &(struct uni_bytes){identity->name, sizeof identity->name}, 1);
}

unisono_status uni_identity_of_machine(const unsigned char *session, size_t bytes, int machine,
                                       struct uni_identity *identity) {
  unsigned char hash[sizeof identity->name + sizeof identity->secret];
  memset(identity, 0, sizeof *identity);
  identity->magic = MAGIC;
  uni_seal_hash(hash, sizeof hash, (struct uni_bytes){session, bytes},
                &(struct uni_bytes){&machine, sizeof machine}, 1);
  memcpy(identity->name, hash, sizeof identity->name);
  memcpy(identity->secret, hash + sizeof identity->name, sizeof identity->secret);
  return here(&identity->machine, &identity->network);
}

/* A unique id serves one communicator: the pairs (id, rank) that this process has used. */
static pthread_mutex_t used_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t *used;
static size_t used_count;

bool uni_identity_use_once(const struct uni_identity *identity, int rank) {
  uint64_t key = uni_hash(identity->name, sizeof identity->name, SEED_NAME);
  key = uni_hash(&rank, sizeof rank, key);
  pthread_mutex_lock(&used_lock);
  bool fresh = true;
  for (size_t i = 0; i < used_count && fresh; i++)
    fresh = used[i] != key;
  if (fresh && (used_count & (used_count - 1)) == 0) { /* full at every power of two: double it */
    uint64_t *grown = realloc(used, (used_count ? 2 * used_count : 1) * sizeof *used);
    if (grown)
      used = grown;
    else
      used_count = used_count ? used_count - 1 : 0; /* forget one: only the check for reuse gets weaker */
  }
  if (fresh && used)
    used[used_count++] = key;
  pthread_mutex_unlock(&used_lock);
  return fresh;
}
