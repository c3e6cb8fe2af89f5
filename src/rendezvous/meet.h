/* How the ranks of one machine find each other. Rank 0 listens on an abstract Unix socket; the others
 * connect, show the id's secret and hand over a pidfd; when all are there, rank 0 connects each pair of them
 * by a socket of its own. Nothing of it has a name in the file system. */
#ifndef UNI_RENDEZVOUS_MEET_H
#define UNI_RENDEZVOUS_MEET_H

#include "rendezvous/identity.h"
#include "world.h"

/* Fills in the world's peers and settings. */
unisono_status uni_meet(struct uni_world *world, const struct uni_identity *identity, int threads,
                        int64_t deadline);

#endif
