#include "machines/across.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "collectives/arrive.h"
#include "collectives/select.h"
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
  return memcmp(a, b, sizeof *a) == 0;
}

static unisono_status mismatch(struct uni_span *span, const struct uni_entry *theirs, int rank,
                               const struct uni_entry *mine) {
  char a[128], b[128];
  uni_line_describe(theirs->call, theirs->count, theirs->match, a, sizeof a);
  uni_line_describe(mine->call, mine->count, mine->match, b, sizeof b);
  return uni_span_break(span, UNISONO_ERROR_MISMATCH, "rank %d called %s, rank %d %s", rank, a,
                        span->comm->rank, b);
}

/* Blocks are of one size, whatever was called: so that it is compared here, and not by the all_gather. */
static unisono_status gather_entries(struct uni_span *span, const struct uni_entry *mine, const char *block,
                                     char *all) {
  uni_across_limit(span, false);
  span->entered = true;
  unisono_status status = unisono_all_gather(block, all, UNI_HERE, UNISONO_UINT8, span->local);
  if (status)
    return uni_span_failed(span, status);
  for (int i = 0; i < span->local->size; i++) {
    struct uni_entry theirs;
    memcpy(&theirs, all + (size_t)i * UNI_HERE, sizeof theirs);
    if (!is_same(&theirs, mine))
      return mismatch(span, &theirs, span->local->names[i], mine);
  }
  return UNISONO_OK;
}

unisono_status uni_across_enter_here(struct uni_span *span, const struct uni_call *call,
                                     struct uni_entry *mine, const void *payload, size_t bytes, char *all) {
  _Alignas(UNI_LINE) char block[UNI_HERE] = {0}, few[16 * UNI_HERE];
  size_t n = (size_t)span->local->size;
  char *entries = all ? all : n <= 16 ? few : malloc(n * UNI_HERE);
  if (!entries)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for %zu entries", n);
  *mine = entry_of(span, call);
  memcpy(block, mine, sizeof *mine);
  if (bytes)
    memcpy(block + UNI_HEAD, payload, bytes);
  unisono_status status = gather_entries(span, mine, block, entries);
  if (entries != few && entries != all)
    free(entries);
  return status;
}

/* ---- with the other machines */

/* Where a message may be shorter than it is awaited, it is as long as its call has it: who called something
 * else finds out all the same. Else all entries are of one size, whatever was called. */
static bool is_fitted(const struct uni_span *span) {
  return span->machines <= UNI_SWAP_DIRECT && span->carrier->engine->most_fitted > 0;
}

size_t uni_across_most_riding(const struct uni_span *span) {
  return is_fitted(span) ? span->carrier->engine->most_fitted - UNI_HEAD : uni_select_rider(span->machines);
}

size_t uni_across_block(const struct uni_span *span, size_t payload) {
  return UNI_HEAD + (is_fitted(span) ? payload : uni_select_rider(span->machines));
}

static const struct uni_entry *entry_at(const struct uni_entering *e, int machine) {
  return (const struct uni_entry *)(const void *)(e->blocks + (size_t)machine * e->stride);
}

static unisono_status compare(struct uni_span *span, const struct uni_entering *e) {
  for (int m = 0; m < span->machines; m++)
    if (!is_same(entry_at(e, m), &e->mine))
      return mismatch(span, entry_at(e, m), uni_span_rank(span, m, 0), &e->mine);
  return UNISONO_OK;
}

unisono_status uni_across_enter_begin(struct uni_span *span, struct uni_entering *e, size_t payload) {
  memcpy(e->blocks + (size_t)span->machine * e->stride, &e->mine, sizeof e->mine);
  return uni_swap_begin(span, e->blocks, uni_across_block(span, payload), e->stride, &e->swap);
}

unisono_status uni_across_enter_end(struct uni_span *span, const struct uni_call *call,
                                    struct uni_entering *e) {
  unisono_status status = uni_swap_end(span, &e->swap, uni_kind_name(call->kind));
  return status ? status : compare(span, e);
}

/* With so many machines that everybody's entry would be too much: is the least hash of all the greatest one
 * too? */
static unisono_status compare_hashes(struct uni_span *span, const struct uni_call *call,
                                     struct uni_entering *e, bool *same) {
  uint64_t *pair = (uint64_t *)(void *)e->blocks;
  uni_engine_request request;
  pair[0] = uni_hash(&e->mine, sizeof e->mine, 1);
  pair[1] = ~pair[0];
  unisono_status status =
      span->carrier->engine->all_reduce(span->column, pair, 2, UNISONO_UINT64, UNISONO_MIN, &request);
  status = status ? uni_span_failed(span, status) : uni_span_wait(span, &request, uni_kind_name(call->kind));
  *same = !status && pair[0] == ~pair[1];
  return status;
}

static unisono_status enter_across(struct uni_span *span, const struct uni_call *call,
                                   struct uni_entering *e) {
  bool same = false;
  unisono_status status = UNISONO_OK;
  e->stride = uni_across_block(span, 0);
  e->blocks = uni_span_bounce(span, (size_t)span->machines * e->stride);
  if (!e->blocks)
    return UNISONO_ERROR_MEMORY;
  if (uni_select_rider(span->machines) == 0)
    status = compare_hashes(span, call, e, &same);
  if (status || same)
    return status;
  status = uni_across_enter_begin(span, e, 0);
  return status ? status : uni_across_enter_end(span, call, e);
}

unisono_status uni_across_tell(struct uni_span *span) {
  char word = 0;
  uni_across_limit(span, true);
  unisono_status status = unisono_broadcast(&word, 1, UNISONO_UINT8, 0, span->local);
  return status ? uni_span_failed(span, status) : UNISONO_OK;
}

unisono_status uni_across_enter(struct uni_span *span, const struct uni_call *call) {
  struct uni_entering e;
  unisono_status status = uni_across_enter_here(span, call, &e.mine, NULL, 0, NULL);
  if (!status && span->local->rank == 0)
    status = enter_across(span, call, &e);
  return status ? status : uni_across_tell(span);
}

/* ---- all */

static unisono_status run(struct uni_span *span, const struct uni_call *call) {
  switch (call->kind) {
  case UNI_BARRIER:
    return uni_across_enter(span, call);
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
  span->entered = false;
  span->deadline = uni_deadline(span->comm->timeout_ms);
  span->lost_at = 0;
  unisono_status status = run(span, call);
  if (!status || uni_comm_is_broken(span->local))
    return status;
  if (span->entered) /* the others would wait for this rank in vain */
    return uni_span_failed(span, status);
  span->sequence--;
  return status;
}
