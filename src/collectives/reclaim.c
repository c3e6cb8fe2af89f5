#include "collectives/reclaim.h"

#include "algorithms/part.h"
#include "clock.h"
#include "collectives/arrive.h"
#include "collectives/select.h"
#include "comm.h"
#include "shm/touch.h"

/* A way must take so much less than the other, of its time, to be taken in its place. */
enum { GAIN_PERCENT = 10 };

/* The pushes begin to try their ways (outflow.h) at other times than this. */
enum { APART = 64 };

/* What the other rank will push. */
static void touch_results(unisono_comm *comm) {
  struct uni_run *run = &comm->run;
  for (uint32_t i = 0; i < run->plan.lanes; i++) {
    struct uni_chunk all = uni_chunk_of_lane(comm, &run->lanes[i]);
    struct uni_part part = uni_part_of(comm, &all, comm->rank, 1 - comm->rank);
    uni_touch((char *)run->call.recv + part.to, part.bytes);
  }
}

static struct uni_turn next_turn(struct uni_trial *trial) {
  if (trial->turns == 0)
    trial->turns = APART;
  return uni_trial_begin(trial);
}

void uni_reclaim_begin(unisono_comm *comm) {
  struct uni_run *run = &comm->run;
  struct uni_reclaim *r = run->reclaim;
  r->turn = (struct uni_turn){.way = UNI_RECLAIM_NOTHING};
  r->is_open = run->recv_ref.segment != UNI_PRIVATE && uni_select_reclaims(comm, &run->call);
  if (!r->is_open)
    return;
  r->class = uni_trial_class(run->call.block);
  r->turn = r->next[r->class];
  if (comm->rank == 0)
    r->next[r->class] = next_turn(&r->trials[r->class]);
  run->send_ref.way = r->next[r->class].way == UNI_RECLAIM_LINES;
  r->turn.began = r->turn.timed ? uni_now() : 0;
  if (r->turn.way == UNI_RECLAIM_LINES)
    touch_results(comm);
}

void uni_reclaim_arrived(unisono_comm *comm) {
  struct uni_reclaim *r = comm->run.reclaim;
  if (r->is_open && r->turn.timed)
    r->turn.began -= uni_now();
}

void uni_reclaim_met(unisono_comm *comm) {
  struct uni_reclaim *r = comm->run.reclaim;
  if (!r->is_open)
    return;
  if (r->turn.timed)
    r->turn.began += uni_now();
  if (comm->rank != 0)
    r->next[r->class].way = uni_line_of(comm, 0, comm->run.sequence)->send.way;
}

static void choose(struct uni_trial *trial) {
  uint64_t taken = trial->cost[trial->way].ps, other = trial->cost[1 - trial->way].ps;
  if (taken && other && other * 100 < taken * (100 - GAIN_PERCENT))
    trial->way = 1 - trial->way;
}

void uni_reclaim_end(unisono_comm *comm) {
  struct uni_reclaim *r = comm->run.reclaim;
  if (!r->is_open || !r->turn.timed || comm->run.plan.algorithm != UNI_PUSH)
    return;
  struct uni_trial *trial = &r->trials[r->class];
  uni_trial_average(&trial->cost[r->turn.way], r->turn.began, comm->run.call.block);
  choose(trial);
}
