/* Waiting for peers: spin, yield, then sleep; always watching for deaths, the time limit and failures that
 * others have found.
 *
 * Who waits does    while (!ready()) { status = uni_wait_pause(&wait); if (status) ... } uni_wait_end(&wait);
 * and who publishes something calls uni_wake after it.
 *
 * A sleeper first announces itself, then makes every process fence (membarrier), then looks again, then
 * sleeps. So either the publisher sees the announcement or the sleeper sees what was published, and the
 * publisher pays no fence. */
#ifndef UNI_SHM_WAIT_H
#define UNI_SHM_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "comm.h"

struct uni_wait {
  unisono_comm *comm;
  uint64_t (*misses)(void *what, int rank); /* does the operation wait for this rank? 0: no; the more, the
                                               further the rank is behind, which then is the one to blame */
  void *what;
  unsigned rounds;
  uint64_t seen;    /* what its owner counts as moves */
  int64_t began;    /* when the waiting was first timed; 0: not yet */
  int timeout_ms;   /* the limit when the operation was started */
  int64_t deadline; /* of the operation; 0: not set yet */
  int64_t look_at;  /* when to look for deaths again */
  uint32_t bell;    /* the bell's count when announced */
  bool announced;
  int culprit; /* the rank that is lost or late */
};

static inline struct uni_wait uni_wait_begin(unisono_comm *comm, uint64_t (*misses)(void *, int),
                                             void *what) {
  int timeout_ms = atomic_load_explicit(&comm->timeout_ms, memory_order_relaxed);
  return (struct uni_wait){
      .comm = comm, .misses = misses, .what = what, .timeout_ms = timeout_ms, .culprit = -1};
}

/* Looks around. OK: go on waiting. PEER_LOST or TIMEOUT: rank `culprit` is lost or late: look a last time
 * whether the operation can end, then call uni_wait_failed. Else: the communicator is broken already. */
unisono_status uni_wait_check(struct uni_wait *wait);

/* Gives the processor away for a moment, in a way that fits how long the waiting has taken. False: still
 * spinning, the next look around is not due. */
bool uni_wait_nap(struct uni_wait *wait);

/* Both: naps, and looks around when that is due. */
unisono_status uni_wait_pause(struct uni_wait *wait);

void uni_wait_end(struct uni_wait *wait);

/* Something has moved: the next moment of waiting begins with spinning again. The time limit stays. */
void uni_wait_restart(struct uni_wait *wait);

/* Breaks the communicator for what uni_wait_pause found; returns the failure that counts. */
unisono_status uni_wait_failed(struct uni_wait *wait, unisono_status status, const char *what);

/* Before a look at a line that will not be there yet. */
static inline void uni_relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("isb");
#elif defined(__riscv)
  __asm__ __volatile__(".insn i 0x0f, 0, x0, x0, 0x010"); /* pause */
#endif
}

/* Wakes the ranks of `comm` that sleep. */
static inline void uni_wake(unisono_comm *comm);
void uni_wake_sleepers(unisono_comm *comm);
void uni_wake_rank(unisono_comm *comm, int rank);

/* What was published must not be overtaken by the look for sleepers. The sleeper's membarrier sees to that on
 * the processor's side, this on the compiler's. */
static inline void uni_order_after_publishing(const unisono_comm *comm) {
  if (comm->world->settings.fences)
    atomic_thread_fence(memory_order_seq_cst);
  else
    atomic_signal_fence(memory_order_seq_cst);
}

static inline void uni_wake(unisono_comm *comm) {
  uni_order_after_publishing(comm);
  if (atomic_load_explicit(&comm->header->sleepers, memory_order_relaxed))
    uni_wake_sleepers(comm);
}

/* For the helper thread, which waits for many communicators at once: announce each, then fence, then look
 * again. */
void uni_announce(unisono_comm *comm, uint32_t *bell);
void uni_retract(unisono_comm *comm);
void uni_announce_fence(bool full);
_Atomic uint32_t *uni_bell(const unisono_comm *comm);

#endif
