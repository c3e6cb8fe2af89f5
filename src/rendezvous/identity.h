/* What makes a meeting: the id behind unisono_unique_id, and where a process is. */
#ifndef UNI_RENDEZVOUS_IDENTITY_H
#define UNI_RENDEZVOUS_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "unisono.h"

struct uni_identity {
  uint64_t magic;
  uint64_t name[2];   /* of the abstract socket that rank 0 listens on; others on the machine can read it */
  uint64_t secret[2]; /* proves that a rank was given the id */
  uint64_t machine;   /* hash of the boot id */
  uint64_t network;   /* the network namespace's inode: abstract sockets are seen inside one only */
};

/* A fresh one, with the place of the caller. */
unisono_status uni_identity_new(struct uni_identity *identity);

/* One that all who were started together derive from the same words (a launcher's address and port); `secret`
 * may be NULL. */
unisono_status uni_identity_derive(const char *words, const char *secret, struct uni_identity *identity);

void uni_identity_pack(const struct uni_identity *identity, unisono_unique_id *id);
unisono_status uni_identity_unpack(const unisono_unique_id *id, struct uni_identity *identity);

/* UNSUPPORTED, with words, unless the id was made on this machine and in this network namespace. */
unisono_status uni_identity_check_place(const struct uni_identity *identity);

/* False when this process has used it for this rank before. */
bool uni_identity_use_once(const struct uni_identity *identity, int rank);

uint64_t uni_hash(const void *bytes, size_t n, uint64_t seed); /* FNV-1a */

#endif
