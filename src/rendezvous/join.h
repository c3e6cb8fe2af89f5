/* The other ranks' side of a meeting of several machines: see gather.h. */
#ifndef UNI_RENDEZVOUS_JOIN_H
#define UNI_RENDEZVOUS_JOIN_H

#include "rendezvous/identity.h"
#include "rendezvous/roster.h"

/* One attempt to reach rank 0, for so long; NULL: it is not there (yet). */
unisono_status uni_join_connect(const struct uni_identity *identity, unsigned attempt, int patience_ms,
                                int64_t deadline, struct uni_wire **wire);

struct uni_guest {
  const struct uni_identity *identity;
  unsigned attempt; /* rank 0 was found there */
  int size, rank, threads;
  int64_t deadline;
};

/* Takes over the connection, and makes it anew when it breaks before all have met. */
unisono_status uni_join(struct uni_wire *wire, const struct uni_guest *guest, struct uni_roster *roster);

#endif
