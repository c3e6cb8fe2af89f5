/* Arriving: a rank's line says what it has called and where its buffers are; everybody reads everybody's.
 *
 * A root whose data the others only read returns from operation s when it has taken in the lines of s - 1;
 * everybody else when it has those of s. So who arrives at s has taken in those of s - 2, and knows that all
 * others have arrived there, and returned from s - 3: they read no payload of s - 4 any more, and no line of
 * it. That is the slot that s takes: four are enough.
 *
 * Two ranks with a processor each, a pair, trade one slot each: a rank writes its line, and the payload
 * behind it, where it has read the other's the operation before. So the lines are in its caches, no store
 * waits for them, and each goes one way in an operation. A rank has to have the other's last line for that, a
 * root too; and it looks up what its own line said elsewhere, as the other may have written there already. */
#ifndef UNI_COLLECTIVES_ARRIVE_H
#define UNI_COLLECTIVES_ARRIVE_H

#include "collectives/run.h"
#include "comm.h"
#include "shm/wait.h"

/* A pair's ranks trade their slots. */
static inline struct uni_traded_slot *uni_traded_of(const unisono_comm *comm, int rank, uint64_t sequence) {
  return &comm->places[(uint64_t)rank ^ (sequence & 1)].traded;
}

/* The rank's line of an operation. */
static inline struct uni_arrival *uni_line_of(const unisono_comm *comm, int rank, uint64_t sequence) {
  if (comm->is_pair)
    return &uni_traded_of(comm, rank, sequence)->arrival;
  return &comm->places[rank].slots[sequence % UNI_SLOTS].arrival;
}

/* Has the rank arrived at the operation `sequence`? */
static inline bool uni_has_arrived(const unisono_comm *comm, int rank, uint64_t sequence) {
  /* acquire: the rank's line and what it wrote before it are there, and it has finished all operations
   * before */
  return atomic_load_explicit(&uni_line_of(comm, rank, sequence)->stamp, memory_order_acquire) == sequence;
}

/* What must be the same on all ranks, in a word. */
static inline uint64_t uni_line_call(const struct uni_call *call) {
  return (uint64_t)call->kind | (uint64_t)call->dtype << 8 | (uint64_t)call->op << 16 |
         (uint64_t)call->root << 32;
}
static inline enum uni_kind uni_line_kind(const struct uni_arrival *line) {
  return (enum uni_kind)(line->call & 0xff);
}

/* What this rank says in its line. */
static inline struct uni_said *uni_said_in(unisono_comm *comm, uint64_t sequence) {
  return &comm->run.said[sequence % 2];
}

static inline bool uni_lines_agree(const struct uni_arrival *line, const struct uni_said *mine) {
  return line->call == mine->call && line->match == mine->match &&
         (line->count == mine->count || uni_kind_is_v(uni_line_kind(line)));
}

/* Fills in the line, but for the buffers, and shows it. */
static inline void uni_publish_line(unisono_comm *comm, const struct uni_call *call, size_t count,
                                    struct uni_arrival *line, uint64_t sequence) {
  struct uni_said *said = uni_said_in(comm, sequence);
  line->call = said->call = uni_line_call(call);
  line->count = said->count = count;
  line->match = said->match = call->match;
  /* release: whoever reads the stamp reads the line, the payload and the stage as written above, and this
   * rank has read what a pair's other rank wrote here for the operation before */
  atomic_store_explicit(&line->stamp, sequence, memory_order_release);
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
