/* A collective under way: a machine that is stepped until it is done, by the caller's thread, the helper
 * thread or a team of threads. Stepping never waits. */
#ifndef UNI_COLLECTIVES_RUN_H
#define UNI_COLLECTIVES_RUN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "collectives/call.h"
#include "collectives/reclaim.h"
#include "env.h"
#include "shm/handover.h"
#include "shm/layout.h"
#include "shm/memory.h"
#include "shm/outflow.h"

/* A rank's buffer as seen from here: the bytes [from, to) of it are at base + from. Peers may write the whole
 * pages [push_from, push_to). */
struct uni_view {
  char *base;
  size_t from, to;
  size_t push_from, push_to;
};

/* Where a rank's block for this rank begins in its send buffer (v-collectives). */
struct uni_pair {
  size_t from, bytes;
};

/* What every rank works out, alike, from the arrival lines. Bytes count within one block. */
struct uni_plan {
  enum uni_algorithm algorithm;
  size_t total;    /* bytes to go through */
  size_t chunk;    /* bytes at a time; == total: all at once */
  size_t edges[2]; /* push: where the middle that may be pushed begins and ends */
  bool has_edges;  /* chunks are [0, edges[0]), [edges[0], edges[1]), [edges[1], total) */
  bool one_shot;   /* every rank folds everything, for itself */
  bool by_levels;  /* chunks have room to go by levels, unless some buffers turn out to be shared */
  bool returns;    /* results go into the stages that their inputs came from, where that was a stage */
  bool gathers;    /* results are copied from their owners in a step of their own */
  bool hands_over; /* what is staged has one reader, which sends nothing back: see handover.h */
  bool flows;      /* all is staged to or from a root: only the two ends of a copy wait for each other */
  bool trades;     /* what is staged goes by way of traded rooms: see steps.h */
  bool helps;      /* pull: a root copies its share of what goes to or from it, and the others theirs */
  bool streams;    /* copies to receive buffers go past the caches, which they would overflow */
  bool together;   /* ranks read each other's buffers: nobody leaves before all are done */
  size_t room;     /* bytes of a stage that a chunk takes */
  size_t turns;    /* rooms in a stage */
  size_t turn;     /* the first chunk's */
  uint32_t lag;    /* steps before the first chunk is worked on, beyond the arrival */
  uint32_t lanes;
};

/* A share of the bytes, with steps and stages of its own, for a thread and its pairs in the peers. */
struct uni_lane {
  _Atomic bool taken; /* by a thread of the team: it alone uses the rest */
  _Atomic bool done;
  _Atomic uint64_t step; /* next one to do, from 1; written by who has taken the lane, read by any */
  int cursor;            /* ranks below it have done what the next step needs of them */
  size_t from, bytes;    /* its share */
  uint64_t chunks, last_step;
  struct uni_outflow outflow; /* stays from operation to operation */
};

enum uni_phase { UNI_PHASE_MEET_LAST, UNI_PHASE_ARRIVE, UNI_PHASE_WORK, UNI_PHASE_DONE };

/* What must be the same in all ranks' lines. */
struct uni_said {
  uint64_t call, count, match;
};

struct uni_run {
  /* of the communicator; the same on every rank between operations */
  uint64_t sequence;       /* of the operation under way or done last */
  struct uni_said said[2]; /* this rank's lines of the last two operations */
  uint64_t met;   /* the operations whose lines this rank has taken in: all, or all but the last (its root) */
  uint64_t steps; /* base of the step counters */
  bool stages_mapped;                /* see uni_stage_map */
  size_t staged;                     /* where in a stage the last chunk, or payload, ended */
  uint64_t traded[UNI_TRADED_ROOMS]; /* how often: odd, and each rank of a pair has the other's room */

  /* of the operation */
  _Atomic uint64_t moves; /* counts what has moved, so that who waits starts to spin anew */
  struct uni_call call;
  enum uni_phase phase;
  int cursor; /* ranks below it have arrived at the operation after `met` */
  bool is_inline;
  size_t inline_at; /* where in the stages the payloads are */
  struct uni_ref send_ref, recv_ref;
  void *exposed; /* pages of the receive buffer that peers may write */
  size_t exposed_bytes;
  struct uni_plan plan;
  struct uni_lane *lanes;
  struct uni_handover *handover; /* stays from operation to operation; timed by the first lane */
  struct uni_reclaim *reclaim;   /* so does this */

  size_t inline_ends[UNI_KINDS]; /* see uni_select_inline */
  size_t cache_bytes;            /* of the last level; other ranks may see it differently */

  /* room for `size` entries each */
  struct uni_view *send, *recv;
  size_t *send_bytes; /* of each rank's send buffer; 0: sends nothing */
  struct uni_pair *pairs;
  const void **inputs;
  void **outputs;

  /* where buffers were found last time: see refs.c */
  struct uni_ref_cache *cache;
};

size_t uni_ref_cache_bytes(void);

/* Begins it; stepping follows. */
void uni_run_begin(unisono_comm *comm, const struct uni_call *call);

/* An inline collective that has arrived and met the ranks below `missing` is the machine's from here on. */
void uni_run_go_on(unisono_comm *comm, const struct uni_call *call, int missing);

/* Does what can be done now; true: it is done. */
bool uni_run_step(unisono_comm *comm);

/* Does what can be done now in one lane; true: all of it is done. For the threads of a team, in the working
 * phase. */
bool uni_run_advance(unisono_comm *comm, struct uni_lane *lane);

/* Is it still waiting for this rank? 0: no; the more, the further the rank is behind. */
uint64_t uni_run_misses(unisono_comm *comm, int rank);

/* After a failure: peers must not write this rank's buffers any more. */
void uni_run_give_up(unisono_comm *comm);

unisono_status uni_run_open(unisono_comm *comm);
void uni_run_close(unisono_comm *comm);

#endif
