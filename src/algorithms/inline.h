/* Tiny operations: the payload rides with the arrival line, and every rank works out what it needs from the
 * lines it reads anyway. One trip. */
#ifndef UNI_ALGORITHMS_INLINE_H
#define UNI_ALGORITHMS_INLINE_H

#include "collectives/run.h"
#include "shm/layout.h"

/* Writes this rank's payload into its slot, before the stamp. */
void uni_inline_put(const unisono_comm *comm, struct uni_slot *slot);

/* All needed lines are there: works out the result. */
void uni_inline_deliver(const unisono_comm *comm);

/* A root whose data the others only read need not wait for them. */
bool uni_inline_is_one_sided(const unisono_comm *comm);

#endif
