#include "machines/gather.h"

#include <stdlib.h>
#include <string.h>

#include "collectives/select.h"
#include "error.h"
#include "machines/across.h"
#include "machines/pipeline.h"
#include "machines/swap.h"

size_t uni_gather_bytes(const struct uni_call *call, int rank) {
  return call->kind == UNI_ALL_GATHERV ? call->recv_counts[rank] * call->element : call->block;
}

size_t uni_gather_displ(const struct uni_call *call, int rank) {
  return call->kind == UNI_ALL_GATHERV ? call->recv_displs[rank] * call->element : (size_t)rank * call->block;
}

/* A part of every rank's block: what the column's ranks send each other of it. */
struct part {
  size_t at;
  char *out, *in; /* its own; and theirs, machine by machine */
  struct uni_swap swap;
};

struct gather {
  struct uni_span *span;
  const struct uni_call *call;
  size_t most; /* bytes of a part */
  size_t *counts, *displs;
  struct part parts[2];
};

static size_t bytes_of(const struct gather *g, const struct part *p, int rank) {
  size_t all = uni_gather_bytes(g->call, rank), left = all > p->at ? all - p->at : 0;
  return left < g->most ? left : g->most;
}

static const char *own_part(const struct gather *g, const struct part *p) {
  const char *send = g->call->send;
  return send ? send + p->at : NULL;
}

/* What the local ranks have of machine m's blocks, each of that column's rank there, to all of them. */
static unisono_status share_here(const struct gather *g, const struct part *p, int m, const char *mine) {
  const struct uni_span *span = g->span;
  size_t all = 0;
  for (int i = 0; i < span->local->size; i++) {
    int rank = uni_span_rank(span, m, i);
    all += g->counts[i] = bytes_of(g, p, rank);
    g->displs[i] = uni_gather_displ(g->call, rank) + p->at;
  }
  if (!all)
    return UNISONO_OK;
  return unisono_all_gatherv(mine, g->counts[span->local->rank], g->call->recv, g->counts, g->displs,
                             UNISONO_UINT8, span->local);
}

static unisono_status ready(void *what, size_t k) {
  struct gather *g = what;
  struct part *p = &g->parts[k % 2];
  p->at = k * g->most;
  size_t n = bytes_of(g, p, g->span->comm->rank);
  if (n)
    memcpy(p->out, own_part(g, p), n);
  return UNISONO_OK;
}

/* While it is under way, the machine's own blocks are gathered. */
static unisono_status depart(void *what, size_t k) {
  struct gather *g = what;
  struct uni_span *span = g->span;
  struct part *p = &g->parts[k % 2];
  struct uni_block out[UNI_SWAP_DIRECT], in[UNI_SWAP_DIRECT];
  for (int m = 0; m < span->machines; m++) {
    out[m] = (struct uni_block){p->out, bytes_of(g, p, span->comm->rank)};
    in[m] = (struct uni_block){p->in + (size_t)m * g->most,
                               bytes_of(g, p, uni_span_rank(span, m, span->local->rank))};
  }
  unisono_status status = uni_swap_blocks(span, out, in, &p->swap);
  if (status)
    return status;
  uni_across_limit(span, true);
  status = share_here(g, p, span->machine, own_part(g, p));
  return status ? uni_span_failed(span, status) : UNISONO_OK;
}

static unisono_status arrive(void *what, size_t k) {
  struct gather *g = what;
  return uni_swap_end(g->span, &g->parts[k % 2].swap, uni_kind_name(g->call->kind));
}

static unisono_status spread(void *what, size_t k) {
  struct gather *g = what;
  const struct part *p = &g->parts[k % 2];
  unisono_status status = UNISONO_OK;
  uni_across_limit(g->span, true);
  for (int m = 0; m < g->span->machines && !status; m++)
    if (m != g->span->machine)
      status = share_here(g, p, m, p->in + (size_t)m * g->most);
  return status ? uni_span_failed(g->span, status) : UNISONO_OK;
}

static size_t all_bytes(const struct uni_span *span, const struct uni_call *call, size_t *longest) {
  size_t all = 0;
  *longest = 0;
  for (int r = 0; r < span->comm->size; r++) {
    size_t n = uni_gather_bytes(call, r);
    all += n;
    *longest = n > *longest ? n : *longest;
  }
  return all;
}

bool uni_gather_suits(const struct uni_span *span, const struct uni_call *call) {
  size_t longest, all = all_bytes(span, call, &longest);
  return uni_swap_suits(span) && span->columns > 1 && uni_select_columns(span, all) == span->columns;
}

static unisono_status gather_parts(struct gather *g) {
  struct uni_span *span = g->span;
  size_t longest, all = all_bytes(span, g->call, &longest);
  size_t piece = 2 * uni_select_piece(span, all, true); /* it needs less memory than a sum does */
  piece = piece / (size_t)span->comm->size / UNI_LINE * UNI_LINE;
  g->most = piece ? piece : UNI_LINE;
  size_t area = ((size_t)span->machines + 1) * g->most;
  char *bounce = uni_span_bounce(span, 2 * area);
  if (!bounce)
    return UNISONO_ERROR_MEMORY;
  for (int i = 0; i < 2; i++) {
    g->parts[i].out = bounce + (size_t)i * area;
    g->parts[i].in = g->parts[i].out + g->most;
  }
  const struct uni_stages stages = {ready, depart, arrive, spread};
  return uni_pipeline(span, &stages, g, (longest + g->most - 1) / g->most);
}

unisono_status uni_gather(struct uni_span *span, const struct uni_call *call) {
  size_t n = (size_t)span->local->size, *counts = calloc(2 * n, sizeof *counts);
  struct gather g = {.span = span, .call = call, .counts = counts, .displs = counts + n};
  unisono_status status =
      counts ? uni_across_enter(span, call) : uni_fail(UNISONO_ERROR_MEMORY, "no memory for %zu counts", n);
  if (!status)
    status = gather_parts(&g);
  free(counts);
  return status;
}
