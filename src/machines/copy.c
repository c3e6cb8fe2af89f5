/* broadcast, all_gather and all_gatherv across machines: the columns' ranks carry a share each. */
#include <stdlib.h>
#include <string.h>

#include "collectives/select.h"
#include "error.h"
#include "machines/across.h"

static unisono_status wait_for(struct uni_span *span, unisono_status started, uni_engine_request *request,
                               const struct uni_call *call) {
  return started ? uni_span_failed(span, started) : uni_span_wait(span, request, uni_kind_name(call->kind));
}

/* The columns' shares of `bytes` at `to`, to all ranks of the machine. */
static unisono_status share_here(struct uni_span *span, char *to, size_t bytes, int columns) {
  unisono_comm *local = span->local;
  if (columns == 1)
    return unisono_broadcast(to, bytes, UNISONO_UINT8, 0, local);
  size_t *counts = calloc(2 * (size_t)local->size, sizeof *counts), *displs = counts + local->size;
  if (!counts)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for %d counts", local->size);
  for (int i = 0; i < columns; i++)
    uni_across_share(bytes, columns, i, &displs[i], &counts[i]);
  unisono_status status = unisono_all_gatherv(to + displs[local->rank], counts[local->rank], to, counts,
                                              displs, UNISONO_UINT8, local);
  free(counts);
  return status;
}

/* ---- broadcast */

static unisono_status fill_rider(struct uni_span *span, const struct uni_call *call, void *rider) {
  if (span->machine != span->machine_of[call->root])
    return UNISONO_OK;
  if (span->comm->rank == call->root && call->block)
    memcpy(rider, call->send, call->block);
  return unisono_broadcast(rider, call->block, UNISONO_UINT8, span->local_of[call->root], span->local);
}

static unisono_status broadcast_chunk(struct uni_span *span, const struct uni_call *call, char *at, size_t n,
                                      char *bounce) {
  int source = span->machine_of[call->root], columns = uni_select_columns(n, span->columns);
  unisono_status status = UNISONO_OK;
  uni_across_limit(span, true);
  if (span->machine == source)
    status = unisono_broadcast(at, n, UNISONO_UINT8, span->local_of[call->root], span->local);
  if (status)
    return uni_span_failed(span, status);
  if (span->local->rank < columns) {
    size_t from, share;
    uni_engine_request request;
    uni_across_share(n, columns, span->local->rank, &from, &share);
    if (span->machine == source)
      memcpy(bounce, at + from, share);
    if (share)
      status = wait_for(span, span->carrier->engine->broadcast(span->column, bounce, share, source, &request),
                        &request, call);
    if (!status && span->machine != source)
      memcpy(at + from, bounce, share);
  }
  if (status || span->machine == source)
    return status;
  status = share_here(span, at, n, columns);
  return status ? uni_span_failed(span, status) : UNISONO_OK;
}

unisono_status uni_across_broadcast(struct uni_span *span, const struct uni_call *call) {
  bool small = call->block <= UNI_RIDER;
  const struct uni_entry *entries;
  unisono_status status = uni_across_enter(span, call, small ? fill_rider : NULL, &entries);
  if (status)
    return status;
  if (small) {
    if (span->comm->rank != call->root && call->block)
      memcpy(call->recv, entries[span->machine_of[call->root]].rider, call->block);
    return UNISONO_OK;
  }
  size_t most = (size_t)UNI_CHUNK * (size_t)span->columns;
  char *bounce = uni_span_bounce(span, UNI_CHUNK + 64);
  if (!bounce)
    return UNISONO_ERROR_MEMORY;
  for (size_t at = 0; at < call->block && !status; at += most)
    status = broadcast_chunk(span, call, (char *)call->recv + at,
                             call->block - at < most ? call->block - at : most, bounce);
  return status;
}

/* ---- all_gather, all_gatherv: a window of every rank's block at a time */

struct window {
  struct uni_span *span;
  const struct uni_call *call;
  size_t at, most; /* bytes of each block */
  size_t *place;   /* by rank: where its piece is in the bounce buffer */
  size_t *base;    /* by machine; one more for the end */
  int *bytes, *displs;
  char *bounce;
};

static size_t block_bytes(const struct uni_call *call, int rank) {
  return call->kind == UNI_ALL_GATHERV ? call->recv_counts[rank] * call->element : call->block;
}

static size_t piece(const struct window *w, int rank) {
  size_t all = block_bytes(w->call, rank), left = all > w->at ? all - w->at : 0;
  return left < w->most ? left : w->most;
}

static void lay_out(struct window *w) {
  const struct uni_span *span = w->span;
  size_t end = 0;
  for (int m = 0; m < span->machines; m++) {
    w->base[m] = end;
    for (int i = span->first[m]; i < span->first[m + 1]; i++) {
      w->place[span->order[i]] = end;
      end += piece(w, span->order[i]);
    }
  }
  w->base[span->machines] = end;
}

static unisono_status gather_here(struct window *w) {
  struct uni_span *span = w->span;
  int n = span->local->size;
  size_t *counts = malloc(2 * (size_t)n * sizeof *counts), base = w->base[span->machine];
  if (!counts)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for %d counts", n);
  for (int i = 0; i < n; i++) {
    int rank = span->order[span->first[span->machine] + i];
    counts[i] = piece(w, rank);
    counts[n + i] = w->place[rank] - base;
  }
  const char *mine = (const char *)w->call->send;
  unisono_status status =
      unisono_all_gatherv(mine ? mine + w->at : NULL, counts[span->local->rank], w->bounce + base, counts,
                          counts + n, UNISONO_UINT8, span->local);
  free(counts);
  return status;
}

static unisono_status gather_across(struct window *w, int columns) {
  struct uni_span *span = w->span;
  uni_engine_request request;
  if (span->local->rank >= columns)
    return UNISONO_OK;
  for (int m = 0; m < span->machines; m++) {
    size_t from, n;
    uni_across_share(w->base[m + 1] - w->base[m], columns, span->local->rank, &from, &n);
    w->bytes[m] = (int)n;
    w->displs[m] = (int)(w->base[m] + from);
  }
  return wait_for(span,
                  span->carrier->engine->all_gather(span->column, w->bounce, w->bytes, w->displs, &request),
                  &request, w->call);
}

/* What the columns brought, to all ranks of the machine; then to where it belongs. */
static unisono_status spread(struct window *w, int columns) {
  struct uni_span *span = w->span;
  unisono_status status = UNISONO_OK;
  if (columns == 1)
    status = unisono_broadcast(w->bounce, w->base[span->machines], UNISONO_UINT8, 0, span->local);
  for (int m = 0; m < span->machines && !status && columns > 1; m++)
    if (m != span->machine)
      status = share_here(span, w->bounce + w->base[m], w->base[m + 1] - w->base[m], columns);
  for (int r = 0; r < span->comm->size && !status; r++) {
    size_t from = w->call->kind == UNI_ALL_GATHERV ? w->call->recv_displs[r] * w->call->element
                                                   : (size_t)r * w->call->block;
    if (piece(w, r))
      memcpy((char *)w->call->recv + from + w->at, w->bounce + w->place[r], piece(w, r));
  }
  return status;
}

static unisono_status gather_window(struct window *w) {
  lay_out(w);
  int columns = uni_select_columns(w->base[w->span->machines], w->span->columns);
  uni_across_limit(w->span, true);
  unisono_status status = gather_here(w);
  if (status)
    return uni_span_failed(w->span, status);
  status = gather_across(w, columns);
  if (status)
    return status;
  status = spread(w, columns);
  return status ? uni_span_failed(w->span, status) : UNISONO_OK;
}

static size_t longest_block(const struct uni_span *span, const struct uni_call *call) {
  size_t longest = 0;
  for (int r = 0; r < span->comm->size; r++)
    longest = block_bytes(call, r) > longest ? block_bytes(call, r) : longest;
  return longest;
}

static unisono_status gather_windows(struct window *w) {
  size_t longest = longest_block(w->span, w->call), n = (size_t)w->span->comm->size;
  size_t most = 4 * (size_t)UNI_CHUNK / n / UNI_LINE * UNI_LINE + UNI_LINE;
  w->most = most < longest ? most : longest;
  w->bounce = uni_span_bounce(w->span, w->most * n + UNI_LINE);
  unisono_status status = w->bounce ? UNISONO_OK : UNISONO_ERROR_MEMORY;
  for (w->at = 0; w->at < longest && !status; w->at += w->most)
    status = gather_window(w);
  return status;
}

unisono_status uni_across_gather(struct uni_span *span, const struct uni_call *call) {
  size_t n = (size_t)span->comm->size, machines = (size_t)span->machines;
  struct window w = {.span = span,
                     .call = call,
                     .place = calloc(n, sizeof *w.place),
                     .base = calloc(machines + 1, sizeof *w.base),
                     .bytes = calloc(machines, sizeof *w.bytes),
                     .displs = calloc(machines, sizeof *w.displs)};
  unisono_status status = w.place && w.base && w.bytes && w.displs
                              ? uni_across_enter(span, call, NULL, NULL)
                              : uni_fail(UNISONO_ERROR_MEMORY, "no memory for %d ranks", span->comm->size);
  if (!status)
    status = gather_windows(&w);
  free(w.place);
  free(w.base);
  free(w.bytes);
  free(w.displs);
  return status;
}
