#include "comm.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "log.h"
#include "machines/span.h"
#include "request.h"
#include "shm/wait.h"

/* ---- failures: the cause is one word, set once; its words are in the finder's place.
 *      bit 63: set; bits 48-55: status; bits 0-31: the finder's rank */

static uint64_t cause_of(unisono_status status, int finder) {
  return UINT64_C(1) << 63 | (uint64_t)status << 48 | (uint32_t)finder;
}

unisono_status uni_comm_failure(unisono_comm *comm) {
  /* acquire: the finder's words were written before */
  uint64_t cause = atomic_load_explicit(&comm->header->cause, memory_order_acquire);
  uint32_t finder = (uint32_t)cause;
  unisono_status status = (unisono_status)(cause >> 48 & 0xff);
  char text[UNI_TEXT] = "";
  if (finder < (uint32_t)comm->size)
    memcpy(text, comm->places[finder].text, sizeof text);
  text[UNI_TEXT - 1] = 0;
  if (status <= UNISONO_OK || status > UNISONO_ERROR_UNSUPPORTED)
    status = UNISONO_ERROR_SYSTEM;
  return uni_fail(status, "%s", text);
}

static void wake_all(unisono_comm *comm) {
  uni_wake(comm);
  for (int r = 0; r < comm->size; r++)
    uni_wake_rank(comm, r);
}

unisono_status uni_comm_break(unisono_comm *comm, unisono_status status, const char *format, ...) {
  pthread_mutex_lock(&comm->text_lock);
  if (!uni_comm_is_broken(comm)) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(comm->places[comm->rank].text, UNI_TEXT, format, arguments);
    va_end(arguments);
    uint64_t none = 0;
    /* acquire and release: who sees the cause sees the words, and what this rank writes from now on comes
     * after it */
    if (atomic_compare_exchange_strong_explicit(&comm->header->cause, &none, cause_of(status, comm->rank),
                                                memory_order_acq_rel, memory_order_acquire))
      uni_log(UNI_LOG_INFO, "communicator %llx is broken: %s", (unsigned long long)comm->id,
              comm->places[comm->rank].text);
    /* a caller that goes on to write its buffers must not overtake the cause: see run.c, check_whole */
    atomic_thread_fence(memory_order_seq_cst);
  }
  pthread_mutex_unlock(&comm->text_lock);
  wake_all(comm);
  return uni_comm_failure(comm);
}

bool uni_comm_has_left(const unisono_comm *comm, int rank) {
  /* acquire: all that the rank published before it left is seen */
  return atomic_load_explicit(&comm->places[rank].left, memory_order_acquire) != 0;
}

bool uni_comm_lost(unisono_comm *comm, int rank) {
  return rank != comm->rank &&
         (uni_comm_has_left(comm, rank) || uni_world_is_gone(comm->world, comm->world_ranks[rank]));
}

unisono_status uni_fault_comm(const unisono_comm *comm, const char *function) {
  if (!comm)
    return uni_fail(UNISONO_ERROR_INVALID, "%s: comm is NULL", function);
  return uni_fail(
      UNISONO_ERROR_INVALID,
      "%s: comm belongs to the process that this one was forked from (rank %d); make a communicator in "
      "this process",
      function, comm->rank);
}

/* ---- the shared segment */

uint64_t *uni_comm_counts(const unisono_comm *comm, int rank, int which) {
  size_t n = (size_t)comm->size;
  return (uint64_t *)(void *)(comm->segment->base + comm->layout.counts) +
         ((size_t)rank * 4 + (size_t)which) * n;
}

/* ---- public */

unisono_status unisono_comm_destroy(unisono_comm *comm) {
  if (!comm)
    return UNISONO_OK;
  unisono_status status = uni_comm_check(comm, "unisono_comm_destroy");
  if (status)
    return status;
  if (comm->span)
    return uni_span_destroy(comm);
  uni_queue_stop(comm);
  struct uni_world *world = comm->world;
  /* release: all that this rank has published in the communicator is seen by who sees that it left */
  atomic_store_explicit(&comm->places[comm->rank].left, 1, memory_order_release);
  wake_all(comm);
  uni_comm_discard(comm);
  uni_world_put(world);
  return UNISONO_OK;
}

unisono_status unisono_comm_abort(unisono_comm *comm) {
  unisono_status status = uni_comm_check(comm, "unisono_comm_abort");
  if (!status && comm->span)
    uni_span_break(comm->span, UNISONO_ERROR_PEER_LOST, "rank %d aborted the communicator", comm->rank);
  else if (!status)
    uni_comm_break(comm, UNISONO_ERROR_PEER_LOST, "rank %d aborted the communicator", comm->rank);
  return status;
}

unisono_status unisono_comm_set_timeout(unisono_comm *comm, int timeout_ms) {
  unisono_status status = uni_comm_check(comm, "unisono_comm_set_timeout");
  if (!status && timeout_ms < -1)
    status = uni_fail(
        UNISONO_ERROR_INVALID,
        "unisono_comm_set_timeout, rank %d: timeout_ms is %d; use -1 (none), 0 (the default) or more",
        comm->rank, timeout_ms);
  int resolved_ms = 0;
  if (!status)
    status = uni_env_timeout(timeout_ms, &resolved_ms);
  if (!status) /* relaxed: other threads may start transfers meanwhile, with the one limit or the other */
    atomic_store_explicit(&comm->timeout_ms, resolved_ms, memory_order_relaxed);
  return status;
}

int unisono_comm_rank(const unisono_comm *comm) {
  return comm ? comm->rank : -1;
}

int unisono_comm_size(const unisono_comm *comm) {
  return comm ? comm->size : -1;
}
