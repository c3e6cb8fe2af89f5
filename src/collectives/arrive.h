/* Arriving: a rank's line says what it has called and where its buffers are; everybody reads everybody's. */
#ifndef UNI_COLLECTIVES_ARRIVE_H
#define UNI_COLLECTIVES_ARRIVE_H

#include "collectives/run.h"
#include "comm.h"

static inline struct uni_slot *uni_slot_of(const unisono_comm *comm, int rank, uint64_t sequence) {
  return &comm->places[rank].slots[sequence % UNI_SLOTS];
}

/* Has the rank arrived at the operation `sequence`? */
bool uni_has_arrived(const unisono_comm *comm, int rank, uint64_t sequence);

/* Writes this rank's line, with its payload or its first chunk before it. */
void uni_arrive(unisono_comm *comm);

/* Takes in the lines of the operation that are there; true: all of them, and they agree. A mismatch breaks
 * the communicator. */
bool uni_meet_arrivals(unisono_comm *comm, uint64_t sequence);

/* Divides plan.total among plan.lanes. */
void uni_set_up_lanes(unisono_comm *comm);

/* When all have arrived: finds the peers' buffers and makes the plan. False: the communicator is broken. */
bool uni_make_plan(unisono_comm *comm);

#endif
