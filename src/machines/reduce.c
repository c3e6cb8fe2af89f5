/* all_reduce, reduce and reduce_scatter across machines. What is summed up between the machines is float32
 * where the elements are 16-bit floats, and the whole is rounded once, at the end, by the one rank that has
 * the sum of a slice: so all ranks get the same bits. (narrow.h: where it is to travel in 16 bits.) */
#include <stdlib.h>
#include <string.h>

#include "collectives/select.h"
#include "error.h"
#include "kernels/fpenv.h"
#include "machines/across.h"
#include "machines/narrow.h"

/* A reduction as it is done here. */
struct reduction {
  struct uni_span *span;
  const struct uni_call *call;
  size_t total;        /* elements in all */
  unisono_dtype dtype; /* of the sums */
  size_t element;
  unisono_op op; /* an average is a sum until the end */
  bool narrow;   /* the elements are 16-bit floats */
};

static struct reduction reduction_of(struct uni_span *span, const struct uni_call *call) {
  bool narrow = call->dtype == UNISONO_FLOAT16 || call->dtype == UNISONO_BFLOAT16;
  unisono_dtype dtype = narrow ? UNISONO_FLOAT32 : call->dtype;
  return (struct reduction){.span = span,
                            .call = call,
                            .total = call->kind == UNI_REDUCE_SCATTER ? call->count * (size_t)span->comm->size
                                                                      : call->count,
                            .dtype = dtype,
                            .element = uni_dtype_size(dtype),
                            .op = call->op == UNISONO_AVG ? UNISONO_SUM : call->op,
                            .narrow = narrow};
}

/* ---- the elements, and what becomes of the sums */

#define FINISH(type, quiet)                                                                                  \
  for (size_t i = 0; i < n; i++) {                                                                           \
    type value = ((const type *)sums)[i] / (type)divisor;                                                    \
    ((type *)sums)[i] = value != value ? quiet : value;                                                      \
  }

/* Sums to results, in place. Which NaN the engine made depends on who added to whom: there is one only. */
static void finish(const struct reduction *r, void *sums, size_t n) {
  int divisor = r->call->op == UNISONO_AVG ? r->span->comm->size : 1;
  uint64_t fpenv = uni_fpenv_enter();
  if (r->dtype == UNISONO_FLOAT32)
    FINISH(float, __builtin_nanf(""))
  else if (r->dtype == UNISONO_FLOAT64)
    FINISH(double, __builtin_nan(""))
  if (r->narrow)
    uni_round_to_16(sums, sums, n, r->call->dtype);
  uni_fpenv_leave(fpenv);
}

/* The elements [from, from + n) to be summed up; `wide` has room for them where they have to be converted. */
static const void *elements(const struct reduction *r, size_t from, size_t n, void *wide) {
  const char *at = (const char *)r->call->send + from * r->call->element;
  if (!r->narrow)
    return at;
  uni_widen(wide, (const uint16_t *)(const void *)at, n, r->call->dtype);
  return wide;
}

/* Is this rank to get results, or the rest of its machine while it gets them? */
static bool machine_needs(const struct reduction *r) {
  return r->call->kind != UNI_REDUCE || r->span->machine_of[r->call->root] == r->span->machine;
}

/* Where the results [from, from + n) belong in this rank's receive buffer, if all of them do; else NULL. */
static char *whole_place(const struct reduction *r, size_t from) {
  bool whole = r->call->kind == UNI_ALL_REDUCE ||
               (r->call->kind == UNI_REDUCE && r->span->comm->rank == r->call->root);
  return whole ? (char *)r->call->recv + from * r->call->element : NULL;
}

/* Copies what of the results [from, from + n) is this rank's block of a reduce_scatter. */
static void deliver_block(const struct reduction *r, const char *results, size_t from, size_t n) {
  size_t first = (size_t)r->span->comm->rank * r->call->count, end = first + r->call->count,
         element = r->call->element;
  size_t begin = from > first ? from : first, stop = from + n < end ? from + n : end;
  if (r->call->kind == UNI_REDUCE_SCATTER && begin < stop)
    memcpy((char *)r->call->recv + (begin - first) * element, results + (begin - from) * element,
           (stop - begin) * element);
}

/* ---- small: the machines' sums ride with the entries, and everybody adds them up, in the machines' order */

static unisono_status fill_rider(struct uni_span *span, const struct uni_call *call, void *rider) {
  struct reduction r = reduction_of(span, call);
  _Alignas(64) unsigned char wide[UNI_RIDER];
  return unisono_reduce(elements(&r, 0, r.total, wide), rider, r.total, r.dtype, r.op, 0, span->local);
}

static unisono_status reduce_small(const struct reduction *r) {
  _Alignas(64) unsigned char sums[UNI_RIDER];
  const struct uni_entry *entries;
  unisono_status status = uni_across_enter(r->span, r->call, fill_rider, &entries);
  const void **in = status ? NULL : malloc((size_t)r->span->machines * sizeof *in);
  if (!in)
    return status ? status : uni_fail(UNISONO_ERROR_MEMORY, "no memory for %d machines", r->span->machines);
  for (int m = 0; m < r->span->machines; m++)
    in[m] = entries[m].rider;
  void *out = sums;
  uint64_t fpenv = uni_fpenv_enter();
  r->span->comm->kernels->fold[r->dtype][r->op](&out, 1, in, (size_t)r->span->machines, r->total);
  uni_fpenv_leave(fpenv);
  finish(r, sums, r->total);
  char *place = whole_place(r, 0);
  if (place && r->total)
    memcpy(place, sums, r->total * r->call->element);
  deliver_block(r, (char *)sums, 0, r->total);
  free(in);
  return UNISONO_OK;
}

/* ---- large: chunk by chunk, a slice a column */

struct chunk {
  size_t from, n;
  int columns;
  size_t slice_from, slice_n; /* this rank's, within the chunk; n 0: none */
  char *slice, *wide, *results;
};

/* Each column's rank gets the machine's sum of its slice. */
static unisono_status reduce_here(const struct reduction *r, const struct chunk *c) {
  const char *in = elements(r, c->from, c->n, c->wide);
  unisono_comm *local = r->span->local;
  if (local->size == c->columns && c->n % (size_t)c->columns == 0)
    return unisono_reduce_scatter(in, c->slice, c->slice_n, r->dtype, r->op, local);
  unisono_status status = UNISONO_OK;
  for (int i = 0; i < c->columns && !status; i++) {
    size_t from, n;
    uni_across_share(c->n, c->columns, i, &from, &n);
    status = unisono_reduce(in + from * r->element, c->slice, n, r->dtype, r->op, i, local);
  }
  return status;
}

static unisono_status reduce_across_narrow(const struct reduction *r, const struct chunk *c) {
  struct uni_narrow w = {.span = r->span,
                         .dtype = r->call->dtype,
                         .op = r->op,
                         .what = uni_kind_name(r->call->kind),
                         .n = c->slice_n};
  unisono_status status = uni_narrow_open(&w);
  if (status)
    return uni_span_failed(r->span, status);
  status = uni_narrow_scatter(&w, (const float *)(const void *)c->slice);
  if (!status) {
    finish(r, w.sums, w.own);
    status = uni_narrow_gather(&w, (const uint16_t *)(const void *)w.sums);
  }
  if (!status)
    memcpy(c->slice, w.wire, w.n * sizeof *w.wire);
  uni_narrow_close(&w);
  return status;
}

static unisono_status reduce_across(const struct reduction *r, const struct chunk *c) {
  if (!c->slice_n)
    return UNISONO_OK;
  if (r->narrow && r->span->carrier->narrow)
    return reduce_across_narrow(r, c);
  uni_engine_request request;
  unisono_status status =
      r->span->carrier->engine->all_reduce(r->span->column, c->slice, c->slice_n, r->dtype, r->op, &request);
  status = status ? uni_span_failed(r->span, status)
                  : uni_span_wait(r->span, &request, uni_kind_name(r->call->kind));
  if (!status)
    finish(r, c->slice, c->slice_n);
  return status;
}

/* The slices' results to all ranks of the machine. */
static unisono_status gather_here(const struct reduction *r, const struct chunk *c, char *to) {
  unisono_comm *local = r->span->local;
  unisono_dtype dtype = r->call->dtype;
  if (c->columns == 1) {
    if (local->rank == 0)
      memcpy(to, c->slice, c->n * r->call->element);
    return unisono_broadcast(to, c->n, dtype, 0, local);
  }
  size_t *counts = calloc(2 * (size_t)local->size, sizeof *counts);
  if (!counts)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for %d counts", local->size);
  for (int i = 0; i < c->columns; i++)
    uni_across_share(c->n, c->columns, i, &counts[local->size + i], &counts[i]);
  unisono_status status =
      unisono_all_gatherv(c->slice, c->slice_n, to, counts, counts + local->size, dtype, local);
  free(counts);
  return status;
}

static unisono_status reduce_chunk(const struct reduction *r, const struct chunk *c) {
  char *place = whole_place(r, c->from), *to = place ? place : c->results;
  uni_across_limit(r->span, true);
  unisono_status status = reduce_here(r, c);
  if (status)
    return uni_span_failed(r->span, status);
  status = reduce_across(r, c);
  if (status || !machine_needs(r))
    return status;
  status = gather_here(r, c, to);
  if (status)
    return uni_span_failed(r->span, status);
  deliver_block(r, to, c->from, c->n);
  return UNISONO_OK;
}

static unisono_status reduce_large(const struct reduction *r) {
  struct uni_span *span = r->span;
  unisono_status status = uni_across_enter(span, r->call, NULL, NULL);
  if (status)
    return status;
  size_t most = UNI_CHUNK / r->element * (size_t)span->columns;
  most = most < r->total ? most : r->total;
  char *bounce = uni_span_bounce(span, 3 * (most + 16) * r->element);
  if (!bounce)
    return UNISONO_ERROR_MEMORY;
  for (size_t from = 0; from < r->total && !status; from += most) {
    struct chunk c = {.from = from, .n = r->total - from < most ? r->total - from : most, .slice = bounce};
    c.wide = bounce + (most + 16) * r->element;
    c.results = c.wide + (most + 16) * r->element;
    c.columns = uni_select_columns(c.n * r->element, span->columns);
    if (span->local->rank < c.columns)
      uni_across_share(c.n, c.columns, span->local->rank, &c.slice_from, &c.slice_n);
    status = reduce_chunk(r, &c);
  }
  return status;
}

unisono_status uni_across_reduce(struct uni_span *span, const struct uni_call *call) {
  struct reduction r = reduction_of(span, call);
  return r.total * r.element <= UNI_RIDER ? reduce_small(&r) : reduce_large(&r);
}
