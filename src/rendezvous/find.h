/* How ranks find each other, whether they are on one machine or on several. */
#ifndef UNI_RENDEZVOUS_FIND_H
#define UNI_RENDEZVOUS_FIND_H

#include "rendezvous/identity.h"
#include "rendezvous/roster.h"
#include "world.h"

/* Meets: *world gets the ranks of this machine. roster->machines is 0 when that is all of them; else the
 * roster says which ranks are where, and the caller frees it. */
unisono_status uni_find(const struct uni_identity *identity, int size, int rank, int threads,
                        int64_t deadline, struct uni_world **world, struct uni_roster *roster);

#endif
