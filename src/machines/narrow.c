#include "machines/narrow.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "kernels/fpenv.h"
#include "kernels/generic/float16.h"
#include "machines/across.h"

void uni_widen(float *to, const uint16_t *from, size_t n, unisono_dtype dtype) {
  if (dtype == UNISONO_BFLOAT16)
    for (size_t i = 0; i < n; i++)
      to[i] = float32_of_bfloat16(from[i]);
  else
    for (size_t i = 0; i < n; i++)
      to[i] = float32_of_float16(from[i]);
}

/* In place, what is written lies before what is still to be read. */
void uni_round_to_16(uint16_t *to, const float *from, size_t n, unisono_dtype dtype) {
  for (size_t i = 0; i < n; i++) {
    float value;
    memcpy(&value, from + i, sizeof value);
    uint16_t rounded = dtype == UNISONO_BFLOAT16 ? bfloat16_of_float32(value) : float16_of_float32(value);
    memcpy(to + i, &rounded, sizeof rounded);
  }
}

unisono_status uni_narrow_open(struct uni_narrow *w) {
  size_t machines = (size_t)w->span->machines;
  uni_across_share(w->n, w->span->machines, w->span->machine, &w->from, &w->own);
  w->wire = malloc(w->n * sizeof *w->wire);
  w->come = malloc(w->own * machines * sizeof *w->come + 1);
  w->wide = malloc(w->own * (machines + 1) * sizeof *w->wide + 1);
  w->sums = w->wide ? w->wide + w->own * machines : NULL;
  if (w->wire && w->come && w->wide)
    return UNISONO_OK;
  uni_narrow_close(w);
  return uni_fail(UNISONO_ERROR_MEMORY, "no memory for %zu sums in 16 bits", w->n);
}

void uni_narrow_close(struct uni_narrow *w) {
  free(w->wide);
  if (w->span->abandoned)
    return;
  free(w->wire);
  free(w->come);
}

/* ---- all machines' parts of a piece to the rank that adds them up */

struct trade {
  uni_engine_request out, in;
  bool sends, receives;
};

static unisono_status start_trade(struct uni_narrow *w, int peer, struct trade *t) {
  const struct uni_engine *engine = w->span->carrier->engine;
  size_t from, n;
  unisono_status status = UNISONO_OK;
  uni_across_share(w->n, w->span->machines, peer, &from, &n);
  if (w->own)
    status = engine->recv(w->span->column, w->come + (size_t)peer * w->own, w->own * sizeof *w->come, peer,
                          engine->most_tag, &t->in);
  t->receives = w->own && !status;
  bool sends = n && !uni_span_is_gone(w->span, uni_span_rank(w->span, peer, w->span->local->rank));
  if (sends && !status)
    status = engine->send(w->span->column, w->wire + from, n * sizeof *w->wire, peer, engine->most_tag, false,
                          &t->out);
  t->sends = sends && !status;
  return status ? uni_span_failed(w->span, status) : UNISONO_OK;
}

static unisono_status trade_all(struct uni_narrow *w, struct trade *trades) {
  unisono_status status = UNISONO_OK;
  for (int m = 0; m < w->span->machines && !status; m++)
    if (m != w->span->machine)
      status = start_trade(w, m, &trades[m]);
  for (int m = 0; m < w->span->machines && !status; m++) {
    if (trades[m].receives)
      status = uni_span_wait(w->span, &trades[m].in, w->what);
    if (trades[m].sends && !status)
      status = uni_span_wait(w->span, &trades[m].out, w->what);
  }
  w->span->abandoned |= status != UNISONO_OK;
  return status;
}

static unisono_status fold(const struct uni_narrow *w) {
  const struct uni_span *span = w->span;
  const void **in = malloc((size_t)span->machines * sizeof *in);
  if (!in)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for %d machines", span->machines);
  for (int m = 0; m < span->machines; m++)
    in[m] = w->wide + (size_t)m * w->own;
  void *out = w->sums;
  uint64_t fpenv = uni_fpenv_enter();
  uni_widen(w->wide, w->come, w->own * (size_t)span->machines, w->dtype);
  span->comm->kernels->fold[UNISONO_FLOAT32][w->op](&out, 1, in, (size_t)span->machines, w->own);
  uni_fpenv_leave(fpenv);
  free(in);
  return UNISONO_OK;
}

unisono_status uni_narrow_scatter(struct uni_narrow *w, const float *mine) {
  struct trade *trades = calloc((size_t)w->span->machines, sizeof *trades);
  if (!trades)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for %d machines", w->span->machines);
  uint64_t fpenv = uni_fpenv_enter();
  uni_round_to_16(w->wire, mine, w->n, w->dtype);
  uni_fpenv_leave(fpenv);
  if (w->own)
    memcpy(w->come + (size_t)w->span->machine * w->own, w->wire + w->from, w->own * sizeof *w->wire);
  unisono_status status = trade_all(w, trades);
  free(trades);
  return status ? status : fold(w);
}

/* ---- the pieces to all */

unisono_status uni_narrow_gather(struct uni_narrow *w, const uint16_t *piece) {
  int machines = w->span->machines, *places = malloc(2 * (size_t)machines * sizeof *places);
  if (!places)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for %d machines", machines);
  for (int m = 0; m < machines; m++) {
    size_t from, n;
    uni_across_share(w->n, machines, m, &from, &n);
    places[m] = (int)(n * sizeof *w->wire);
    places[machines + m] = (int)(from * sizeof *w->wire);
  }
  if (w->own)
    memcpy(w->wire + w->from, piece, w->own * sizeof *piece);
  uni_engine_request request;
  unisono_status status =
      w->span->carrier->engine->all_gather(w->span->column, w->wire, places, places + machines, &request);
  status = status ? uni_span_failed(w->span, status) : uni_span_wait(w->span, &request, w->what);
  if (!status) /* else the engine may still read them */
    free(places);
  return status;
}
