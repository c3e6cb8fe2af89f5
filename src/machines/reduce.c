/* all_reduce, reduce and reduce_scatter across machines. (scatter.c: where each machine is sent only what its
 * ranks need.) */
#include <stdlib.h>
#include <string.h>

#include "collectives/select.h"
#include "error.h"
#include "kernels/fpenv.h"
#include "machines/across.h"
#include "machines/narrow.h"
#include "machines/reduction.h"
#include "machines/scatter.h"

/* The elements [from, from + n) to be summed up; `wide` has room for them where they have to be converted. */
static const void *elements(const struct uni_reduction *r, size_t from, size_t n, void *wide) {
  const char *at = (const char *)r->call->send + from * r->call->element;
  if (!r->narrow)
    return at;
  uni_widen(wide, (const uint16_t *)(const void *)at, n, r->call->dtype);
  return wide;
}

/* Is this rank to get results, or the rest of its machine while it gets them? */
static bool machine_needs(const struct uni_reduction *r) {
  return r->call->kind != UNI_REDUCE || r->span->machine_of[r->call->root] == r->span->machine;
}

/* Where the results [from, from + n) belong in this rank's receive buffer, if all of them do; else NULL. */
static char *whole_place(const struct uni_reduction *r, size_t from) {
  bool whole = r->call->kind == UNI_ALL_REDUCE ||
               (r->call->kind == UNI_REDUCE && r->span->comm->rank == r->call->root);
  return whole ? (char *)r->call->recv + from * r->call->element : NULL;
}

/* Copies what of the results [from, from + n) is this rank's block of a reduce_scatter. */
static void deliver_block(const struct uni_reduction *r, const char *results, size_t from, size_t n) {
  size_t first = (size_t)r->span->comm->rank * r->call->count, end = first + r->call->count,
         element = r->call->element;
  size_t begin = from > first ? from : first, stop = from + n < end ? from + n : end;
  if (r->call->kind == UNI_REDUCE_SCATTER && begin < stop)
    memcpy((char *)r->call->recv + (begin - first) * element, results + (begin - from) * element,
           (stop - begin) * element);
}

/* ---- chunk by chunk, a slice a column: reduced on each machine, summed up between them, gathered on each.
 * What is between the machines is under way while the machine reduces the next chunk and gathers the one
 * before. */

struct chunk {
  size_t from, n;
  int columns;
  size_t slice_from, slice_n; /* this rank's, within the chunk; n 0: none */
  bool enters;                /* the first one, with which the machines compare their calls */
  bool rides;                 /* its slice is sent with the entry */
  char *slices;               /* a machine's sum of this rank's slice; swapped, one for each, */
  size_t stride;              /* so far apart; else 0 */
  char *result;               /* of this rank's slice: where it belongs, or else among the slices */
  struct uni_entering entering;
  struct uni_swap sums;
  uni_engine_request all_reduce;
};

static char *own_slice(const struct uni_reduction *r, const struct chunk *c) {
  return c->slices + (size_t)r->span->machine * c->stride;
}

/* Each column's rank gets the machine's sum of its slice. */
static unisono_status reduce_here(const struct uni_reduction *r, const struct chunk *c, void *wide) {
  const char *in = elements(r, c->from, c->n, wide);
  char *slice = own_slice(r, c);
  unisono_comm *local = r->span->local;
  unisono_status status = UNISONO_OK;
  uni_across_limit(r->span, true);
  if (local->size == c->columns && c->n % (size_t)c->columns == 0)
    status = unisono_reduce_scatter(in, slice, c->slice_n, r->dtype, r->op, local);
  else
    for (int i = 0; i < c->columns && !status; i++) {
      size_t from, n;
      uni_across_share(c->n, c->columns, i, &from, &n);
      status = unisono_reduce(in + from * r->element, slice, n, r->dtype, r->op, i, local);
    }
  return status ? uni_span_failed(r->span, status) : UNISONO_OK;
}

/* Payload that does not ride with the entries waits for them: who has died does not answer, and a large
 * message to it crashes MPICH 5.0.2. */
static unisono_status begin_across(const struct uni_reduction *r, struct chunk *c) {
  struct uni_span *span = r->span;
  unisono_status status = UNISONO_OK;
  size_t bytes = c->slice_n * r->element;
  if (c->enters && (bytes || span->local->rank == 0))
    status = uni_across_enter_begin(span, &c->entering, c->rides ? bytes : 0);
  if (!status && c->enters && bytes && !c->rides)
    status = uni_across_enter_end(span, r->call, &c->entering);
  if (status || !bytes || c->rides)
    return status;
  if (c->stride)
    return uni_swap_begin(span, c->slices, bytes, c->stride, &c->sums);
  if (r->travels) /* at the end */
    return UNISONO_OK;
  status =
      span->carrier->engine->all_reduce(span->column, c->slices, c->slice_n, r->dtype, r->op, &c->all_reduce);
  return status ? uni_span_failed(span, status) : UNISONO_OK;
}

/* In the machines' order, whoever folds. */
static void fold_slices(const struct uni_reduction *r, const struct chunk *c) {
  const void *in[UNI_MOST_RIDING];
  void *out = c->result;
  for (int m = 0; m < r->span->machines; m++)
    in[m] = c->slices + (size_t)m * c->stride;
  uint64_t fpenv = uni_fpenv_enter();
  r->span->comm->kernels->fold[r->dtype][r->op](&out, 1, in, (size_t)r->span->machines, c->slice_n);
  uni_fpenv_leave(fpenv);
}

static unisono_status sum_narrow(const struct uni_reduction *r, const struct chunk *c) {
  struct uni_narrow w = {.span = r->span,
                         .dtype = r->call->dtype,
                         .op = r->op,
                         .what = uni_kind_name(r->call->kind),
                         .n = c->slice_n};
  unisono_status status = uni_narrow_open(&w);
  if (status)
    return uni_span_failed(r->span, status);
  status = uni_narrow_scatter(&w, (const float *)(const void *)c->slices);
  if (!status) {
    uni_reduction_finish(r, w.sums, w.own);
    status = uni_narrow_gather(&w, (const uint16_t *)(const void *)w.sums);
  }
  if (!status)
    memcpy(c->result, w.wire, w.n * sizeof *w.wire);
  uni_narrow_close(&w);
  return status;
}

static unisono_status await_across(const struct uni_reduction *r, struct chunk *c) {
  const char *what = uni_kind_name(r->call->kind);
  unisono_status status = UNISONO_OK;
  if (c->enters && (c->rides || !c->slice_n) && (c->slice_n || r->span->local->rank == 0))
    status = uni_across_enter_end(r->span, r->call, &c->entering);
  if (status || !c->slice_n || c->rides)
    return status;
  if (c->stride)
    return uni_swap_end(r->span, &c->sums, what);
  return r->travels ? UNISONO_OK : uni_span_wait(r->span, &c->all_reduce, what);
}

/* What has come to this rank's slice of the result. Swapped sums are folded here, which leaves one NaN only.
 */
static unisono_status sum_up(const struct uni_reduction *r, const struct chunk *c) {
  if (!c->slice_n)
    return UNISONO_OK;
  if (r->travels && !c->stride)
    return sum_narrow(r, c);
  if (c->stride)
    fold_slices(r, c);
  if (!c->stride || r->narrow || r->call->op == UNISONO_AVG)
    uni_reduction_finish(r, c->result, c->slice_n);
  return UNISONO_OK;
}

/* The slices' results to all ranks of the machine. */
static unisono_status share_slices(const struct uni_reduction *r, const struct chunk *c, char *to) {
  unisono_comm *local = r->span->local;
  unisono_dtype dtype = r->call->dtype;
  if (c->columns == 1) {
    if (local->rank == 0 && c->n && to != c->result)
      memcpy(to, c->result, c->n * r->call->element);
    return unisono_broadcast(to, c->n, dtype, 0, local);
  }
  size_t *counts = calloc(2 * (size_t)local->size, sizeof *counts);
  if (!counts)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for %d counts", local->size);
  for (int i = 0; i < c->columns; i++)
    uni_across_share(c->n, c->columns, i, &counts[local->size + i], &counts[i]);
  unisono_status status =
      unisono_all_gatherv(c->result, c->slice_n, to, counts, counts + local->size, dtype, local);
  free(counts);
  return status;
}

static unisono_status share_results(const struct uni_reduction *r, const struct chunk *c, char *results) {
  char *place = whole_place(r, c->from), *to = place ? place : results;
  if (!machine_needs(r))
    return c->enters ? uni_across_tell(r->span) : UNISONO_OK;
  uni_across_limit(r->span, true);
  unisono_status status = share_slices(r, c, to);
  if (status)
    return uni_span_failed(r->span, status);
  deliver_block(r, to, c->from, c->n);
  return UNISONO_OK;
}

static unisono_status gather_here(const struct uni_reduction *r, const struct chunk *c, char *results) {
  unisono_status status = sum_up(r, c);
  return status ? status : share_results(r, c, results);
}

/* How all chunks are done, and the memory that they need. */
struct plan {
  bool swaps;  /* the machines swap their sums, and each adds them up; else the engine does */
  size_t most; /* elements of a chunk */
  int columns;
  size_t room; /* of a slice, with an entry before it */
  char *areas[2], *wide, *results;
  struct uni_entry entry;
  char *here; /* small: what the machine's ranks have entered with; else NULL */
};

/* So little that it goes along where the ranks of a machine compare their calls. */
static bool is_small(const struct uni_reduction *r) {
  return r->total * r->element <= UNI_HERE - UNI_HEAD && r->span->local->size <= UNI_MOST_RIDING;
}

static unisono_status make_plan(const struct uni_reduction *r, struct plan *p) {
  struct uni_span *span = r->span;
  size_t most = uni_select_piece(span, r->total * r->element, p->swaps) / r->element, least, whole;
  p->most = most < r->total ? most : r->total;
  p->columns = uni_select_reducers(span, p->most * r->element, p->swaps);
  p->room = UNI_HEAD + uni_whole_lines((p->most + (size_t)p->columns - 1) / (size_t)p->columns * r->element);
  least = uni_whole_lines(uni_across_block(span, 0));
  p->room = p->room < least ? least : p->room;
  whole = uni_whole_lines((p->most + 16) * r->element);
  size_t area = p->room * (p->swaps ? (size_t)span->machines : 1);
  size_t here = p->swaps && is_small(r) ? (size_t)span->local->size * UNI_HERE : 0;
  char *bounce = uni_span_bounce(span, 2 * area + 2 * whole + here);
  if (!bounce)
    return UNISONO_ERROR_MEMORY;
  p->areas[0] = bounce;
  p->areas[1] = bounce + area;
  p->wide = bounce + 2 * area;
  p->results = p->wide + whole;
  p->here = here ? p->results + whole : NULL;
  return UNISONO_OK;
}

static struct chunk chunk_of(const struct uni_reduction *r, const struct plan *p, size_t from, char *area) {
  struct chunk c = {.from = from, .n = r->total - from < p->most ? r->total - from : p->most};
  size_t slice, unused;
  c.columns = p->columns;
  if (r->span->local->rank < c.columns)
    uni_across_share(c.n, c.columns, r->span->local->rank, &c.slice_from, &c.slice_n);
  uni_across_share(c.n, c.columns, 0, &unused, &slice);
  c.enters = p->swaps && from == 0;
  c.rides = c.enters && slice * r->element <= uni_across_most_riding(r->span);
  c.slices = area + UNI_HEAD;
  c.stride = p->swaps ? p->room : 0;
  char *place = p->swaps && !r->narrow ? whole_place(r, from) : NULL; /* the engine never has it */
  c.result = place ? place + c.slice_from * r->element : own_slice(r, &c);
  c.entering = (struct uni_entering){.mine = p->entry, .blocks = area, .stride = p->room};
  return c;
}

static unisono_status enter_here(const struct uni_reduction *r, struct plan *p) {
  const void *payload = p->here ? elements(r, 0, r->total, p->wide) : NULL;
  return uni_across_enter_here(r->span, r->call, &p->entry, payload, payload ? r->total * r->element : 0,
                               p->here);
}

/* A column's rank adds up what all have entered with. */
static void fold_entered(const struct uni_reduction *r, const struct plan *p, const struct chunk *c) {
  const void *in[UNI_MOST_RIDING];
  void *out = own_slice(r, c);
  for (int i = 0; i < r->span->local->size; i++)
    in[i] = p->here + (size_t)i * UNI_HERE + UNI_HEAD + c->slice_from * r->element;
  uint64_t fpenv = uni_fpenv_enter();
  if (c->slice_n)
    r->span->comm->kernels->fold[r->dtype][r->op](&out, 1, in, (size_t)r->span->local->size, c->slice_n);
  uni_fpenv_leave(fpenv);
}

static unisono_status reduce_chunks(const struct uni_reduction *r, const struct plan *p) {
  struct chunk chunks[2], *before = NULL;
  unisono_status status = UNISONO_OK;
  size_t from = 0, k = 0;
  do {
    struct chunk *now = &chunks[k % 2];
    *now = chunk_of(r, p, from, p->areas[k % 2]);
    if (p->here)
      fold_entered(r, p, now);
    else
      status = reduce_here(r, now, p->wide);
    r->span->abandoned |= status && before && before->slice_n; /* is under way */
    if (!status && before)
      status = await_across(r, before);
    if (!status)
      status = begin_across(r, now);
    if (!status && before && (status = gather_here(r, before, p->results)))
      r->span->abandoned = true;
    before = now;
    from += p->most;
    k++;
  } while (from < r->total && !status);
  if (!status)
    status = await_across(r, before);
  return status ? status : gather_here(r, before, p->results);
}

unisono_status uni_across_reduce(struct uni_span *span, const struct uni_call *call) {
  struct uni_reduction r = uni_reduction_of(span, call);
  size_t bytes = r.total * r.element;
  bool narrow = r.travels && bytes > UNI_NARROW_FROM;
  if (!narrow && uni_scatter_suits(&r))
    return uni_scatter(&r);
  struct plan plan = {.swaps = !narrow && uni_select_swaps(span, bytes)};
  unisono_status status = plan.swaps ? UNISONO_OK : uni_across_enter(span, call);
  if (!status)
    status = make_plan(&r, &plan);
  if (!status && plan.swaps)
    status = enter_here(&r, &plan);
  return status ? status : reduce_chunks(&r, &plan);
}
