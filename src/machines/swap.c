#include "machines/swap.h"

bool uni_swap_suits(const struct uni_span *span) {
  return span->machines <= UNI_SWAP_DIRECT && span->columns * span->machines == span->comm->size;
}

static unisono_status begin_blocks(struct uni_span *span, const struct uni_block *out,
                                   const struct uni_block *in, struct uni_swap *swap) {
  const struct uni_engine *engine = span->carrier->engine;
  unisono_status status = UNISONO_OK;
  for (int i = 1; i < span->machines && !status; i++) { /* each begins with its neighbour, not all with one */
    int peer = (span->machine + span->machines - i) % span->machines;
    if (!in[peer].bytes)
      continue;
    status = engine->recv(span->column, in[peer].at, in[peer].bytes, peer, engine->most_tag,
                          &swap->requests[swap->n]);
    swap->n += !status;
  }
  for (int i = 1; i < span->machines && !status; i++) {
    int peer = (span->machine + i) % span->machines;
    if (!out[peer].bytes || uni_span_is_gone(span, uni_span_rank(span, peer, span->local->rank)))
      continue;
    status = engine->send(span->column, out[peer].at, out[peer].bytes, peer, engine->most_tag, false,
                          &swap->requests[swap->n]);
    swap->n += !status;
  }
  return status;
}

static unisono_status begin_direct(struct uni_span *span, char *blocks, size_t bytes, size_t stride,
                                   struct uni_swap *swap) {
  struct uni_block out[UNI_SWAP_DIRECT], in[UNI_SWAP_DIRECT];
  for (int m = 0; m < span->machines; m++) {
    out[m] = (struct uni_block){blocks + (size_t)span->machine * stride, bytes};
    in[m] = (struct uni_block){blocks + (size_t)m * stride, bytes};
  }
  return begin_blocks(span, out, in, swap);
}

static unisono_status begin_all_gather(struct uni_span *span, char *blocks, size_t bytes, size_t stride,
                                       struct uni_swap *swap) {
  int *n = span->block_bytes, *displs = span->block_displs;
  for (int m = 0; m < span->machines; m++) {
    n[m] = (int)bytes;
    displs[m] = m * (int)stride;
  }
  unisono_status status =
      span->carrier->engine->all_gather(span->column, blocks, n, displs, &swap->requests[0]);
  swap->n = !status;
  return status;
}

static unisono_status begun(struct uni_span *span, unisono_status status, const struct uni_swap *swap) {
  span->abandoned |= status && swap->n > 0;
  return status ? uni_span_failed(span, status) : UNISONO_OK;
}

unisono_status uni_swap_blocks(struct uni_span *span, const struct uni_block *out, const struct uni_block *in,
                               struct uni_swap *swap) {
  swap->n = 0;
  return begun(span, begin_blocks(span, out, in, swap), swap);
}

unisono_status uni_swap_begin(struct uni_span *span, char *blocks, size_t bytes, size_t stride,
                              struct uni_swap *swap) {
  swap->n = 0;
  unisono_status status = span->machines <= UNI_SWAP_DIRECT
                              ? begin_direct(span, blocks, bytes, stride, swap)
                              : begin_all_gather(span, blocks, bytes, stride, swap);
  return begun(span, status, swap);
}

unisono_status uni_swap_end(struct uni_span *span, struct uni_swap *swap, const char *what) {
  unisono_status status = UNISONO_OK;
  for (int i = 0; i < swap->n && !status; i++)
    status = uni_span_wait(span, &swap->requests[i], what);
  swap->n = 0;
  return status;
}
