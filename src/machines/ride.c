/* all_to_all of little: it rides with the entries. A machine's leader has all of its ranks' blocks, and sends
 * each other machine those for its ranks in one message. */
#include "machines/ride.h"

#include <string.h>

#include "collectives/select.h"
#include "error.h"
#include "machines/across.h"

enum { SMALL = 64 << 10 }; /* bytes of a machine's ranks, which its leader copies several times */

/* A row is what one of the machine's ranks sends, or receives: a block for each rank. */
struct ride {
  struct uni_span *span;
  const struct uni_call *call;
  size_t row, stride;
  char *sent, *received; /* the machine's rows, at its leader */
  char *entered;         /* rows that have come with the local entries; NULL: they are too long */
  char *out;             /* machine m's block at m * stride, as those that come are at entering.blocks */
  struct uni_entering entering;
};

/* Machine m sends as much to m' as m' to m. */
static size_t payload(const struct uni_span *span, const struct uni_call *call, int m) {
  return (size_t)uni_span_count(span, span->machine) * (size_t)uni_span_count(span, m) * call->block;
}

/* The same on all ranks: it takes the largest machine for each. */
bool uni_rides(const struct uni_span *span, const struct uni_call *call) {
  size_t most = 0;
  for (int m = 0; m < span->machines; m++)
    most = (size_t)uni_span_count(span, m) > most ? (size_t)uni_span_count(span, m) : most;
  return call->kind == UNI_ALL_TO_ALL && call->block && span->machines <= UNI_SWAP_DIRECT &&
         most * most * call->block <= uni_across_most_riding(span) &&
         most * (size_t)span->comm->size * call->block <= SMALL;
}

static unisono_status lay_out(struct ride *r) {
  struct uni_span *span = r->span;
  size_t n = (size_t)span->local->size, machines = (size_t)span->machines, most = 0;
  for (int m = 0; m < span->machines; m++)
    most = payload(span, r->call, m) > most ? payload(span, r->call, m) : most;
  r->row = (size_t)span->comm->size * r->call->block;
  r->stride = uni_whole_lines(uni_across_block(span, most));
  bool goes_along = r->row <= UNI_HERE - UNI_HEAD;
  char *bounce = uni_span_bounce(span, 2 * machines * r->stride + 2 * n * uni_whole_lines(r->row) +
                                           (goes_along ? n * UNI_HERE : 0));
  if (!bounce)
    return UNISONO_ERROR_MEMORY;
  r->entering = (struct uni_entering){.blocks = bounce, .stride = r->stride};
  r->out = bounce + machines * r->stride;
  r->sent = r->out + machines * r->stride;
  r->received = r->sent + n * uni_whole_lines(r->row);
  r->entered = goes_along ? r->received + n * uni_whole_lines(r->row) : NULL;
  return UNISONO_OK;
}

static unisono_status enter_here(struct ride *r) {
  struct uni_span *span = r->span;
  unisono_status status =
      uni_across_enter_here(span, r->call, &r->entering.mine, r->entered ? r->call->send : NULL,
                            r->entered ? r->row : 0, r->entered);
  if (status || r->entered)
    return status;
  uni_across_limit(span, true);
  status = unisono_gather(r->call->send, r->sent, r->row, UNISONO_UINT8, 0, span->local);
  return status ? uni_span_failed(span, status) : UNISONO_OK;
}

/* ---- the leader's */

static const char *sent_row(const struct ride *r, int local) {
  return r->entered ? r->entered + (size_t)local * UNI_HERE + UNI_HEAD : r->sent + (size_t)local * r->row;
}

/* To the ranks of machine m, sender by sender. */
static void pack(const struct ride *r, int m, char *to) {
  size_t block = r->call->block;
  for (int i = 0; i < r->span->local->size; i++)
    for (int j = 0; j < uni_span_count(r->span, m); j++, to += block)
      memcpy(to, sent_row(r, i) + (size_t)uni_span_rank(r->span, m, j) * block, block);
}

/* From those of machine m, packed like that. */
static void unpack(const struct ride *r, int m, const char *from) {
  size_t block = r->call->block;
  for (int i = 0; i < uni_span_count(r->span, m); i++)
    for (int j = 0; j < r->span->local->size; j++, from += block)
      memcpy(r->received + (size_t)j * r->row + (size_t)uni_span_rank(r->span, m, i) * block, from, block);
}

static unisono_status swap(struct ride *r) {
  struct uni_span *span = r->span;
  struct uni_block out[UNI_SWAP_DIRECT], in[UNI_SWAP_DIRECT];
  for (int m = 0; m < span->machines; m++) {
    size_t bytes = uni_across_block(span, payload(span, r->call, m));
    out[m] = (struct uni_block){r->out + (size_t)m * r->stride, bytes};
    in[m] = (struct uni_block){r->entering.blocks + (size_t)m * r->stride, bytes};
    memcpy(out[m].at, &r->entering.mine, sizeof r->entering.mine);
    pack(r, m, out[m].at + UNI_HEAD);
  }
  memcpy(in[span->machine].at, out[span->machine].at, out[span->machine].bytes);
  unisono_status status = uni_swap_blocks(span, out, in, &r->entering.swap);
  if (!status)
    status = uni_across_enter_end(span, r->call, &r->entering);
  for (int m = 0; m < span->machines && !status; m++)
    unpack(r, m, in[m].at + UNI_HEAD);
  return status;
}

unisono_status uni_ride(struct uni_span *span, const struct uni_call *call) {
  struct ride r = {.span = span, .call = call};
  unisono_status status = lay_out(&r);
  if (!status)
    status = enter_here(&r);
  if (!status && span->local->rank == 0)
    status = swap(&r);
  if (status)
    return status;
  uni_across_limit(span, true);
  status = unisono_scatter(r.received, call->recv, r.row, UNISONO_UINT8, 0, span->local);
  return status ? uni_span_failed(span, status) : UNISONO_OK;
}
