/* Arriving: a rank's line says what it has called and where its buffers are; everybody reads everybody's.
 *
 * A root whose data the others only read returns from operation s when it has taken in the lines of s - 1;
 * everybody else when it has those of s. So who arrives at s has taken in those of s - 2, and knows that all
 * others have arrived there, and returned from s - 3: they read no payload of s - 4 any more, and no line of
 * it. That is the slot that s takes: four are enough. */
#ifndef UNI_COLLECTIVES_ARRIVE_H
#define UNI_COLLECTIVES_ARRIVE_H

#include "collectives/run.h"
#include "comm.h"
#include "shm/wait.h"

static inline struct uni_slot *uni_slot_of(const unisono_comm *comm, int rank, uint64_t sequence) {
  return &comm->places[rank].slots[sequence % UNI_SLOTS];
}

/* Has the rank arrived at the operation `sequence`? */
static inline bool uni_has_arrived(const unisono_comm *comm, int rank, uint64_t sequence) {
  /* acquire: the rank's line and what it wrote before it are there, and it has finished all operations
   * before */
  return atomic_load_explicit(&uni_slot_of(comm, rank, sequence)->arrival.stamp, memory_order_acquire) ==
         sequence;
}

/* What must be the same on all ranks, in a word. */
static inline uint64_t uni_line_call(const struct uni_call *call) {
  return (uint64_t)call->kind | (uint64_t)call->dtype << 8 | (uint64_t)call->op << 16 |
         (uint64_t)call->root << 32;
}
static inline enum uni_kind uni_line_kind(const struct uni_arrival *line) {
  return (enum uni_kind)(line->call & 0xff);
}

static inline bool uni_lines_agree(const struct uni_arrival *a, const struct uni_arrival *b) {
  return a->call == b->call && a->match == b->match &&
         (a->count == b->count || uni_kind_is_v(uni_line_kind(b)));
}

/* Fills in the line, but for the buffers, and shows it. */
static inline void uni_publish_line(unisono_comm *comm, const struct uni_call *call, size_t count,
                                    struct uni_slot *slot, uint64_t sequence) {
  slot->arrival.call = uni_line_call(call);
  slot->arrival.count = count;
  slot->arrival.match = call->match;
  /* release: whoever reads the stamp reads the line, the payload and the stage as written above */
  atomic_store_explicit(&slot->arrival.stamp, sequence, memory_order_release);
  uni_wake(comm);
}

/* Writes this rank's line, with its payload or its first chunk before it. */
void uni_arrive(unisono_comm *comm);

/* A line's call in words. */
void uni_line_describe(uint64_t call, uint64_t count, uint64_t match, char *text, size_t n);

/* Takes in the lines of all operations up to `sequence` that are there; true: all of them, and they agree. A
 * mismatch breaks the communicator. */
bool uni_meet_arrivals(unisono_comm *comm, uint64_t sequence);

/* Divides plan.total among plan.lanes. */
void uni_set_up_lanes(unisono_comm *comm);

/* When all have arrived: finds the peers' buffers and makes the plan. False: the communicator is broken. */
bool uni_make_plan(unisono_comm *comm);

#endif
