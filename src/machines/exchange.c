/* gather, scatter, all_to_all and all_to_allv across machines: nothing that shared memory could do for
 * another machine. Ranks of one machine exchange there; those of others by messages, in rounds in which
 * everybody sends to one and receives from one. */
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "machines/across.h"

/* Bytes that go to and come from each rank, and where. */
struct parcels {
  const char *send;
  char *recv;
  size_t *send_n, *send_at, *recv_n, *recv_at;
};

static unisono_status parcels_new(int size, struct parcels *p) {
  size_t n = (size_t)size, *all = calloc(4 * n, sizeof *all);
  *p = (struct parcels){.send_n = all, .send_at = all + n, .recv_n = all + 2 * n, .recv_at = all + 3 * n};
  return all ? UNISONO_OK : uni_fail(UNISONO_ERROR_MEMORY, "no memory for %d counts", size);
}

static void fill_v(const struct uni_call *call, int peer, struct parcels *p) {
  p->send_n[peer] = call->send_counts[peer] * call->element;
  p->send_at[peer] = call->send_displs[peer] * call->element;
  p->recv_n[peer] = call->recv_counts[peer] * call->element;
  p->recv_at[peer] = call->recv_displs[peer] * call->element;
}

static void fill(const struct uni_call *call, int rank, int size, struct parcels *p) {
  p->send = call->send;
  p->recv = call->recv;
  for (int peer = 0; peer < size; peer++) {
    if (call->kind == UNI_ALL_TO_ALLV) {
      fill_v(call, peer, p);
      continue;
    }
    bool all = call->kind == UNI_ALL_TO_ALL, gather = call->kind == UNI_GATHER;
    bool gives = all || (gather ? peer == call->root : rank == call->root);
    bool takes = all || (gather ? rank == call->root : peer == call->root);
    p->send_n[peer] = gives ? call->block : 0;
    p->send_at[peer] = gather ? 0 : (size_t)peer * call->block;
    p->recv_n[peer] = takes ? call->block : 0;
    p->recv_at[peer] = all || gather ? (size_t)peer * call->block : 0;
  }
}

/* ---- within the machine, and with oneself */

static void copy_own(const struct parcels *p, int rank) {
  const char *from = p->send + p->send_at[rank];
  char *to = p->recv + p->recv_at[rank];
  if (p->recv_n[rank] && from != to)
    memmove(to, from, p->recv_n[rank]);
}

static unisono_status exchange_here(struct uni_span *span, const struct parcels *p) {
  int n = span->local->size;
  size_t *v = calloc(4 * (size_t)n, sizeof *v);
  if (!v)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for %d counts", n);
  for (int i = 0; i < n; i++) {
    int peer = span->local->names[i];
    bool self = i == span->local->rank; /* in place, its parts would overlap */
    v[i] = self ? 0 : p->send_n[peer];
    v[n + i] = p->send_at[peer];
    v[2 * n + i] = self ? 0 : p->recv_n[peer];
    v[3 * n + i] = p->recv_at[peer];
  }
  unisono_status status =
      unisono_all_to_allv(p->send, v, v + n, p->recv, v + 2 * n, v + 3 * n, UNISONO_UINT8, span->local);
  free(v);
  return status;
}

/* ---- between machines */

static size_t least(size_t a, size_t b) {
  return a < b ? a : b;
}

static unisono_status wait_for(struct uni_span *span, unisono_status started, uni_engine_request *request,
                               const char *what) {
  return started ? uni_span_failed(span, started) : uni_span_wait(span, request, what);
}

static unisono_status trade(struct uni_span *span, const struct parcels *p, int peer, const char *what) {
  const struct uni_engine *engine = span->carrier->engine;
  size_t out = p->send_n[peer], in = p->recv_n[peer];
  if (!out && !in)
    return UNISONO_OK;
  char *outgoing = uni_span_bounce(span, 2 * (size_t)UNI_CHUNK);
  if (!outgoing)
    return UNISONO_ERROR_MEMORY;
  char *incoming = outgoing + UNI_CHUNK;
  unisono_status status = UNISONO_OK;
  for (size_t at = 0; (at < out || at < in) && !status; at += UNI_CHUNK) {
    size_t sent = at < out ? least(out - at, UNI_CHUNK) : 0, got = at < in ? least(in - at, UNI_CHUNK) : 0;
    uni_engine_request sending = NULL, receiving = NULL;
    unisono_status s = UNISONO_OK, r = UNISONO_OK;
    if (got)
      r = engine->recv(span->whole, incoming, got, peer, engine->most_tag, &receiving);
    if (sent)
      memcpy(outgoing, p->send + p->send_at[peer] + at, sent);
    if (sent)
      s = engine->send(span->whole, outgoing, sent, peer, engine->most_tag, false, &sending);
    if (got)
      status = wait_for(span, r, &receiving, what);
    if (sent && !status)
      status = wait_for(span, s, &sending, what);
    if (got && !status)
      memcpy(p->recv + p->recv_at[peer] + at, incoming, got);
  }
  return status;
}

/* In pairs: what is sent to a rank has left before what comes from it takes its place (in place). */
static unisono_status exchange_across(struct uni_span *span, const struct parcels *p, const char *what) {
  int size = span->comm->size, rank = span->comm->rank;
  unisono_status status = UNISONO_OK;
  for (int round = 0; round < size && !status; round++) {
    int peer = (round - rank + size) % size;
    if (span->machine_of[peer] != span->machine)
      status = trade(span, p, peer, what);
  }
  return status;
}

static unisono_status exchange(struct uni_span *span, const struct parcels *p, const char *what) {
  uni_across_limit(span, true);
  unisono_status status = exchange_here(span, p);
  if (status)
    return uni_span_failed(span, status);
  status = exchange_across(span, p, what);
  if (!status)
    copy_own(p, span->comm->rank);
  return status;
}

/* ---- v: what one sends and the other awaits must agree, before anything is received */

static unisono_status exchange_counts(struct uni_span *span, const struct uni_call *call, uint64_t *theirs) {
  struct parcels p;
  unisono_status status = parcels_new(span->comm->size, &p);
  p.send = (const char *)call->send_counts;
  p.recv = (char *)theirs;
  for (int r = 0; r < span->comm->size && !status; r++) {
    p.send_n[r] = p.recv_n[r] = sizeof *theirs;
    p.send_at[r] = p.recv_at[r] = (size_t)r * sizeof *theirs;
  }
  if (!status)
    status = exchange(span, &p, uni_kind_name(call->kind));
  free(p.send_n);
  return status;
}

static unisono_status compare_counts(struct uni_span *span, const struct uni_call *call) {
  _Static_assert(sizeof(size_t) == sizeof(uint64_t), "counts travel as they are");
  int n = span->comm->size;
  uint64_t *theirs = calloc((size_t)n, sizeof *theirs);
  unisono_status status = theirs ? exchange_counts(span, call, theirs)
                                 : uni_fail(UNISONO_ERROR_MEMORY, "no memory for %d counts", n);
  for (int r = 0; r < n && !status; r++)
    if (theirs[r] != call->recv_counts[r])
      status = uni_span_break(span, UNISONO_ERROR_MISMATCH,
                              "rank %d sends %llu elements to rank %d, which awaits %zu in all_to_allv", r,
                              (unsigned long long)theirs[r], span->comm->rank, call->recv_counts[r]);
  free(theirs);
  return status ? status : uni_across_enter(span, call); /* nobody has found a difference */
}

unisono_status uni_across_exchange(struct uni_span *span, const struct uni_call *call) {
  struct parcels p;
  unisono_status status = parcels_new(span->comm->size, &p);
  if (!status)
    status = uni_across_enter(span, call);
  if (!status && call->kind == UNI_ALL_TO_ALLV)
    status = compare_counts(span, call);
  if (!status) {
    fill(call, span->comm->rank, span->comm->size, &p);
    status = exchange(span, &p, uni_kind_name(call->kind));
  }
  free(p.send_n);
  return status;
}
