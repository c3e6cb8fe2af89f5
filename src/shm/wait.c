#include "shm/wait.h"

#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clock.h"
#include "comm.h"
#include "error.h"
#include "shm/membarrier.h"

enum {
  SPINS = 2000,      /* where every rank has a processor of its own: some 50 us */
  SPINS_CROWDED = 4, /* where it has not, spinning keeps the awaited rank from running */
  LOOK_EVERY = 64,   /* spins between two looks at the cause */
  YIELD_US = 200,    /* then give the processor away for so long */
  SLEEP_MS = 100,    /* then sleep, but not longer at a time */
  LOOK_MS = 10       /* look for deaths so often */
};

static long futex(_Atomic uint32_t *word, int operation, uint32_t value, const struct timespec *timeout) {
  return syscall(SYS_futex, word, operation, value, timeout, NULL, 0);
}

/* ---- publishers */

static void ring(struct uni_place *place) {
  if (atomic_load_explicit(&place->sleepers, memory_order_relaxed) == 0)
    return;
  /* release: a sleeper that finds the bell changed looks again and sees what was published */
  atomic_fetch_add_explicit(&place->bell, 1, memory_order_release);
  futex(&place->bell, FUTEX_WAKE, INT32_MAX, NULL);
}

void uni_wake_sleepers(unisono_comm *comm) {
  for (int r = 0; r < comm->size; r++)
    ring(&comm->places[r]);
}

void uni_wake_rank(unisono_comm *comm, int rank) {
  uni_order_after_publishing(comm);
  ring(&comm->places[rank]);
}

/* ---- sleepers */

void uni_announce(unisono_comm *comm, uint32_t *bell) {
  struct uni_place *mine = &comm->places[comm->rank];
  *bell = atomic_load_explicit(&mine->bell, memory_order_acquire); /* what was published before it is seen */
  atomic_fetch_add_explicit(&mine->sleepers, 1, memory_order_seq_cst);
  atomic_fetch_add_explicit(&comm->header->sleepers, 1, memory_order_seq_cst);
}

void uni_announce_fence(bool full) {
  if (full)
    atomic_thread_fence(memory_order_seq_cst);
  else
    uni_membarrier();
}

_Atomic uint32_t *uni_bell(const unisono_comm *comm) {
  return &comm->places[comm->rank].bell;
}

void uni_retract(unisono_comm *comm) {
  atomic_fetch_sub_explicit(&comm->places[comm->rank].sleepers, 1, memory_order_relaxed);
  atomic_fetch_sub_explicit(&comm->header->sleepers, 1, memory_order_relaxed);
}

static void sleep_on_bell(struct uni_wait *wait) {
  struct timespec limit = {0, SLEEP_MS * 1000000L};
  bool limited = wait->deadline && wait->deadline != UNI_NEVER;
  int64_t left = limited ? wait->deadline - uni_now() : INT64_MAX;
  if (left < limit.tv_nsec)
    limit.tv_nsec = left > 0 ? (long)left : 0;
  futex(&wait->comm->places[wait->comm->rank].bell, FUTEX_WAIT, wait->bell, &limit);
  uni_retract(wait->comm);
  wait->announced = false;
}

/* ---- waiting */

static unisono_status blame(struct uni_wait *wait, unisono_status status,
                            bool (*guilty)(unisono_comm *, int)) {
  uint64_t most = 0;
  for (int r = 0; r < wait->comm->size; r++) {
    uint64_t behind = r == wait->comm->rank ? 0 : wait->misses(wait->what, r);
    if (behind <= most || (guilty && !guilty(wait->comm, r)))
      continue;
    wait->culprit = r;
    most = behind;
  }
  return most ? status : UNISONO_OK;
}

static unisono_status look_around(struct uni_wait *wait, int64_t now) {
  unisono_status status = UNISONO_OK;
  if (now >= wait->look_at) {
    wait->look_at = now + LOOK_MS * UNI_MS;
    uni_world_look(wait->comm->world, false);
    status = blame(wait, UNISONO_ERROR_PEER_LOST, uni_comm_lost);
  }
  if (!status && now >= wait->deadline) {
    status = blame(wait, UNISONO_ERROR_TIMEOUT, NULL);
    if (!status) /* only this rank's own part is missing, as in a message to itself */
      status = UNISONO_ERROR_TIMEOUT;
  }
  return status;
}

unisono_status uni_wait_check(struct uni_wait *wait) {
  unisono_comm *comm = wait->comm;
  wait->culprit = -1;
  if (uni_comm_is_broken(comm))
    return uni_comm_failure(comm);
  int64_t now = uni_now();
  if (!wait->deadline)
    wait->deadline = wait->timeout_ms < 0 ? UNI_NEVER : now + wait->timeout_ms * UNI_MS;
  return look_around(wait, now);
}

bool uni_wait_nap(struct uni_wait *wait) {
  unisono_comm *comm = wait->comm;
  unsigned spins = comm->world->settings.crowded ? SPINS_CROWDED : SPINS;
  if (wait->rounds++ < spins) {
    uni_relax();
    return wait->rounds % LOOK_EVERY == 0 && uni_comm_is_broken(comm);
  }
  int64_t now = uni_now();
  if (!wait->began)
    wait->began = now;
  if (wait->announced) {
    sleep_on_bell(wait);
  } else if (now - wait->began < YIELD_US * 1000) {
    sched_yield();
  } else {
    uni_announce(comm, &wait->bell);
    uni_announce_fence(comm->world->settings.fences);
    wait->announced = true; /* and the caller looks again before the sleep */
  }
  return true;
}

unisono_status uni_wait_pause(struct uni_wait *wait) {
  return uni_wait_nap(wait) ? uni_wait_check(wait) : UNISONO_OK;
}

void uni_wait_end(struct uni_wait *wait) {
  if (wait->announced)
    uni_retract(wait->comm);
  wait->announced = false;
}

void uni_wait_restart(struct uni_wait *wait) {
  uni_wait_end(wait);
  wait->rounds = 0;
  wait->began = 0;
}

unisono_status uni_wait_failed(struct uni_wait *wait, unisono_status status, const char *what) {
  unisono_comm *comm = wait->comm;
  if (uni_comm_is_broken(comm))
    return uni_comm_failure(comm);
  int rank = wait->culprit < 0 ? -1 : uni_comm_name(comm, wait->culprit),
      me = uni_comm_name(comm, comm->rank);
  if (status == UNISONO_ERROR_PEER_LOST)
    return uni_comm_break(comm, status, "rank %d died or left, rank %d needed it for %s", rank, me, what);
  if (rank < 0)
    return uni_comm_break(comm, status, "rank %d waited in vain for itself in %s for %d ms", me, what,
                          wait->timeout_ms);
  return uni_comm_break(comm, status, "rank %d did not arrive in time: rank %d waited for it in %s for %d ms",
                        rank, me, what, wait->timeout_ms);
}
