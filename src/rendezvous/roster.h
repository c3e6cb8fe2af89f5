/* The list of the ranks and their machines, which rank 0 sends to all when they have met over TCP. */
#ifndef UNI_RENDEZVOUS_ROSTER_H
#define UNI_RENDEZVOUS_ROSTER_H

#include "rendezvous/address.h"
#include "rendezvous/wire.h"

enum { UNI_SESSION = 32 };

struct uni_roster {
  int size, rank, machines;
  int *machine;  /* of each rank; machines are numbered in the order of their lowest ranks */
  bool *crowded; /* each rank: it shares processors with those of other machines, which are namespaces
                  * or containers of one */
  struct uni_wire **wires;            /* rank 0: to each of the others; the others: only [0] */
  unsigned char session[UNI_SESSION]; /* a secret of these ranks */
  char iface[UNI_IFACE];              /* the network interface towards rank 0, or "" */
};

unisono_status uni_roster_new(int size, int rank, struct uni_roster *roster);
void uni_roster_free(struct uni_roster *roster);

/* The number of ranks on this rank's machine, and this rank's number among them. */
int uni_roster_local(const struct uni_roster *roster, int *local_rank);

/* As bytes, which the caller frees; NULL: no memory. */
unsigned char *uni_roster_pack(const struct uni_roster *roster, size_t *bytes);

/* Into a new roster; false: that is none for so many ranks. */
bool uni_roster_unpack(const unsigned char *packed, size_t bytes, struct uni_roster *roster);

#endif
