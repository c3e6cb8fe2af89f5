#include "collectives/drive.h"

#include "comm.h"
#include "threads.h"

static uint64_t misses(void *what, int rank) {
  return uni_run_misses(what, rank);
}

struct uni_wait uni_drive_wait(unisono_comm *comm) {
  return uni_wait_begin(comm, misses, comm);
}

bool uni_drive_has_moved(unisono_comm *comm, struct uni_wait *wait) {
  uint64_t moves = atomic_load_explicit(&comm->run.moves, memory_order_relaxed);
  bool moved = moves != wait->seen;
  wait->seen = moves;
  if (moved)
    uni_wait_restart(wait);
  return moved;
}

bool uni_drive_judge(unisono_comm *comm, struct uni_wait *wait, unisono_status *status) {
  if (*status == UNISONO_OK)
    return false;
  if (uni_run_step(comm)) { /* data that is complete counts */
    *status = UNISONO_OK;
    return true;
  }
  if (wait->culprit >= 0 && !uni_run_misses(comm, wait->culprit) && !uni_comm_is_broken(comm))
    return false;
  *status = uni_wait_failed(wait, *status, uni_kind_name(comm->run.call.kind));
  uni_run_give_up(comm);
  return true;
}

/* ---- the team: one thread a lane, more or less. A thread without a lane of its own helps with any, so that
 * all lanes move on however few threads there are. */

struct team {
  unisono_comm *comm;
  _Atomic int status; /* of the first thread that failed */
};

static bool try_lane(unisono_comm *comm, struct uni_lane *lane) {
  if (atomic_load_explicit(&lane->done, memory_order_acquire))
    return true;
  /* acquire and release: the lane's state passes from thread to thread */
  if (atomic_exchange_explicit(&lane->taken, true, memory_order_acquire))
    return false;
  bool done = atomic_load_explicit(&lane->done, memory_order_relaxed) || uni_run_advance(comm, lane);
  if (done)
    atomic_store_explicit(&lane->done, true, memory_order_release);
  atomic_store_explicit(&lane->taken, false, memory_order_release);
  return done;
}

static bool try_lanes(unisono_comm *comm, size_t first) {
  uint32_t n = comm->run.plan.lanes;
  bool done = true;
  for (uint32_t i = 0; i < n; i++)
    done = try_lane(comm, &comm->run.lanes[(first + i) % n]) && done;
  return done;
}

static void work_in_team(void *argument, size_t i) {
  struct team *team = argument;
  struct uni_wait wait = uni_drive_wait(team->comm);
  unisono_status status = UNISONO_OK;
  while (!status && !try_lanes(team->comm, i)) {
    uni_drive_has_moved(team->comm, &wait);
    status = uni_wait_pause(&wait);
    if (status && wait.culprit >= 0 && !uni_comm_is_broken(team->comm)) {
      if (try_lanes(team->comm, i) || !uni_run_misses(team->comm, wait.culprit))
        status = UNISONO_OK;
      else
        status = uni_wait_failed(&wait, status, uni_kind_name(team->comm->run.call.kind));
    }
  }
  uni_wait_end(&wait);
  int none = UNISONO_OK;
  if (status)
    atomic_compare_exchange_strong(&team->status, &none, (int)status);
}

static unisono_status work_with_team(unisono_comm *comm) {
  struct team team = {.comm = comm};
  comm->parallel_for(comm->pool, comm->run.plan.lanes, work_in_team, &team);
  if (uni_run_step(comm)) /* all lanes are done: closes the books */
    return UNISONO_OK;
  uni_run_give_up(comm);
  return uni_comm_failure(comm);
}

/* OpenMP's threads spin where they wait, which takes milliseconds from ranks that share their processors. */
static bool uses_team(const unisono_comm *comm) {
  bool spins = comm->parallel_for == uni_openmp_for && comm->world->settings.crowded;
  return comm->run.plan.lanes > 1 && comm->parallel_for && !spins;
}

static unisono_status wait_for_end(unisono_comm *comm) {
  struct uni_wait wait = uni_drive_wait(comm);
  unisono_status status = UNISONO_OK;
  do {
    if (comm->run.phase == UNI_PHASE_WORK && uses_team(comm)) {
      status = work_with_team(comm);
      break;
    }
    uni_drive_has_moved(comm, &wait);
    status = uni_wait_pause(&wait);
    if (uni_drive_judge(comm, &wait, &status))
      break;
  } while (!uni_run_step(comm));
  uni_wait_end(&wait);
  return status;
}

unisono_status uni_drive_on(unisono_comm *comm, struct uni_call call, int missing) {
  uni_run_go_on(comm, &call, missing);
  return uni_run_step(comm) ? UNISONO_OK : wait_for_end(comm);
}

unisono_status uni_drive(unisono_comm *comm, const struct uni_call *call) {
  if (uni_comm_is_broken(comm))
    return uni_comm_failure(comm);
  uni_run_begin(comm, call);
  return uni_run_step(comm) ? UNISONO_OK : wait_for_end(comm);
}
