#include "machines/scatter.h"

#include <string.h>

#include "collectives/select.h"
#include "kernels/fpenv.h"
#include "machines/across.h"
#include "machines/narrow.h"
#include "machines/pipeline.h"

/* A part of every rank's block. Sums of it, machine by machine: this machine's, of what the column's rank
 * there is to have, and theirs, of what this rank is to have. */
struct part {
  size_t at, n; /* elements */
  char *out, *in;
  struct uni_swap swap;
};

struct scatter {
  const struct uni_reduction *r;
  size_t most;  /* elements of a part */
  char *packed; /* the local ranks' parts, one column after the other */
  struct part parts[2];
};

static const char *block_at(const struct uni_reduction *r, int rank, size_t at) {
  return (const char *)r->call->send + ((size_t)rank * r->call->count + at) * r->call->element;
}

/* This rank's elements, for each local rank what it is to have for all machines. */
static void pack(const struct uni_reduction *r, const struct part *p, char *to) {
  const struct uni_span *span = r->span;
  for (int i = 0; i < span->local->size; i++)
    for (int m = 0; m < span->machines; m++, to += p->n * r->element) {
      const char *from = block_at(r, uni_span_rank(span, m, i), p->at);
      if (r->narrow)
        uni_widen((float *)(void *)to, (const uint16_t *)(const void *)from, p->n, r->call->dtype);
      else
        memcpy(to, from, p->n * r->element);
    }
}

static unisono_status reduce_here(void *what, size_t k) {
  struct scatter *s = what;
  const struct uni_reduction *r = s->r;
  struct part *p = &s->parts[k % 2];
  unisono_comm *local = r->span->local;
  bool alone = local->size == 1;
  p->at = k * s->most;
  p->n = r->call->count - p->at < s->most ? r->call->count - p->at : s->most;
  pack(r, p, alone ? p->out : s->packed);
  if (alone)
    return UNISONO_OK;
  uni_across_limit(r->span, true);
  unisono_status status =
      unisono_reduce_scatter(s->packed, p->out, (size_t)r->span->machines * p->n, r->dtype, r->op, local);
  return status ? uni_span_failed(r->span, status) : UNISONO_OK;
}

static unisono_status depart(void *what, size_t k) {
  struct scatter *s = what;
  struct part *p = &s->parts[k % 2];
  struct uni_block out[UNI_SWAP_DIRECT], in[UNI_SWAP_DIRECT];
  size_t bytes = p->n * s->r->element;
  for (int m = 0; m < s->r->span->machines; m++) {
    out[m] = (struct uni_block){p->out + (size_t)m * bytes, bytes};
    in[m] = (struct uni_block){p->in + (size_t)m * bytes, bytes};
  }
  return uni_swap_blocks(s->r->span, out, in, &p->swap);
}

static unisono_status arrive(void *what, size_t k) {
  struct scatter *s = what;
  return uni_swap_end(s->r->span, &s->parts[k % 2].swap, uni_kind_name(s->r->call->kind));
}

/* In the machines' order, to where it belongs. */
static unisono_status fold(void *what, size_t k) {
  struct scatter *s = what;
  const struct uni_reduction *r = s->r;
  const struct part *p = &s->parts[k % 2];
  size_t bytes = p->n * r->element, element = r->call->element;
  char *own = p->out + (size_t)r->span->machine * bytes, *to = (char *)r->call->recv + p->at * element;
  void *sums = r->narrow ? own : to;
  const void *in[UNI_SWAP_DIRECT];
  for (int m = 0; m < r->span->machines; m++)
    in[m] = m == r->span->machine ? own : p->in + (size_t)m * bytes;
  uint64_t fpenv = uni_fpenv_enter();
  r->span->comm->kernels->fold[r->dtype][r->op](&sums, 1, in, (size_t)r->span->machines, p->n);
  uni_fpenv_leave(fpenv);
  if (r->narrow || r->call->op == UNISONO_AVG)
    uni_reduction_finish(r, sums, p->n);
  if (r->narrow)
    memcpy(to, sums, p->n * element);
  return UNISONO_OK;
}

bool uni_scatter_suits(const struct uni_reduction *r) {
  const struct uni_span *span = r->span;
  size_t slice = r->total * r->element / (size_t)span->columns;
  return r->call->kind == UNI_REDUCE_SCATTER && uni_swap_suits(span) && !span->carrier->forced &&
         slice > uni_across_most_riding(span);
}

unisono_status uni_scatter(const struct uni_reduction *r) {
  struct uni_span *span = r->span;
  size_t ranks = (size_t)span->comm->size, count = r->call->count,
         piece = uni_select_piece(span, r->total * r->element, true) / ranks / UNI_LINE * UNI_LINE;
  struct scatter s = {.r = r, .most = (piece ? piece : UNI_LINE) / r->element};
  s.most = s.most < count ? s.most : count;
  size_t area = uni_whole_lines((size_t)span->machines * s.most * r->element);
  unisono_status status = uni_across_enter(span, r->call);
  if (status)
    return status;
  char *bounce = uni_span_bounce(span, 4 * area + uni_whole_lines(ranks * s.most * r->element));
  if (!bounce)
    return UNISONO_ERROR_MEMORY;
  for (int i = 0; i < 2; i++) {
    s.parts[i].out = bounce + (size_t)i * 2 * area;
    s.parts[i].in = s.parts[i].out + area;
  }
  s.packed = bounce + 4 * area;
  const struct uni_stages stages = {reduce_here, depart, arrive, fold};
  return uni_pipeline(span, &stages, &s, (count + s.most - 1) / s.most);
}
