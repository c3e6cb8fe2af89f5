#include "machines/across.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "collectives/arrive.h"
#include "error.h"
#include "hash.h"
#include "rendezvous/identity.h"

enum { LEADERS_MOMENT_MS = 2000 };

void uni_across_limit(struct uni_span *span, bool waits_for_others) {
  int ms = span->deadline == UNI_NEVER ? -1 : uni_ms_until(span->deadline, INT32_MAX);
  span->local->timeout_ms = ms < 0 ? -1 : waits_for_others ? ms + LEADERS_MOMENT_MS : ms;
}

/* ---- entering */

static struct uni_entry entry_of(const struct uni_span *span, const struct uni_call *call) {
  struct uni_entry e = {
      .sequence = span->sequence, .call = uni_line_call(call), .count = call->count, .match = call->match};
  if (call->kind == UNI_ALL_TO_ALLV) {
    e.count = 0; /* compared pairwise: exchange.c */
  } else if (call->kind == UNI_ALL_GATHERV) {
    size_t mine = call->recv_counts[span->comm->rank];
    e.counts = uni_hash(call->recv_counts, (size_t)span->comm->size * sizeof *call->recv_counts, 1);
    e.counts ^= call->count == mine ? 0 : call->count + 1; /* sends another number than awaited */
    e.count = call->recv_counts[0];
  }
  return e;
}

static bool is_same(const struct uni_entry *a, const struct uni_entry *b) {
  return memcmp(a, b, offsetof(struct uni_entry, rider)) == 0;
}

static unisono_status mismatch(struct uni_span *span, const struct uni_entry *theirs, int rank,
                               const struct uni_entry *mine) {
  char a[128], b[128];
  uni_line_describe(theirs->call, theirs->count, theirs->match, a, sizeof a);
  uni_line_describe(mine->call, mine->count, mine->match, b, sizeof b);
  return uni_span_break(span, UNISONO_ERROR_MISMATCH, "rank %d called %s, rank %d %s", rank, a,
                        span->comm->rank, b);
}

/* The ranks of this machine. */
static unisono_status enter_here(struct uni_span *span, const struct uni_entry *mine) {
  enum { WORDS = offsetof(struct uni_entry, rider) / sizeof(uint64_t) };
  int n = span->local->size;
  uint64_t few[16 * WORDS], *all = n <= 16 ? few : malloc((size_t)n * WORDS * sizeof *all);
  if (!all)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for %d entries", n);
  uni_across_limit(span, false);
  unisono_status status = unisono_all_gather(mine, all, WORDS, UNISONO_UINT64, span->local);
  if (status)
    status = uni_span_failed(span, status);
  for (int i = 0; i < n && !status; i++) {
    struct uni_entry theirs;
    memcpy(&theirs, all + (size_t)i * WORDS, WORDS * sizeof *all);
    if (!is_same(&theirs, mine))
      status = mismatch(span, &theirs, span->local->names[i], mine);
  }
  if (all != few)
    free(all);
  return status;
}

/* The leaders of the machines. */
static unisono_status enter_across(struct uni_span *span, const struct uni_call *call,
                                   struct uni_entry *entries) {
  int n = span->machines;
  int *bytes = malloc(2 * (size_t)n * sizeof *bytes);
  if (!bytes)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for %d machines", n);
  for (int m = 0; m < n; m++) {
    bytes[m] = (int)sizeof *entries;
    bytes[n + m] = m * (int)sizeof *entries;
  }
  uni_engine_request request;
  unisono_status status =
      span->carrier->engine->all_gather(span->column, entries, bytes, bytes + n, &request);
  status = status ? uni_span_failed(span, status) : uni_span_wait(span, &request, uni_kind_name(call->kind));
  free(bytes);
  for (int m = 0; m < n && !status; m++)
    if (!is_same(&entries[m], &entries[span->machine]))
      status = mismatch(span, &entries[m], span->order[span->first[m]], &entries[span->machine]);
  return status;
}

unisono_status uni_across_enter(struct uni_span *span, const struct uni_call *call, uni_rider_fn fill,
                                const struct uni_entry **all) {
  struct uni_entry mine = entry_of(span, call);
  struct uni_entry *entries = (void *)uni_span_bounce(span, (size_t)span->machines * sizeof *entries);
  if (!entries)
    return UNISONO_ERROR_MEMORY;
  unisono_status status = enter_here(span, &mine);
  if (status)
    return status;
  entries[span->machine] = mine;
  if (fill && (status = fill(span, call, entries[span->machine].rider)))
    return uni_span_failed(span, status);
  if (span->local->rank == 0 && (status = enter_across(span, call, entries)))
    return status;
  uni_across_limit(span, true);
  /* what the others need, or only that all have come */
  size_t told = fill ? (size_t)span->machines * sizeof *entries : 1;
  status = unisono_broadcast(entries, told, UNISONO_UINT8, 0, span->local);
  if (all)
    *all = entries;
  return status ? uni_span_failed(span, status) : UNISONO_OK;
}

/* ---- all */

static unisono_status run(struct uni_span *span, const struct uni_call *call) {
  switch (call->kind) {
  case UNI_BARRIER:
    return uni_across_enter(span, call, NULL, NULL);
  case UNI_ALL_REDUCE:
  case UNI_REDUCE:
  case UNI_REDUCE_SCATTER:
    return uni_across_reduce(span, call);
  case UNI_BROADCAST:
    return uni_across_broadcast(span, call);
  case UNI_ALL_GATHER:
  case UNI_ALL_GATHERV:
    return uni_across_gather(span, call);
  default:
    return uni_across_exchange(span, call);
  }
}

unisono_status uni_across(struct uni_span *span, const struct uni_call *call) {
  if (uni_comm_is_broken(span->local))
    return uni_comm_failure(span->local);
  span->sequence++;
  span->deadline = uni_deadline(span->comm->timeout_ms);
  span->lost_at = 0;
  return run(span, call);
}
