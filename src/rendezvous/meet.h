/* How the ranks of one machine find each other. Rank 0 listens on an abstract Unix socket; the others
 * connect, show the id's secret and hand over a pidfd; when all are there, rank 0 connects each pair of them
 * by a socket of its own. Nothing of it has a name in the file system. */
#ifndef UNI_RENDEZVOUS_MEET_H
#define UNI_RENDEZVOUS_MEET_H

#include "rendezvous/gather.h"
#include "rendezvous/identity.h"
#include "world.h"

/* Ranks of other machines may belong to the meeting: what rank 0 listens to beside, and how long the others
 * try to reach rank 0 here. */
struct uni_detour {
  struct uni_gathering *beside; /* rank 0's */
  int64_t reach;                /* the others': when to look elsewhere */
  bool taken;                   /* out: nobody has met here, all of them go to the gathering */
  bool told;                    /* out: because rank 0 has said so */
  bool hung_up;                 /* out: because rank 0 has hung up */
};

/* Fills in the world's peers and settings. `detour` NULL: all ranks are on this machine. */
unisono_status uni_meet(struct uni_world *world, const struct uni_identity *identity, int threads,
                        int64_t deadline, struct uni_detour *detour);

#endif
