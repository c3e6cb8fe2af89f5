#include "collectives/run.h"

#include <stdlib.h>
#include <string.h>

#include "algorithms/inline.h"
#include "algorithms/levels.h"
#include "algorithms/steps.h"
#include "collectives/arrive.h"
#include "collectives/select.h"
#include "comm.h"
#include "error.h"
#include "processors.h"
#include "shm/wait.h"

/* ---- room for what is worked out */

static void *room(size_t n, size_t each) {
  return calloc(n, each);
}

unisono_status uni_run_open(unisono_comm *comm) {
  struct uni_run *run = &comm->run;
  size_t n = (size_t)comm->size, lanes = comm->layout.lanes;
  run->phase = UNI_PHASE_DONE;
  uni_select_inline(comm, run->inline_ends);
  run->cache_bytes = uni_cache_bytes();
  run->lanes = room(lanes, sizeof *run->lanes);
  run->send = room(n, sizeof *run->send);
  run->recv = room(n, sizeof *run->recv);
  run->send_bytes = room(n, sizeof *run->send_bytes);
  run->pairs = room(n, sizeof *run->pairs);
  run->inputs = room(n * lanes, sizeof *run->inputs);
  run->outputs = room((n + 1) * lanes, sizeof *run->outputs);
  run->cache = room(1, uni_ref_cache_bytes());
  run->handover = room(1, sizeof *run->handover);
  run->reclaim = room(1, sizeof *run->reclaim);
  if (run->lanes && run->send && run->recv && run->send_bytes && run->pairs && run->inputs && run->outputs &&
      run->cache && run->handover && run->reclaim)
    return UNISONO_OK;
  return uni_fail(UNISONO_ERROR_MEMORY, "no memory for the tables of %d ranks", comm->size);
}

void uni_run_close(unisono_comm *comm) {
  struct uni_run *run = &comm->run;
  free(run->lanes);
  free(run->send);
  free(run->recv);
  free(run->send_bytes);
  free(run->pairs);
  free(run->inputs);
  free(run->outputs);
  free(run->cache);
  free(run->handover);
  free(run->reclaim);
}

/* ---- steps */

static void count_move(struct uni_run *run) {
  /* by the threads of a team at once: that a count gets lost does no harm */
  uint64_t moves = atomic_load_explicit(&run->moves, memory_order_relaxed);
  atomic_store_explicit(&run->moves, moves + 1, memory_order_relaxed);
}

/* The steps that the rank has finished since the communicator began. */
static uint64_t done_by(const unisono_comm *comm, const struct uni_lane *lane, int rank) {
  uint32_t index = (uint32_t)(lane - comm->run.lanes);
  /* acquire: what the rank wrote in those steps, into its stage or anybody's buffer, is there; and what it
   * read it has read */
  return atomic_load_explicit(&uni_comm_step(comm, rank, index)->done, memory_order_acquire);
}

static bool did(const unisono_comm *comm, const struct uni_lane *lane, int rank, uint64_t step) {
  return done_by(comm, lane, rank) >= comm->run.steps + step;
}

/* The step that `rank` must have finished before `waiter` does `step`. Each needs all others' step before,
 * but where all goes to or from the root: then only the two sides of a copy wait for each other, who reads
 * for the step before, and who is read from until there is room in its stage. The last chunk alone may still
 * be read when an operation ends. */
static uint64_t awaited(const unisono_comm *comm, const struct uni_lane *lane, int waiter, int rank,
                        uint64_t step) {
  const struct uni_run *run = &comm->run;
  uint64_t ahead = run->plan.turns - 1;
  if (!run->plan.flows || step > lane->last_step)
    return step - 1;
  if (waiter != run->call.root && rank != run->call.root)
    return 0;
  bool is_read_from = (waiter == run->call.root) == uni_kind_leaves_root(run->call.kind);
  return !is_read_from || step == lane->last_step ? step - 1 : step > ahead ? step - ahead : 0;
}

static bool all_did(const unisono_comm *comm, struct uni_lane *lane, uint64_t step) {
  for (; lane->cursor < comm->size; lane->cursor++)
    if (!did(comm, lane, lane->cursor, awaited(comm, lane, comm->rank, lane->cursor, step)))
      return false;
  return true;
}

/* v-collectives: what each rank sends here must be what is awaited. */
static bool check_pairs(unisono_comm *comm) {
  struct uni_run *run = &comm->run;
  const struct uni_call *call = &run->call;
  for (int r = 0; r < comm->size; r++) {
    uint64_t count = uni_comm_counts(comm, r, UNI_SEND_COUNTS)[comm->rank];
    uint64_t displ = uni_comm_counts(comm, r, UNI_SEND_DISPLS)[comm->rank];
    if (count != call->recv_counts[r]) {
      uni_comm_break(
          comm, UNISONO_ERROR_MISMATCH, "%s: rank %d sends %llu elements to rank %d, which awaits %zu",
          uni_kind_name(call->kind), r, (unsigned long long)count, comm->rank, call->recv_counts[r]);
      return false;
    }
    run->pairs[r] = (struct uni_pair){(size_t)displ * call->element, (size_t)count * call->element};
  }
  return true;
}

static void do_step(unisono_comm *comm, struct uni_lane *lane, uint64_t at) {
  struct uni_run *run = &comm->run;
  uint64_t step = at - run->plan.lag; /* chunk k is staged in step k, worked on in k+1, gathered in k+2 */
  if (step < lane->chunks) {
    struct uni_chunk chunk = uni_chunk_of(comm, lane, step);
    if (step > 0)
      uni_stage_chunk(comm, lane, &chunk);
  }
  if (run->plan.algorithm == UNI_BY_LEVELS) {
    uni_levels_step(comm, lane, step);
    return;
  }
  if (step >= 1 && step <= lane->chunks) {
    struct uni_chunk chunk = uni_chunk_of(comm, lane, step - 1);
    if (uni_kind_folds(run->call.kind))
      uni_fold_chunk(comm, lane, &chunk);
    else
      uni_copy_chunk(comm, lane, &chunk);
  }
  if (run->plan.gathers && step >= 2 && step <= lane->chunks + 1) {
    struct uni_chunk chunk = uni_chunk_of(comm, lane, step - 2);
    uni_gather_chunk(comm, lane, &chunk);
  }
}

/* What was read from peers' buffers is whole only if none of them had given up meanwhile and gone on to write
 * it: the reader's half of a seqlock, whose writer sets the cause before it returns. */
static bool check_whole(const unisono_comm *comm) {
  if (!comm->run.plan.together)
    return true;
  atomic_thread_fence(memory_order_acquire); /* the reads above come before the look at the cause */
  return !uni_comm_is_broken(comm);
}

static bool publish_step(unisono_comm *comm, struct uni_lane *lane, uint64_t step) {
  uint32_t index = (uint32_t)(lane - comm->run.lanes);
  if (!check_whole(comm))
    return false;
  /* release: what this rank wrote in the step is there for who sees it done, and its reads are over */
  atomic_store_explicit(&uni_comm_step(comm, comm->rank, index)->done, comm->run.steps + step,
                        memory_order_release);
  uni_wake(comm);
  count_move(&comm->run);
  return true;
}

bool uni_run_advance(unisono_comm *comm, struct uni_lane *lane) {
  const struct uni_plan *plan = &comm->run.plan;
  uint64_t step = atomic_load_explicit(&lane->step, memory_order_relaxed);
  for (; step <= lane->last_step; step++) {
    atomic_store_explicit(&lane->step, step, memory_order_relaxed);
    if (step > 1 && !all_did(comm, lane, step)) /* the arrival stands for step 0 */
      return false;
    if (step == plan->lag && !check_pairs(comm))
      return false;
    do_step(comm, lane, step);
    if (!publish_step(comm, lane, step))
      return false;
    lane->cursor = 0;
  }
  atomic_store_explicit(&lane->step, step, memory_order_relaxed);
  return !plan->together || all_did(comm, lane, lane->last_step + 1);
}

static bool is_done(struct uni_lane *lane) {
  return atomic_load_explicit(&lane->done, memory_order_relaxed);
}

static bool work(unisono_comm *comm) {
  struct uni_run *run = &comm->run;
  bool done = true;
  for (uint32_t i = 0; i < run->plan.lanes; i++) {
    struct uni_lane *lane = &run->lanes[i];
    if (!is_done(lane) && uni_run_advance(comm, lane))
      atomic_store_explicit(&lane->done, true, memory_order_relaxed);
    done = done && is_done(lane);
  }
  return done;
}

static void settle(unisono_comm *comm) {
  struct uni_run *run = &comm->run;
  if (!run->is_inline) {
    uni_reclaim_end(comm);
    for (uint32_t i = run->plan.lanes; i < comm->layout.lanes; i++) /* lanes not used keep up */
      atomic_store_explicit(&uni_comm_step(comm, comm->rank, i)->done, run->steps + run->lanes[0].last_step,
                            memory_order_release);
    run->steps += run->lanes[0].last_step;
    uni_stage_advance(comm);
  }
  run->exposed = NULL;
  run->phase = UNI_PHASE_DONE;
}

/* ---- the machine */

void uni_run_go_on(unisono_comm *comm, const struct uni_call *call, int missing) {
  struct uni_run *run = &comm->run;
  run->call = *call;
  run->cursor = missing;
  run->exposed = NULL;
  run->is_inline = true;
  run->phase = UNI_PHASE_ARRIVE;
}

void uni_run_begin(unisono_comm *comm, const struct uni_call *call) {
  struct uni_run *run = &comm->run;
  run->call = *call;
  run->sequence++;
  run->exposed = NULL;
  run->is_inline = call->block < run->inline_ends[call->kind];
  run->phase = UNI_PHASE_MEET_LAST;
}

/* The last operation whose lines are awaited here. */
static uint64_t last_awaited(const unisono_comm *comm) {
  const struct uni_run *run = &comm->run;
  return run->sequence - (run->is_inline && uni_inline_is_one_sided(comm, &run->call));
}

/* Up to the work; true: there is none. */
static bool step_to_work(unisono_comm *comm) {
  struct uni_run *run = &comm->run;
  if (run->phase == UNI_PHASE_MEET_LAST) {
    if (!uni_may_arrive(comm, &run->call, run->sequence) && !uni_meet_arrivals(comm, run->sequence - 1))
      return false;
    uni_arrive(comm);
    run->phase = UNI_PHASE_ARRIVE;
  }
  if (!uni_meet_arrivals(comm, last_awaited(comm)))
    return false;
  if (run->is_inline) {
    struct uni_inline_fold fold;
    uni_inline_prepare(comm, &run->call, run->sequence, &fold);
    uni_inline_deliver(comm, &run->call, run->sequence, &fold);
    settle(comm);
    return true;
  }
  if (uni_make_plan(comm)) {
    run->phase = UNI_PHASE_WORK;
    count_move(run);
  }
  return false;
}

bool uni_run_step(unisono_comm *comm) {
  struct uni_run *run = &comm->run;
  if (run->phase < UNI_PHASE_WORK && step_to_work(comm))
    return true;
  if (run->phase == UNI_PHASE_WORK && work(comm))
    settle(comm);
  return run->phase == UNI_PHASE_DONE;
}

/* Does the lane wait for the rank? Who waits for the root waits for those for whom the root waits, too. */
static bool lane_misses(const unisono_comm *comm, const struct uni_lane *lane, int rank) {
  uint64_t step = atomic_load_explicit(&lane->step, memory_order_relaxed);
  int waiter = comm->rank, root = comm->run.call.root;
  if (comm->run.plan.flows && waiter != root && rank != root) {
    if (did(comm, lane, root, awaited(comm, lane, waiter, root, step)))
      return false;
    waiter = root;
    step = done_by(comm, lane, root) - comm->run.steps + 1;
  }
  return !did(comm, lane, rank, awaited(comm, lane, waiter, rank, step));
}

/* By how many steps of all lanes the rank is behind what this rank has done, and one more: it is missed. (In
 * lanes that are not used all are behind alike.) */
static uint64_t behind(const unisono_comm *comm, int rank) {
  uint64_t steps = 1;
  for (uint32_t i = 0; i < comm->layout.lanes; i++) {
    const struct uni_lane *lane = &comm->run.lanes[i];
    uint64_t done = done_by(comm, lane, rank), own = done_by(comm, lane, comm->rank);
    steps += done < own ? own - done : 0;
  }
  return steps;
}

uint64_t uni_run_misses(unisono_comm *comm, int rank) {
  const struct uni_run *run = &comm->run;
  switch (run->phase) {
  case UNI_PHASE_MEET_LAST:
  case UNI_PHASE_ARRIVE: /* it may still be in the operation before, and wait for another there */
    return uni_has_arrived(comm, rank, run->met + 1) ? 0 : behind(comm, rank);
  case UNI_PHASE_WORK:
    for (uint32_t i = 0; i < run->plan.lanes; i++)
      if (!is_done(&run->lanes[i]) && lane_misses(comm, &run->lanes[i], rank))
        return behind(comm, rank);
    return 0;
  default:
    return 0;
  }
}

void uni_run_give_up(unisono_comm *comm) {
  struct uni_run *run = &comm->run;
  if (run->exposed)
    uni_memory_detach(comm->world, run->exposed, run->exposed_bytes);
  run->exposed = NULL;
}
