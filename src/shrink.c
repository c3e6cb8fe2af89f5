/* unisono_comm_shrink: the survivors agree on who they are, in the shared segment of the broken communicator.
 *
 * Each survivor says that it has come. The lowest of those who have come and live decides, once every other
 * rank has come, is lost, or the time is up: it writes the list into its own place and makes it count by one
 * compare-exchange. If it dies before that, the next one decides. A rank that is not on the list has come too
 * late.
 *
 * Of a communicator that spans machines the survivors of one machine can go on, by the segment of its part,
 * where those of all others are gone. Who comes tells the other machines, so that each knows when there are
 * others that go on; then an empty list is decided on, and all get UNSUPPORTED. */
#include <stdlib.h>

#include "clock.h"
#include "comm.h"
#include "error.h"
#include "machines/span.h"
#include "shm/wait.h"

enum { POLL_MS = 1, GRACE_MS = 1000, SHRINK_BIRTHS = 1 << 30 };

static size_t list_words(const unisono_comm *comm) {
  return ((size_t)comm->size + 63) / 64;
}

static _Atomic uint64_t *list_of(const unisono_comm *comm, int rank) {
  return (_Atomic uint64_t *)(void *)(comm->segment->base + comm->layout.survivors) +
         (size_t)rank * list_words(comm);
}

static bool has_come(const unisono_comm *comm, int rank, uint32_t attempt) {
  return atomic_load_explicit(&comm->places[rank].regroup, memory_order_acquire) >= attempt;
}

static bool is_survivor(unisono_comm *comm, int rank, uint32_t attempt) {
  return rank == comm->rank || (has_come(comm, rank, attempt) && !uni_comm_lost(comm, rank));
}

/* Are there survivors on other machines? `span`: NULL, or that of which the communicator is this machine's
 * part. */
enum elsewhere { NOBODY, UNKNOWN, SOMEBODY };

static enum elsewhere look_elsewhere(const struct uni_span *span, uint32_t attempt) {
  if (!span)
    return NOBODY;
  struct uni_cluster *cluster = span->carrier->cluster;
  bool news_end = uni_cluster_is_gone(cluster, 0), others_live = false;
  for (int r = 0; r < span->comm->size; r++)
    others_live |= span->machine_of[r] != span->machine && !uni_span_is_gone(span, r);
  /* who has come and is gone since may have been told that this machine lives */
  if (uni_cluster_has_comers(cluster, span->comm->id, attempt) || (others_live && news_end))
    return SOMEBODY;
  return others_live ? UNKNOWN : NOBODY;
}

/* Is it this rank's to decide, now? That there are others elsewhere is anybody's. */
static bool may_decide(unisono_comm *comm, uint32_t attempt, enum elsewhere elsewhere, bool time_is_up) {
  if (elsewhere == SOMEBODY)
    return true;
  if (elsewhere == UNKNOWN && !time_is_up)
    return false;
  for (int r = 0; r < comm->size; r++) {
    if (r < comm->rank && is_survivor(comm, r, attempt))
      return false;
    if (!time_is_up && !is_survivor(comm, r, attempt) && !uni_comm_lost(comm, r))
      return false;
  }
  return true;
}

static void decide(unisono_comm *comm, uint32_t attempt, enum elsewhere elsewhere, uint64_t before) {
  _Atomic uint64_t *list = list_of(comm, comm->rank);
  for (size_t i = 0; i < list_words(comm); i++)
    atomic_store_explicit(&list[i], 0, memory_order_relaxed);
  for (int r = 0; r < comm->size && elsewhere == NOBODY; r++)
    if (is_survivor(comm, r, attempt))
      atomic_fetch_or_explicit(&list[r / 64], UINT64_C(1) << r % 64, memory_order_relaxed);
  /* release: who sees the decision sees the list */
  atomic_compare_exchange_strong_explicit(&comm->header->survivors, &before,
                                          (uint64_t)attempt << 32 | (uint32_t)(comm->rank + 1),
                                          memory_order_acq_rel, memory_order_relaxed);
}

static unisono_status agree(unisono_comm *comm, const struct uni_span *span, uint32_t attempt, int *decider) {
  int64_t deadline = uni_deadline(comm->timeout_ms);
  int64_t last = deadline == UNI_NEVER ? deadline : deadline + GRACE_MS * UNI_MS;
  for (;;) {
    uint64_t decided =
        atomic_load_explicit(&comm->header->survivors, memory_order_acquire); /* the list is there */
    if (decided >> 32 >= attempt) {
      *decider = (int)(uint32_t)decided - 1;
      if (decided >> 32 == attempt && *decider >= 0 && *decider < comm->size)
        return UNISONO_OK;
      return uni_fail(UNISONO_ERROR_PEER_LOST, "rank %d came too late to shrink the communicator",
                      comm->rank);
    }
    uni_world_look(comm->world, false);
    int64_t now = uni_now();
    enum elsewhere elsewhere = look_elsewhere(span, attempt);
    if (may_decide(comm, attempt, elsewhere, now >= deadline))
      decide(comm, attempt, elsewhere, decided);
    else if (now >= last)
      return uni_fail(UNISONO_ERROR_TIMEOUT,
                      "the survivors did not agree in time to shrink the communicator");
    else
      uni_sleep_ms(POLL_MS);
  }
}

static int read_list(unisono_comm *comm, int decider, int *world_ranks, bool *listed) {
  const _Atomic uint64_t *list = list_of(comm, decider);
  int n = 0;
  *listed = false;
  for (int r = 0; r < comm->size; r++)
    if (atomic_load_explicit(&list[r / 64], memory_order_relaxed) >> r % 64 & 1) {
      world_ranks[n++] = comm->world_ranks[r];
      *listed |= r == comm->rank;
    }
  return n;
}

static unisono_status fail_apart(const struct uni_span *span) {
  bool news_end = uni_cluster_is_gone(span->carrier->cluster, 0);
  return uni_fail(UNISONO_ERROR_UNSUPPORTED,
                  "unisono_comm_shrink, rank %d: comm spans machines, and ranks of several %s; what connects "
                  "them (MPI, oneCCL) cannot go on without the ranks that it began with: start the job anew",
                  span->comm->rank,
                  news_end ? "may be alive (rank 0, by which others would hear of their deaths, is gone)"
                           : "are alive");
}

static unisono_status regroup(unisono_comm *comm, const struct uni_span *span, int *world_ranks,
                              unisono_comm **survivors) {
  uint32_t attempt = ++comm->regroups;
  int decider = 0;
  bool listed;
  /* release: orders nothing but itself; the list of survivors is what counts */
  atomic_store_explicit(&comm->places[comm->rank].regroup, attempt, memory_order_release);
  if (span)
    uni_cluster_come(span->carrier->cluster, span->comm->id, attempt);
  unisono_status status = agree(comm, span, attempt, &decider);
  if (status)
    return status;
  int n = read_list(comm, decider, world_ranks, &listed);
  if (n == 0 && span)
    return fail_apart(span);
  if (!listed)
    return uni_fail(UNISONO_ERROR_PEER_LOST, "rank %d came too late: the survivors have gone on without it",
                    comm->rank);
  struct uni_birth birth = {.world_ranks = world_ranks,
                            .n = n,
                            .parent = comm->id,
                            .times = SHRINK_BIRTHS + attempt,
                            .timeout_ms = comm->timeout_ms,
                            .parallel_for = comm->parallel_for,
                            .pool = comm->pool};
  return uni_comm_new(comm->world, &birth, survivors);
}

unisono_status unisono_comm_shrink(unisono_comm *comm, unisono_comm **survivors) {
  unisono_status status = uni_check_part(comm, "unisono_comm_shrink", survivors, "survivors");
  if (status)
    return status;
  if (!uni_comm_is_broken(comm))
    return uni_fail(UNISONO_ERROR_INVALID,
                    "unisono_comm_shrink, rank %d: comm is not broken; use unisono_comm_split", comm->rank);
  unisono_comm *here = comm->span ? comm->span->local : comm;
  here->timeout_ms = comm->timeout_ms;
  int *world_ranks = malloc((size_t)here->size * sizeof *world_ranks);
  if (!world_ranks)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a list of %d ranks", comm->size);
  status = regroup(here, comm->span, world_ranks, survivors);
  free(world_ranks);
  return status;
}
