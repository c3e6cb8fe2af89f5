/* Rank 0's side of a meeting of several machines: it listens on TCP, the others connect (join.h) and say who
 * they are and where, and rank 0 tells all of them which ranks share a machine. The connections stay: see
 * machines/cluster.h. Who does not know the secret costs a line of the log. */
#ifndef UNI_RENDEZVOUS_GATHER_H
#define UNI_RENDEZVOUS_GATHER_H

#include "rendezvous/identity.h"
#include "rendezvous/roster.h"

/* It can be stepped beside something else, while it is not clear that there is another machine. */
struct uni_gathering;
unisono_status uni_gathering_open(const struct uni_identity *identity, int size, int threads,
                                  int64_t deadline, struct uni_gathering **gathering);
int uni_gathering_fd(const struct uni_gathering *gathering); /* readable when there is something to do */
void uni_gathering_step(struct uni_gathering *gathering);
/* Sends here who comes to that listener, which is its own from now on. */
void uni_gathering_attend(struct uni_gathering *gathering, int door);
bool uni_gathering_has_begun(const struct uni_gathering *gathering); /* somebody has shown the secret */
unisono_status uni_gathering_finish(struct uni_gathering *gathering, struct uni_roster *roster);
void uni_gathering_close(struct uni_gathering *gathering);

#endif
