/* gather, scatter, all_to_all and all_to_allv across machines: nothing that shared memory could do for
 * another machine. Ranks of one machine exchange there; those of others by messages, in rounds in which
 * everybody sends to one and receives from one; several rounds at a time where little is sent. */
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "machines/across.h"
#include "machines/pipeline.h"
#include "machines/ride.h"

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
  uni_across_limit(span, true);
  unisono_status status =
      unisono_all_to_allv(p->send, v, v + n, p->recv, v + 2 * n, v + 3 * n, UNISONO_UINT8, span->local);
  free(v);
  return status ? uni_span_failed(span, status) : UNISONO_OK;
}

/* ---- between machines */

enum { PIECE = 512 << 10, MOST_PIECES = 16 };

/* What of a message is under way at once: both sides divide it alike. */
struct piece {
  int peer;
  size_t at, out, in;
  char *outgoing, *incoming;
  bool leaves;
  uni_engine_request sending, receiving;
};

/* Pieces that are started together: one large one, or many small ones. */
struct batch {
  struct piece pieces[MOST_PIECES];
  int n;
  size_t out, in;
  char *outgoing, *incoming; /* PIECE bytes each */
};

/* In pairs: what is sent to a rank has left before what comes from it takes its place (in place). All go
 * through the rounds in the same order, so that nobody waits in a circle. */
struct exchange {
  struct uni_span *span;
  const struct parcels *parcels;
  const char *what;
  int round; /* of the next piece, */
  size_t at; /* and how much of its message is done */
  struct batch batches[2];
};

static size_t least(size_t a, size_t b) {
  return a < b ? a : b;
}

static size_t rest(size_t all, size_t at) {
  return at < all ? least(all - at, PIECE) : 0;
}

/* The next piece for other machines; false: there is none. */
static bool next_piece(struct exchange *x, struct piece *p) {
  int size = x->span->comm->size;
  for (; x->round < size; x->round++, x->at = 0) {
    int peer = (x->round - x->span->comm->rank + size) % size;
    *p = (struct piece){.peer = peer,
                        .at = x->at,
                        .out = rest(x->parcels->send_n[peer], x->at),
                        .in = rest(x->parcels->recv_n[peer], x->at)};
    if (x->span->machine_of[peer] != x->span->machine && (p->out || p->in))
      return true;
  }
  return false;
}

static void next_batch(struct exchange *x, struct batch *b) {
  struct piece p;
  b->n = 0;
  b->out = b->in = 0;
  while (b->n < MOST_PIECES && next_piece(x, &p) && b->out + p.out <= PIECE && b->in + p.in <= PIECE) {
    p.outgoing = b->outgoing + b->out;
    p.incoming = b->incoming + b->in;
    b->pieces[b->n++] = p;
    b->out += p.out;
    b->in += p.in;
    x->at += PIECE;
  }
}

static unisono_status pack(void *what, size_t k) {
  struct exchange *x = what;
  struct batch *b = &x->batches[k % 2];
  next_batch(x, b);
  for (int i = 0; i < b->n; i++) {
    const struct piece *p = &b->pieces[i];
    if (p->out)
      memcpy(p->outgoing, x->parcels->send + x->parcels->send_at[p->peer] + p->at, p->out);
  }
  return UNISONO_OK;
}

static unisono_status start(struct exchange *x, struct batch *b) {
  const struct uni_engine *engine = x->span->carrier->engine;
  unisono_status status = UNISONO_OK;
  for (int i = 0; i < b->n && !status; i++) {
    struct piece *p = &b->pieces[i];
    if (p->in)
      status = engine->recv(x->span->whole, p->incoming, p->in, p->peer, engine->most_tag, &p->receiving);
  }
  for (int i = 0; i < b->n && !status; i++) {
    struct piece *p = &b->pieces[i];
    p->leaves = p->out && !uni_span_is_gone(x->span, p->peer);
    if (p->leaves)
      status =
          engine->send(x->span->whole, p->outgoing, p->out, p->peer, engine->most_tag, false, &p->sending);
  }
  return status ? uni_span_failed(x->span, status) : UNISONO_OK;
}

/* While the first are under way, the machine's own ranks exchange theirs. */
static unisono_status depart(void *what, size_t k) {
  struct exchange *x = what;
  unisono_status status = start(x, &x->batches[k % 2]);
  return status || k ? status : exchange_here(x->span, x->parcels);
}

static unisono_status arrive(void *what, size_t k) {
  struct exchange *x = what;
  struct batch *b = &x->batches[k % 2];
  unisono_status status = UNISONO_OK;
  for (int i = 0; i < b->n && !status; i++) {
    struct piece *p = &b->pieces[i];
    if (p->in)
      status = uni_span_wait(x->span, &p->receiving, x->what);
    if (p->leaves && !status)
      status = uni_span_wait(x->span, &p->sending, x->what);
  }
  return status;
}

static unisono_status unpack(void *what, size_t k) {
  struct exchange *x = what;
  const struct batch *b = &x->batches[k % 2];
  for (int i = 0; i < b->n; i++) {
    const struct piece *p = &b->pieces[i];
    if (p->in)
      memcpy(x->parcels->recv + x->parcels->recv_at[p->peer] + p->at, p->incoming, p->in);
  }
  return UNISONO_OK;
}

/* How many there will be. */
static size_t count_batches(struct exchange x) {
  size_t n = 0;
  do
    next_batch(&x, &x.batches[0]);
  while (x.batches[0].n && ++n);
  return n;
}

static unisono_status exchange(struct uni_span *span, const struct parcels *p, const char *what) {
  struct exchange x = {.span = span, .parcels = p, .what = what};
  char *bounce = uni_span_bounce(span, 4 * (size_t)PIECE);
  if (!bounce)
    return UNISONO_ERROR_MEMORY;
  for (int i = 0; i < 2; i++) {
    x.batches[i].outgoing = bounce + (size_t)i * 2 * PIECE;
    x.batches[i].incoming = x.batches[i].outgoing + PIECE;
  }
  const struct uni_stages stages = {pack, depart, arrive, unpack};
  size_t batches = count_batches(x);
  unisono_status status = batches ? uni_pipeline(span, &stages, &x, batches) : exchange_here(span, p);
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
  if (uni_rides(span, call))
    return uni_ride(span, call);
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
