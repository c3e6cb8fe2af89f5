/* What makes a meeting: the id behind unisono_unique_id, and where a process is. */
#ifndef UNI_RENDEZVOUS_IDENTITY_H
#define UNI_RENDEZVOUS_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "rendezvous/address.h"
#include "unisono.h"

/* The ways to rank 0. */
enum uni_via { UNI_VIA_MACHINE, UNI_VIA_NETWORK, UNI_VIA_BOTH };

struct uni_identity {
  uint64_t magic;
  uint64_t name[2];   /* of the abstract socket that rank 0 listens on; others on the machine can read it */
  uint64_t secret[2]; /* proves that a rank was given the id */
  uint64_t machine;   /* hash of the boot id */
  uint64_t network;   /* the network namespace's inode: abstract sockets are seen inside one only */
  struct uni_addresses addresses; /* where rank 0 listens for other machines; none: nowhere */
  uint32_t via;                   /* enum uni_via */
};

/* A fresh one, with the place of the caller. */
unisono_status uni_identity_new(struct uni_identity *identity);

/* One that all who were started together derive from the same words (a launcher's address and port); `secret`
 * may be NULL. */
unisono_status uni_identity_derive(const char *words, const char *secret, struct uni_identity *identity);

/* UNISONO_PORT, or some that follow from the identity's name. */
unisono_status uni_identity_choose_ports(struct uni_identity *identity);

void uni_identity_pack(const struct uni_identity *identity, unisono_unique_id *id);
unisono_status uni_identity_unpack(const unisono_unique_id *id, struct uni_identity *identity);

/* Was the id made on this machine and in this network namespace? */
unisono_status uni_identity_is_near(const struct uni_identity *identity, bool *near);

/* Names the machine's kernel (by its boot id), and what of the machine can share memory: by the network
 * namespace too, as sockets hand over what is shared. Its files are in no mount. */
unisono_status uni_identity_place(uint64_t *kernel, uint64_t *place);

/* The key of connections that are opened under this identity. */
void uni_identity_key(const struct uni_identity *identity, unsigned char *key, size_t bytes);

/* The identity under which the ranks of machine `machine` meet among themselves; `session` is a secret of
 * all. */
unisono_status uni_identity_of_machine(const unsigned char *session, size_t bytes, int machine,
                                       struct uni_identity *identity);

/* False when this process has used it for this rank before. */
bool uni_identity_use_once(const struct uni_identity *identity, int rank);

#endif
