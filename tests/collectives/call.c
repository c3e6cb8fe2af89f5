#include "collectives/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

enum role { SEND, RECV };

static const struct {
  const char *name;
  bool reduces, has_root, has_place;
} collectives[COLLECTIVES] = {
    {"barrier", false, false, false},    {"all_reduce", true, false, true},
    {"reduce", true, true, true},        {"reduce_scatter", true, false, true},
    {"broadcast", false, true, false},   {"all_gather", false, false, true},
    {"gather", false, true, true},       {"scatter", false, true, true},
    {"all_to_all", false, false, true},  {"all_to_allv", false, false, false},
    {"all_gatherv", false, false, true}, {"all_reduce_cached", true, false, true},
};

bool collective_reduces(enum collective what) {
  return collectives[what].reduces;
}
bool collective_has_root(enum collective what) {
  return collectives[what].has_root;
}
bool collective_has_place(enum collective what) {
  return collectives[what].has_place;
}
const char *collective_name(enum collective what) {
  return collectives[what].name;
}

static bool is_v(enum collective what) {
  return what == ALL_TO_ALLV || what == ALL_GATHERV;
}

/* ------------------------------------------------------------------------------------- random calls */

size_t call_work(const struct call *call, int size) {
  size_t n = (size_t)size;
  return call->count * n * (call->what == BROADCAST ? 1 : n);
}

static size_t random_count(uint64_t *random) {
  static const size_t small[] = {0, 1, 2, 3, 7, 8, 15, 63, 64, 65, 255, 256, 257, 1000};
  static const size_t medium[] = {4095, 4096, 4097, 65535, 65536, 65537};
  static const size_t large[] = {299993, 786432, 1048577};
  uint64_t tier = test_below(random, 16);
  if (tier < 10)
    return small[test_below(random, 14)];
  return tier < 15 ? medium[test_below(random, 6)] : large[test_below(random, 3)];
}

struct call call_random(enum collective what, int size, size_t most_work, uint64_t *random) {
  struct call call = {.what = what, .seed = test_random(random)};
  do {
    call.dtype = (unisono_dtype)test_below(random, DTYPES);
    call.op = (unisono_op)test_below(random, OPS);
  } while (!reference_has_op(call.dtype, call.op));
  do
    call.count = random_count(random);
  while (call_work(&call, size) > most_work);
  call.root = (int)test_below(random, (uint64_t)size);
  call.in_place = collective_has_place(what) && test_below(random, 2);
  call.aligned = test_below(random, 2);
  call.mix = (enum mix)test_below(random, MIXES);
  return call;
}

/* ------------------------------------------------------------- what differs between ranks, from the seed */

static uint64_t choice(const struct call *call, int rank, enum role role, uint64_t purpose) {
  return test_hash(call->seed, (uint64_t)rank, (uint64_t)role, purpose);
}

static enum memory memory_of(const struct call *call, int rank, enum role role) {
  switch (call->mix) {
  case MIX_PRIVATE:
    return MEMORY_PRIVATE;
  case MIX_SHARED:
    return MEMORY_SHARED;
  case MIX_REGISTERED:
    return MEMORY_REGISTERED;
  case MIX_SEND_SHARED:
    return role == SEND ? MEMORY_SHARED : MEMORY_PRIVATE;
  case MIX_RECV_SHARED:
    return role == RECV ? MEMORY_SHARED : MEMORY_PRIVATE;
  default:
    return (enum memory)(choice(call, rank, role, 1) % MEMORY_KINDS);
  }
}

static size_t offset_of(const struct call *call, int rank, enum role role) {
  size_t size = reference_size(call->dtype);
  return call->aligned ? 0 : choice(call, rank, role, 2) % (64 / size) * size;
}

/* Of the elements that `from` sends to `to`. */
static size_t v_count(const struct call *call, int from, int to) {
  uint64_t h = test_hash(call->seed, (uint64_t)from, (uint64_t)(call->what == ALL_GATHERV ? from : to), 3);
  return h % 4 == 0 ? 0 : (h >> 2) % (2 * call->count + 1);
}

static void shuffle(int *order, int n, uint64_t random) {
  for (int i = 0; i < n; i++)
    order[i] = i;
  for (int i = n - 1; i > 0; i--) {
    int j = (int)test_below(&random, (uint64_t)i + 1), swap = order[i];
    order[i] = order[j];
    order[j] = swap;
  }
}

/* A rank's blocks lie in an order of its own, with gaps. Returns the number of elements in all. */
static size_t v_layout(const struct call *call, int size, int rank, enum role role, size_t *counts,
                       size_t *displs) {
  int order[TEST_MAX_RANKS];
  size_t end = 0;
  shuffle(order, size, choice(call, rank, role, 4));
  for (int i = 0; i < size; i++) {
    int peer = order[i];
    counts[peer] = role == SEND ? v_count(call, rank, peer) : v_count(call, peer, rank);
    displs[peer] = end + choice(call, rank, role, 5 + (uint64_t)peer) % 3;
    end = displs[peer] + counts[peer];
  }
  return end;
}

/* Elements that this rank's role has; 0 where the argument is ignored. */
static size_t elements_of(const struct part *p, enum role role) {
  size_t n = p->call.count, all = n * (size_t)p->size;
  bool is_root = p->rank == p->call.root;
  switch (p->call.what) {
  case ALL_REDUCE:
  case ALL_REDUCE_CACHED:
    return n;
  case REDUCE:
    return role == SEND || is_root ? n : 0;
  case REDUCE_SCATTER:
    return role == SEND ? all : n;
  case BROADCAST:
    return role == RECV ? n : 0;
  case ALL_GATHER:
    return role == SEND ? n : all;
  case GATHER:
    return role == SEND ? n : is_root ? all : 0;
  case SCATTER:
    return role == RECV ? n : is_root ? all : 0;
  case ALL_TO_ALL:
    return all;
  default:
    return 0;
  }
}

/* ---------------------------------------------------------------------------------------- preparation */

static void *allocate(size_t bytes) {
  void *p = malloc(bytes ? bytes : 1);
  CHECK(p);
  return p;
}

static unsigned char *copy_of(const struct buffer *b) {
  unsigned char *copy = allocate(b->bytes);
  if (b->bytes)
    memcpy(copy, b->data, b->bytes);
  return copy;
}

static void prepare_v(struct part *p, size_t *send_elements, size_t *recv_elements) {
  size_t **arrays[] = {&p->send_counts, &p->send_displs, &p->recv_counts, &p->recv_displs};
  for (int i = 0; i < 4; i++)
    *arrays[i] = allocate((size_t)p->size * sizeof **arrays[i]);
  *send_elements = v_layout(&p->call, p->size, p->rank, SEND, p->send_counts, p->send_displs);
  *recv_elements = v_layout(&p->call, p->size, p->rank, RECV, p->recv_counts, p->recv_displs);
  if (p->call.what == ALL_GATHERV)
    *send_elements = v_count(&p->call, p->rank, 0);
}

/* In place: one buffer, the smaller part inside the larger one. */
static void place_together(struct part *p, size_t send_elements, size_t recv_elements) {
  size_t size = reference_size(p->call.dtype), mine = (size_t)p->rank * p->call.count;
  size_t most = send_elements > recv_elements ? send_elements : recv_elements;
  p->recv = buffer_new(p->comm, memory_of(&p->call, p->rank, RECV), most * size,
                       offset_of(&p->call, p->rank, RECV));
  p->send_at = p->recv_at = p->recv.data;
  if (p->call.what == ALL_GATHER || p->call.what == GATHER)
    p->send_at = p->recv.data + mine * size;
  if (p->call.what == ALL_GATHERV)
    p->send_at = p->recv.data + p->recv_displs[p->rank] * size;
  if (p->call.what == REDUCE_SCATTER || p->call.what == SCATTER)
    p->recv_at = p->recv.data + mine * size;
}

/* A pointer that the library has no business to look at. */
static void *unused_pointer(const struct part *p, void *other) {
  static unsigned char somewhere;
  void *pointers[] = {NULL, &somewhere, other};
  return pointers[choice(&p->call, p->rank, RECV, 90) % 3];
}

static void place_apart(struct part *p, size_t send_elements, size_t recv_elements) {
  size_t size = reference_size(p->call.dtype);
  enum memory send = memory_of(&p->call, p->rank, SEND), recv = memory_of(&p->call, p->rank, RECV);
  p->send = buffer_new(p->comm, send, send_elements * size, offset_of(&p->call, p->rank, SEND));
  p->recv = buffer_new(p->comm, recv, recv_elements * size, offset_of(&p->call, p->rank, RECV));
  p->send_at = p->send.data;
  p->recv_at = p->recv.data;
  bool is_root = p->rank == p->call.root;
  if (!is_root && (p->call.what == REDUCE || p->call.what == GATHER))
    p->recv_at = unused_pointer(p, p->send_at);
  if (!is_root && p->call.what == SCATTER)
    p->send_at = unused_pointer(p, p->recv_at);
  if (p->call.count == 0 && !is_v(p->call.what) && choice(&p->call, p->rank, RECV, 91) % 2)
    p->send_at = p->recv_at = NULL;
}

static void fill_input(struct part *p, size_t send_elements) {
  void *at = p->call.what == BROADCAST ? p->recv_at : p->send_at;
  size_t n = send_elements;
  if (p->call.what == BROADCAST)
    n = p->rank == p->call.root ? p->call.count : 0;
  reference_fill(at, 0, n, p->call.dtype, p->call.seed, p->rank);
}

/* ------------------------------------------------------------------------------------------ results */

/* What `rank` sends, `count` elements from the `first` on. */
static void expect_input(const struct part *p, void *out, int rank, size_t first, size_t count) {
  reference_fill(out, first, count, p->call.dtype, p->call.seed, rank);
}

static void expect_reduction(const struct part *p, void *out, size_t first) {
  void *inputs[TEST_MAX_RANKS];
  for (int r = 0; r < p->size; r++) {
    inputs[r] = allocate(p->call.count * reference_size(p->call.dtype));
    expect_input(p, inputs[r], r, first, p->call.count);
  }
  reference_reduce(out, (const void *const *)inputs, p->size, p->call.count, p->call.dtype, p->call.op);
  for (int r = 0; r < p->size; r++)
    free(inputs[r]);
}

static void expect_blocks(const struct part *p, unsigned char *out, size_t first) {
  size_t n = p->call.count, size = reference_size(p->call.dtype);
  for (int r = 0; r < p->size; r++)
    expect_input(p, out + (size_t)r * n * size, r, first, n);
}

static void expect_v_blocks(const struct part *p, unsigned char *out) {
  size_t counts[TEST_MAX_RANKS], displs[TEST_MAX_RANKS], size = reference_size(p->call.dtype);
  for (int r = 0; r < p->size; r++) {
    v_layout(&p->call, p->size, r, SEND, counts, displs);
    size_t first = p->call.what == ALL_GATHERV ? 0 : displs[p->rank];
    expect_input(p, out + p->recv_displs[r] * size, r, first, p->recv_counts[r]);
  }
}

/* `out` is recv_at in the copy of the buffer. */
static void expect_result(const struct part *p, unsigned char *out) {
  size_t n = p->call.count, mine = (size_t)p->rank * n;
  bool is_root = p->rank == p->call.root;
  switch (p->call.what) {
  case ALL_REDUCE:
  case ALL_REDUCE_CACHED:
    return expect_reduction(p, out, 0);
  case REDUCE:
    return is_root ? expect_reduction(p, out, 0) : (void)0;
  case REDUCE_SCATTER:
    return expect_reduction(p, out, mine);
  case BROADCAST:
    return expect_input(p, out, p->call.root, 0, n);
  case ALL_GATHER:
    return expect_blocks(p, out, 0);
  case GATHER:
    return is_root ? expect_blocks(p, out, 0) : (void)0;
  case SCATTER:
    return expect_input(p, out, p->call.root, mine, n);
  case ALL_TO_ALL:
    return expect_blocks(p, out, mine);
  case ALL_TO_ALLV:
  case ALL_GATHERV:
    return expect_v_blocks(p, out);
  default:
    return;
  }
}

void call_prepare(struct part *part, const struct call *call, unisono_comm *comm) {
  *part = (struct part){.call = *call, .comm = comm};
  part->rank = unisono_comm_rank(comm);
  part->size = unisono_comm_size(comm);
  size_t send_elements = elements_of(part, SEND), recv_elements = elements_of(part, RECV);
  if (is_v(call->what))
    prepare_v(part, &send_elements, &recv_elements);
  bool has_both = !collective_has_root(call->what) || part->rank == call->root;
  if (call->in_place && has_both)
    place_together(part, send_elements, recv_elements);
  else
    place_apart(part, send_elements, recv_elements);
  fill_input(part, send_elements);
  part->send_expected = part->send.data ? copy_of(&part->send) : NULL;
  part->recv_expected = copy_of(&part->recv);
  size_t at = part->recv_at ? (size_t)((unsigned char *)part->recv_at - part->recv.data) : 0;
  expect_result(part, part->recv_expected + (at < part->recv.bytes ? at : 0));
}

/* --------------------------------------------------------------------------------------------- calls */

/* The blocking or the started form of a function. */
#define FORM(name, ...) (request ? unisono_##name##_async(__VA_ARGS__, request) : unisono_##name(__VA_ARGS__))

static unisono_status issue_v(struct part *p, unisono_request **request) {
  if (p->call.what == ALL_TO_ALLV)
    return FORM(all_to_allv, p->send_at, p->send_counts, p->send_displs, p->recv_at, p->recv_counts,
                p->recv_displs, p->call.dtype, p->comm);
  return FORM(all_gatherv, p->send_at, v_count(&p->call, p->rank, 0), p->recv_at, p->recv_counts,
              p->recv_displs, p->call.dtype, p->comm);
}

static unisono_status issue_cached(struct part *p, unisono_request **request) {
  char id[64];
  snprintf(id, sizeof id, "%s %s %zu", reference_dtype_name(p->call.dtype), reference_op_name(p->call.op),
           p->call.count);
  return FORM(all_reduce_cached, p->send_at, p->recv_at, p->call.count, p->call.dtype, p->call.op, id,
              p->comm);
}

unisono_status call_issue(struct part *p, unisono_request **request) {
  size_t n = p->call.count;
  unisono_dtype dtype = p->call.dtype;
  unisono_op op = p->call.op;
  switch (p->call.what) {
  case ALL_REDUCE:
    return FORM(all_reduce, p->send_at, p->recv_at, n, dtype, op, p->comm);
  case REDUCE:
    return FORM(reduce, p->send_at, p->recv_at, n, dtype, op, p->call.root, p->comm);
  case REDUCE_SCATTER:
    return FORM(reduce_scatter, p->send_at, p->recv_at, n, dtype, op, p->comm);
  case BROADCAST:
    return FORM(broadcast, p->recv_at, n, dtype, p->call.root, p->comm);
  case ALL_GATHER:
    return FORM(all_gather, p->send_at, p->recv_at, n, dtype, p->comm);
  case GATHER:
    return FORM(gather, p->send_at, p->recv_at, n, dtype, p->call.root, p->comm);
  case SCATTER:
    return FORM(scatter, p->send_at, p->recv_at, n, dtype, p->call.root, p->comm);
  case ALL_TO_ALL:
    return FORM(all_to_all, p->send_at, p->recv_at, n, dtype, p->comm);
  case ALL_TO_ALLV:
  case ALL_GATHERV:
    return issue_v(p, request);
  case ALL_REDUCE_CACHED:
    return issue_cached(p, request);
  default:
    return FORM(barrier, p->comm);
  }
}

/* --------------------------------------------------------------------------------------------- checks */

static void describe(const struct part *p, char *text, size_t n) {
  static const char *const mixes[MIXES] = {"private",     "shared",      "registered",
                                           "send shared", "recv shared", "random memory"};
  snprintf(text, n, "%s %s %s count %zu root %d %s %s %s seed %llu", collective_name(p->call.what),
           reference_dtype_name(p->call.dtype),
           collective_reduces(p->call.what) ? reference_op_name(p->call.op) : "", p->call.count, p->call.root,
           p->call.in_place ? "in place" : "out of place", mixes[p->call.mix],
           p->call.aligned ? "aligned" : "unaligned", (unsigned long long)p->call.seed);
}

static void print_bytes(char *text, const unsigned char *bytes, size_t n) {
  for (size_t i = n; i-- > 0; text += 2)
    sprintf(text, "%02x", bytes[i]);
}

static void check_bytes(const struct part *p, const struct buffer *b, const unsigned char *expected,
                        const char *name) {
  if (b->bytes == 0 || memcmp(b->data, expected, b->bytes) == 0)
    return;
  size_t at = 0, wrong = 0, size = reference_size(p->call.dtype);
  while (b->data[at] == expected[at])
    at++;
  at = at / size * size;
  for (size_t i = 0; i < b->bytes; i += size)
    wrong += memcmp(b->data + i, expected + i, size) != 0;
  char is[20], should[20], what[300];
  print_bytes(is, b->data + at, size);
  print_bytes(should, expected + at, size);
  describe(p, what, sizeof what);
  FAIL("%s: the %s buffer's element %zu is 0x%s and should be 0x%s; %zu elements are wrong", what, name,
       at / size, is, should, wrong);
}

void call_check(const struct part *part) {
  if (part->send.data) {
    check_bytes(part, &part->send, part->send_expected, "send");
    buffer_check_guards(&part->send);
  }
  check_bytes(part, &part->recv, part->recv_expected, "receive");
  buffer_check_guards(&part->recv);
}

void call_free(struct part *part) {
  if (part->send.block)
    buffer_free(&part->send);
  buffer_free(&part->recv);
  free(part->send_expected);
  free(part->recv_expected);
  free(part->send_counts);
  free(part->send_displs);
  free(part->recv_counts);
  free(part->recv_displs);
}

void call_run(const struct call *call, unisono_comm *comm) {
  struct part part;
  char what[300];
  call_prepare(&part, call, comm);
  describe(&part, what, sizeof what);
  test_at("%s", what);
  unisono_status status = call_issue(&part, NULL);
  if (status)
    FAIL("%s: %s: %s", what, unisono_status_string(status), unisono_last_error());
  call_check(&part);
  call_free(&part);
}
