/* A communicator in this process. */
#ifndef UNI_COMM_H
#define UNI_COMM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "collectives/call.h"
#include "collectives/groups.h"
#include "collectives/run.h"
#include "shm/layout.h"
#include "shm/segment.h"
#include "world.h"

struct uni_p2p;   /* sends and receives: p2p/p2p.h */
struct uni_queue; /* started collectives: request.h */
struct uni_match; /* match ids seen: collectives/match.h */
struct uni_span;  /* machines: machines/span.h */

/* How often a communicator of the same ranks was made from this one: part of the key they meet under. */
struct uni_births {
  uint64_t members; /* hash of the list of ranks */
  uint32_t times;
  struct uni_births *next;
};

struct unisono_comm {
  struct uni_world *world;
  int size, rank;
  bool is_pair;     /* two ranks with a processor each */
  int *world_ranks; /* of the members */
  uint64_t id;
  unsigned fork_generation;
  _Atomic int timeout_ms; /* of the operations to come */
  unisono_parallel_for parallel_for;
  void *pool;

  struct uni_segment *segment;
  struct uni_layout layout;
  struct uni_header *header; /* in the segment, as all of these */
  struct uni_place *places;
  struct uni_step *steps;
  const struct uni_kernels *kernels;
  struct uni_groups groups;
  struct uni_channel *channels;

  struct uni_run run; /* the collective under way, one at a time */
  struct uni_queue *queue;
  struct uni_p2p *p2p;
  struct uni_match *matches;
  struct uni_births *births;
  uint32_t regroups;         /* how often shrink was called */
  pthread_mutex_t text_lock; /* this rank's words to a cause are written by one thread at a time */
  struct uni_span *span;     /* NULL: its ranks are on one machine */
  const int *names;          /* what messages call the ranks; NULL: by their numbers */
};

/* Makes the communicator of the listed ranks of `world`; every one of them calls it. `parent` and `times`
 * name this birth among others of the same ranks. */
struct uni_birth {
  const int *world_ranks;
  int n;
  uint64_t parent;
  uint32_t times;
  int timeout_ms;
  unisono_parallel_for parallel_for;
  void *pool;
};
unisono_status uni_comm_new(struct uni_world *world, const struct uni_birth *birth, unisono_comm **comm);

/* Frees this process's side of it. */
void uni_comm_discard(unisono_comm *comm);

/* Cold paths: words to a fault. */
#define UNI_COLD __attribute__((cold, noinline))
UNI_COLD unisono_status uni_fault_comm(const unisono_comm *comm, const char *function);

/* INVALID unless `comm` can be used by this process: not NULL, not inherited by fork. */
static inline unisono_status uni_comm_check(const unisono_comm *comm, const char *function) {
  return comm && comm->fork_generation == uni_fork_generation() ? UNISONO_OK : uni_fault_comm(comm, function);
}

/* The same, and that there is a place for a new communicator, which is set to NULL. */
unisono_status uni_check_part(const unisono_comm *comm, const char *function, unisono_comm **part,
                              const char *name);

/* OK, or the failure that broke it, with this thread's last error set. One load. */
static inline bool uni_comm_is_broken(const unisono_comm *comm) {
  /* acquire: the words to the cause are there */
  return atomic_load_explicit(&comm->header->cause, memory_order_acquire) != 0;
}
unisono_status uni_comm_failure(unisono_comm *comm);

/* Breaks the communicator, if nobody was first, and tells everybody; returns uni_comm_failure. */
unisono_status uni_comm_break(unisono_comm *comm, unisono_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The rank's number in the communicator that the caller knows. */
static inline int uni_comm_name(const unisono_comm *comm, int rank) {
  return comm->names ? comm->names[rank] : rank;
}

/* Has this rank destroyed the communicator? */
bool uni_comm_has_left(const unisono_comm *comm, int rank);

/* Is this rank dead, or has it left this communicator? */
bool uni_comm_lost(unisono_comm *comm, int rank);

/* Do the payloads of such a collective ride in the slots that a pair trades? Not where one rank only sends,
 * and would find the lines with who has read them. */
static inline bool uni_comm_trades(const unisono_comm *comm, enum uni_kind kind) {
  return comm->is_pair && !uni_kind_has_root(kind);
}

static inline struct uni_step *uni_comm_step(const unisono_comm *comm, int rank, uint32_t lane) {
  return &comm->steps[(size_t)rank * comm->layout.lanes + lane];
}

static inline struct uni_channel *uni_comm_channel(const unisono_comm *comm, int from, int to) {
  return &comm->channels[(size_t)from * (size_t)comm->size + (size_t)to];
}

/* The rank's array `which` of the v-collectives: `size` numbers. */
enum { UNI_SEND_COUNTS, UNI_SEND_DISPLS, UNI_SEND_EXTENT };
uint64_t *uni_comm_counts(const unisono_comm *comm, int rank, int which);

/* A lane's stage: private data on its way, and results that return (UNI_STAGE_IN), or own results
 * (UNI_STAGE_OUT). */
enum { UNI_STAGE_IN, UNI_STAGE_OUT };
static inline char *uni_comm_stage(const unisono_comm *comm, int rank, uint32_t lane, int which) {
  size_t stage = ((size_t)rank * comm->layout.lanes + lane) * 2 + (size_t)which;
  return comm->segment->base + comm->layout.stages + stage * comm->layout.stage_ring;
}

/* The room `which` of those that `rank` began to trade with `other`. */
static inline char *uni_comm_traded(const unisono_comm *comm, int rank, uint32_t lane, int other,
                                    uint64_t which) {
  size_t others = (size_t)comm->size - 1, room = comm->layout.traded_bytes;
  size_t of_rank = ((size_t)rank * comm->layout.lanes + lane) * others + (size_t)(other - (other > rank));
  return comm->segment->base + comm->layout.traded + (of_rank * UNI_TRADED_ROOMS + which) * room;
}

#endif
