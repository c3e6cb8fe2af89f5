/* How ranks of several machines find each other: rank 0 listens on TCP, the others connect and say who they
 * are and where, and rank 0 tells all of them which ranks share a machine. The connections stay: see
 * machines/cluster.h. Who does not know the secret costs a line of the log. */
#ifndef UNI_RENDEZVOUS_GATHER_H
#define UNI_RENDEZVOUS_GATHER_H

#include "rendezvous/identity.h"
#include "rendezvous/wire.h"

enum { UNI_SESSION = 32 };

/* Kinds of frames; those from UNI_CLUSTER_FRAMES on are the cluster's. */
enum { UNI_FRAME_HELLO = 1, UNI_FRAME_ROSTER, UNI_FRAME_REFUSED, UNI_CLUSTER_FRAMES = 16 };

struct uni_roster {
  int size, rank, machines;
  int *machine;  /* of each rank; machines are numbered in the order of their lowest ranks */
  bool *crowded; /* each rank: it shares processors with those of other machines, which are namespaces
                  * or containers of one */
  struct uni_wire **wires;            /* rank 0: to each of the others; the others: only [0] */
  unsigned char session[UNI_SESSION]; /* a secret of these ranks */
  char iface[UNI_IFACE];              /* the network interface towards rank 0, or "" */
};

void uni_roster_free(struct uni_roster *roster);

/* The number of ranks on this rank's machine, and this rank's number among them. */
int uni_roster_local(const struct uni_roster *roster, int *local_rank);

/* Rank 0's side: it can be stepped beside something else, while it is not clear that there is another
 * machine. */
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

/* The others' side: one attempt to reach rank 0, for so long; NULL: it is not there (yet). */
unisono_status uni_gather_connect(const struct uni_identity *identity, unsigned attempt, int patience_ms,
                                  int64_t deadline, struct uni_wire **wire);
unisono_status uni_gather_join(struct uni_wire *wire, int size, int rank, int threads, int64_t deadline,
                               struct uni_roster *roster);

#endif
