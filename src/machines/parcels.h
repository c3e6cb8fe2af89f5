/* Short messages whose senders have gone on: each stays until its receiver has taken it in. */
#ifndef UNI_MACHINES_PARCELS_H
#define UNI_MACHINES_PARCELS_H

#include "machines/span.h"

struct uni_parcel {
  char *buffer; /* the engine's */
  uni_engine_request under_way;
  struct uni_parcel *next;
};

/* Takes out those that have been taken in. */
unisono_status uni_parcels_move(struct uni_parcel **list, const struct uni_engine *engine);

/* Their communicator is being destroyed: a thread of theirs waits for them, and the process does not end
 * before it, for a moment. */
void uni_parcels_outlive(struct uni_parcel *list, struct uni_carrier *carrier);

#endif
