/* broadcast, all_gather and all_gatherv across machines: the columns' ranks carry a share each. */
#include <stdlib.h>
#include <string.h>

#include "collectives/select.h"
#include "error.h"
#include "machines/across.h"
#include "machines/gather.h"
#include "machines/pipeline.h"

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

static unisono_status here(struct uni_span *span, unisono_status status) {
  return status ? uni_span_failed(span, status) : UNISONO_OK;
}

/* ---- broadcast */

/* What may ride with the entries, if the engine lets it: bytes of all blocks. All machines' messages are as
 * long as that of a broadcast's root, so that many machines send much for nothing. */
enum { SMALL = 96 << 10, SMALL_OF_MANY = 16 << 10 };

/* The root's machine has it first. */
static unisono_status broadcast_at_source(struct uni_span *span, const struct uni_call *call, char *to,
                                          size_t bytes) {
  uni_across_limit(span, true);
  if (span->machine != span->machine_of[call->root])
    return UNISONO_OK;
  return here(span, unisono_broadcast(to, bytes, UNISONO_UINT8, span->local_of[call->root], span->local));
}

/* It rides with the entries; that of the root's machine counts. */
static unisono_status broadcast_small(struct uni_span *span, const struct uni_call *call) {
  struct uni_entering e = {.stride = uni_across_block(span, call->block)};
  unisono_status status = uni_across_enter_here(span, call, &e.mine, NULL, 0, NULL);
  if (!status && !(e.blocks = uni_span_bounce(span, (size_t)span->machines * e.stride)))
    status = UNISONO_ERROR_MEMORY;
  if (status)
    return status;
  char *payload = e.blocks + (size_t)span->machine_of[call->root] * e.stride + UNI_HEAD;
  if (span->comm->rank == call->root && call->block)
    memcpy(payload, call->send, call->block);
  status = broadcast_at_source(span, call, payload, call->block);
  if (!status && span->local->rank == 0 && !(status = uni_across_enter_begin(span, &e, call->block)))
    status = uni_across_enter_end(span, call, &e);
  if (!status)
    status = span->machine == span->machine_of[call->root]
                 ? uni_across_tell(span)
                 : here(span, unisono_broadcast(payload, call->block, UNISONO_UINT8, 0, span->local));
  if (!status && span->comm->rank != call->root && call->block)
    memcpy(call->recv, payload, call->block);
  return status;
}

/* Large: while a chunk is between the machines, the root's machine broadcasts the next, and the others the
 * one before. */
struct chunk {
  char *at, *bounce;
  size_t n, from, share; /* this rank carries `share` bytes from `from` on */
  int columns;
  uni_engine_request request;
};

struct broadcast {
  struct uni_span *span;
  const struct uni_call *call;
  size_t most; /* bytes of a chunk */
  char *bounce;
  struct chunk chunks[2];
};

static bool is_source(const struct broadcast *b) {
  return b->span->machine == b->span->machine_of[b->call->root];
}

static unisono_status ready_chunk(void *what, size_t k) {
  struct broadcast *b = what;
  struct uni_span *span = b->span;
  struct chunk *c = &b->chunks[k % 2];
  size_t at = k * b->most, left = b->call->block - at;
  *c = (struct chunk){.at = (char *)b->call->recv + at,
                      .n = left < b->most ? left : b->most,
                      .bounce = b->bounce + k % 2 * (b->most + UNI_LINE)};
  c->columns = uni_select_columns(span, c->n);
  if (span->local->rank < c->columns)
    uni_across_share(c->n, c->columns, span->local->rank, &c->from, &c->share);
  return broadcast_at_source(span, b->call, c->at, c->n);
}

static unisono_status depart_chunk(void *what, size_t k) {
  struct broadcast *b = what;
  struct uni_span *span = b->span;
  struct chunk *c = &b->chunks[k % 2];
  if (!c->share)
    return UNISONO_OK;
  if (is_source(b))
    memcpy(c->bounce, c->at + c->from, c->share);
  return here(span, span->carrier->engine->broadcast(span->column, c->bounce, c->share,
                                                     span->machine_of[b->call->root], &c->request));
}

static unisono_status arrive_chunk(void *what, size_t k) {
  struct broadcast *b = what;
  struct chunk *c = &b->chunks[k % 2];
  return c->share ? uni_span_wait(b->span, &c->request, uni_kind_name(b->call->kind)) : UNISONO_OK;
}

static unisono_status spread_chunk(void *what, size_t k) {
  struct broadcast *b = what;
  const struct chunk *c = &b->chunks[k % 2];
  if (is_source(b))
    return UNISONO_OK;
  if (c->share)
    memcpy(c->at + c->from, c->bounce, c->share);
  uni_across_limit(b->span, true);
  return here(b->span, share_here(b->span, c->at, c->n, c->columns));
}

static unisono_status broadcast_large(struct uni_span *span, const struct uni_call *call) {
  struct broadcast b = {.span = span, .call = call, .most = uni_select_piece(span, call->block, true)};
  b.bounce = uni_span_bounce(span, 2 * (b.most + UNI_LINE)); /* one column may carry all of it */
  if (!b.bounce)
    return UNISONO_ERROR_MEMORY;
  const struct uni_stages stages = {ready_chunk, depart_chunk, arrive_chunk, spread_chunk};
  return uni_pipeline(span, &stages, &b, (call->block + b.most - 1) / b.most);
}

static bool is_broadcast_small(const struct uni_span *span, const struct uni_call *call) {
  bool is_little = call->block <= SMALL_OF_MANY || (size_t)span->machines * call->block <= SMALL;
  return is_little && call->block <= uni_across_most_riding(span);
}

unisono_status uni_across_broadcast(struct uni_span *span, const struct uni_call *call) {
  if (is_broadcast_small(span, call))
    return broadcast_small(span, call);
  unisono_status status = uni_across_enter(span, call);
  return status ? status : broadcast_large(span, call);
}

/* ---- all_gather of little: it rides with the entries */

static int most_ranks(const struct uni_span *span) {
  int most = 0;
  for (int m = 0; m < span->machines; m++)
    most = uni_span_count(span, m) > most ? uni_span_count(span, m) : most;
  return most;
}

static bool is_gathered_small(const struct uni_span *span, const struct uni_call *call) {
  return call->kind == UNI_ALL_GATHER && call->block && (size_t)span->comm->size * call->block <= SMALL &&
         (size_t)most_ranks(span) * call->block <= uni_across_most_riding(span);
}

/* The machine's blocks, one after the other, at its leader. Short ones have come with the local entries. */
static unisono_status gather_entered(struct uni_span *span, const struct uni_call *call, const char *entered,
                                     char *to) {
  uni_across_limit(span, true);
  if (!entered)
    return here(span, unisono_gather(call->send, to, call->block, UNISONO_UINT8, 0, span->local));
  for (int i = 0; i < span->local->size; i++)
    memcpy(to + (size_t)i * call->block, entered + (size_t)i * UNI_HERE + UNI_HEAD, call->block);
  return UNISONO_OK;
}

static void deliver(const struct uni_span *span, const struct uni_call *call, const struct uni_entering *e) {
  for (int r = 0; r < span->comm->size; r++) {
    const char *blocks = e->blocks + (size_t)span->machine_of[r] * e->stride + UNI_HEAD;
    memcpy((char *)call->recv + (size_t)r * call->block, blocks + (size_t)span->local_of[r] * call->block,
           call->block);
  }
}

static unisono_status gather_small(struct uni_span *span, const struct uni_call *call) {
  size_t payload = (size_t)most_ranks(span) * call->block, n = (size_t)span->local->size;
  bool goes_along = call->block <= UNI_HERE - UNI_HEAD;
  struct uni_entering e = {.stride = uni_whole_lines(uni_across_block(span, payload))};
  size_t all = (size_t)span->machines * e.stride;
  char *bounce = uni_span_bounce(span, all + n * UNI_HERE), *entered = goes_along ? bounce + all : NULL;
  if (!bounce)
    return UNISONO_ERROR_MEMORY;
  e.blocks = bounce;
  unisono_status status = uni_across_enter_here(span, call, &e.mine, goes_along ? call->send : NULL,
                                                goes_along ? call->block : 0, entered);
  if (!status)
    status = gather_entered(span, call, entered, bounce + (size_t)span->machine * e.stride + UNI_HEAD);
  if (!status && span->local->rank == 0 && !(status = uni_across_enter_begin(span, &e, payload)))
    status = uni_across_enter_end(span, call, &e);
  if (!status)
    status = here(span, unisono_broadcast(bounce, all, UNISONO_UINT8, 0, span->local));
  if (!status)
    deliver(span, call, &e);
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

static size_t piece(const struct window *w, int rank) {
  size_t all = uni_gather_bytes(w->call, rank), left = all > w->at ? all - w->at : 0;
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
    int rank = uni_span_rank(span, span->machine, i);
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
    size_t from = uni_gather_displ(w->call, r);
    if (piece(w, r))
      memcpy((char *)w->call->recv + from + w->at, w->bounce + w->place[r], piece(w, r));
  }
  return status;
}

static unisono_status gather_window(struct window *w) {
  lay_out(w);
  int columns = uni_select_columns(w->span, w->base[w->span->machines]);
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
    longest = uni_gather_bytes(call, r) > longest ? uni_gather_bytes(call, r) : longest;
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
  if (is_gathered_small(span, call))
    return gather_small(span, call);
  if (uni_gather_suits(span, call))
    return uni_gather(span, call);
  size_t n = (size_t)span->comm->size, machines = (size_t)span->machines;
  struct window w = {.span = span,
                     .call = call,
                     .place = calloc(n, sizeof *w.place),
                     .base = calloc(machines + 1, sizeof *w.base),
                     .bytes = calloc(machines, sizeof *w.bytes),
                     .displs = calloc(machines, sizeof *w.displs)};
  unisono_status status = w.place && w.base && w.bytes && w.displs
                              ? uni_across_enter(span, call)
                              : uni_fail(UNISONO_ERROR_MEMORY, "no memory for %d ranks", span->comm->size);
  if (!status)
    status = gather_windows(&w);
  free(w.place);
  free(w.base);
  if (!span->abandoned) { /* else they are the engine's */
    free(w.bytes);
    free(w.displs);
  }
  return status;
}
