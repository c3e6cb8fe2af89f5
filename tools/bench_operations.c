/* The operations: how each is called, what it shall have received, and nccl-tests' factor from algorithm
 * bandwidth to bus bandwidth (github.com/NVIDIA/nccl-tests, doc/PERFORMANCE.md). */
#include "bench.h"

#include <string.h>

enum { ROOT = 0, TAG = 0 };

static double one(double n) {
  return n > 0 ? 1 : 0;
}
static double others(double n) {
  return (n - 1) / n;
}
static double twice_others(double n) {
  return 2 * (n - 1) / n;
}

/* The total in n uneven parts: where part k starts, its size growing with k. */
static size_t uneven_start(size_t elements, size_t k, size_t n) {
  size_t weights = n * (n + 1) / 2, before = k * (k + 1) / 2;
  return elements / weights * before + elements % weights * before / weights;
}

static size_t uneven_count(size_t elements, size_t k, size_t n) {
  return uneven_start(elements, k + 1, n) - uneven_start(elements, k, n);
}

/* Between ranks i and j goes part (i + j) mod n of the total, so that both sides agree and every rank sends
 * it all. */
static size_t part_with(const struct bench *bench, int peer) {
  return (size_t)(bench->rank + peer) % (size_t)bench->size;
}

void bench_prepare(struct bench *bench, const struct shape *shape) {
  size_t n = (size_t)bench->size;
  bool by_rank = bench->options->operation->sends == UNEVEN;
  for (int r = 0; r < bench->size; r++) {
    size_t part = by_rank ? (size_t)r : part_with(bench, r);
    bench->counts[r] = uneven_count(shape->elements, part, n);
    bench->displs[r] = uneven_start(shape->elements, part, n);
  }
  snprintf(bench->match_id, sizeof bench->match_id, "bench %zu", shape->bytes);
}

size_t bench_sent(const struct bench *bench, const struct shape *shape) {
  size_t n = (size_t)bench->size;
  switch (bench->options->operation->sends) {
  case WHOLE:
    return shape->elements;
  case SHARE:
    return shape->elements / n;
  case UNEVEN:
    return uneven_count(shape->elements, (size_t)bench->rank, n);
  default:
    return 0;
  }
}

/* ------------------------------------------------------------------------------------------ calls */

#define DTYPE (c->bench->options->dtype)
#define OP (c->bench->options->op)
#define COMM (c->bench->comm)

static unisono_status run_all_reduce(const struct call *c) {
  return unisono_all_reduce(c->send, c->recv, c->elements, DTYPE, OP, COMM);
}

static unisono_status run_all_reduce_cached(const struct call *c) {
  return unisono_all_reduce_cached(c->send, c->recv, c->elements, DTYPE, OP, c->bench->match_id, COMM);
}

static unisono_status run_reduce(const struct call *c) {
  return unisono_reduce(c->send, c->recv, c->elements, DTYPE, OP, ROOT, COMM);
}

static unisono_status run_reduce_scatter(const struct call *c) {
  return unisono_reduce_scatter(c->send, c->recv, c->share, DTYPE, OP, COMM);
}

static unisono_status run_broadcast(const struct call *c) {
  return unisono_broadcast(c->send, c->elements, DTYPE, ROOT, COMM);
}

static unisono_status run_all_gather(const struct call *c) {
  return unisono_all_gather(c->send, c->recv, c->share, DTYPE, COMM);
}

static unisono_status run_gather(const struct call *c) {
  return unisono_gather(c->send, c->recv, c->share, DTYPE, ROOT, COMM);
}

static unisono_status run_scatter(const struct call *c) {
  return unisono_scatter(c->send, c->recv, c->share, DTYPE, ROOT, COMM);
}

static unisono_status run_all_to_all(const struct call *c) {
  return unisono_all_to_all(c->send, c->recv, c->share, DTYPE, COMM);
}

static unisono_status run_all_to_allv(const struct call *c) {
  const struct bench *b = c->bench;
  return unisono_all_to_allv(c->send, b->counts, b->displs, c->recv, b->counts, b->displs, DTYPE, COMM);
}

static unisono_status run_all_gatherv(const struct call *c) {
  const struct bench *b = c->bench;
  return unisono_all_gatherv(c->send, b->counts[b->rank], c->recv, b->counts, b->displs, DTYPE, COMM);
}

static unisono_status run_barrier(const struct call *c) {
  return unisono_barrier(COMM);
}

/* Ranks 0 and 1, 2 and 3, ... play ping-pong; a last one without a partner looks on. */
static int partner(const struct bench *bench) {
  int peer = bench->rank ^ 1;
  return peer < bench->size ? peer : -1;
}

static unisono_status run_send_recv(const struct call *c) {
  int peer = partner(c->bench);
  if (peer < 0)
    return UNISONO_OK;
  bool first = c->bench->rank < peer;
  unisono_status status = first ? unisono_send(c->send, c->elements, DTYPE, peer, TAG, COMM)
                                : unisono_recv(c->recv, c->elements, DTYPE, peer, TAG, COMM);
  if (status != UNISONO_OK)
    return status;
  return first ? unisono_recv(c->recv, c->elements, DTYPE, peer, TAG, COMM)
               : unisono_send(c->send, c->elements, DTYPE, peer, TAG, COMM);
}

/* ----------------------------------------------------------------------------------------- checks */

static bool check_reduced(const struct call *c) {
  return bench_expect(c, 0, c->elements, FROM_REDUCED, 0);
}

static bool check_reduce(const struct call *c) {
  return c->bench->rank != ROOT || check_reduced(c);
}

static bool check_reduce_scatter(const struct call *c) {
  return bench_expect(c, 0, c->share, FROM_REDUCED, c->share * (size_t)c->bench->rank);
}

static bool check_broadcast(const struct call *c) {
  struct call received = *c;
  received.recv = c->send;
  return bench_expect(&received, 0, c->elements, ROOT, 0);
}

static bool check_all_gather(const struct call *c) {
  for (int r = 0; r < c->bench->size; r++)
    if (!bench_expect(c, c->share * (size_t)r, c->share, r, 0))
      return false;
  return true;
}

static bool check_gather(const struct call *c) {
  return c->bench->rank != ROOT || check_all_gather(c);
}

static bool check_scatter(const struct call *c) {
  return bench_expect(c, 0, c->share, ROOT, c->share * (size_t)c->bench->rank);
}

static bool check_all_to_all(const struct call *c) {
  for (int r = 0; r < c->bench->size; r++)
    if (!bench_expect(c, c->share * (size_t)r, c->share, r, c->share * (size_t)c->bench->rank))
      return false;
  return true;
}

static bool check_all_to_allv(const struct call *c) {
  size_t n = (size_t)c->bench->size;
  for (int r = 0; r < c->bench->size; r++) {
    size_t part = part_with(c->bench, r), start = uneven_start(c->elements, part, n);
    if (!bench_expect(c, start, uneven_count(c->elements, part, n), r, start))
      return false;
  }
  return true;
}

static bool check_all_gatherv(const struct call *c) {
  size_t n = (size_t)c->bench->size;
  for (size_t r = 0; r < n; r++)
    if (!bench_expect(c, uneven_start(c->elements, r, n), uneven_count(c->elements, r, n), (int)r, 0))
      return false;
  return true;
}

static bool check_barrier(const struct call *c) {
  return c != NULL;
}

static bool check_send_recv(const struct call *c) {
  int peer = partner(c->bench);
  return peer < 0 || bench_expect(c, 0, c->elements, peer, 0);
}

/* ------------------------------------------------------------------------------------------ table */

const struct operation bench_operations[] = {
    {"all_reduce", run_all_reduce, check_reduced, WHOLE, SAME, false, true, twice_others, 1},
    {"all_reduce_cached", run_all_reduce_cached, check_reduced, WHOLE, SAME, false, true, twice_others, 1},
    {"reduce", run_reduce, check_reduce, WHOLE, SAME, false, true, one, 1},
    {"reduce_scatter", run_reduce_scatter, check_reduce_scatter, WHOLE, RECV_IN_SEND, true, true, others, 1},
    {"broadcast", run_broadcast, check_broadcast, WHOLE, SAME, false, false, one, 1},
    {"all_gather", run_all_gather, check_all_gather, SHARE, SEND_IN_RECV, true, false, others, 1},
    {"gather", run_gather, check_gather, SHARE, SEND_IN_RECV, true, false, others, 1},
    {"scatter", run_scatter, check_scatter, WHOLE, RECV_IN_SEND, true, false, others, 1},
    {"all_to_all", run_all_to_all, check_all_to_all, WHOLE, NOT_IN_PLACE, true, false, others, 1},
    {"all_to_allv", run_all_to_allv, check_all_to_allv, WHOLE, NOT_IN_PLACE, false, false, others, 1},
    {"all_gatherv", run_all_gatherv, check_all_gatherv, UNEVEN, NOT_IN_PLACE, false, false, others, 1},
    {"barrier", run_barrier, check_barrier, NOTHING, NOT_IN_PLACE, false, false, one, 1},
    {"send_recv", run_send_recv, check_send_recv, WHOLE, NOT_IN_PLACE, false, false, one, 2},
    {0}};

const struct operation *bench_operation(const char *name) {
  for (const struct operation *operation = bench_operations; operation->name; operation++)
    if (strcmp(operation->name, name) == 0)
      return operation;
  return NULL;
}
