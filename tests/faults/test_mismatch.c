/* Ranks that call different things: MISMATCH on every rank, with words that say who called what, and no
 * receive buffer is written. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffers.h"
#include "faults/workload.h"
#include "harness.h"
#include "machines.h"

enum { ELEMENTS = 100000 };

/* What one rank calls. */
struct call_of_rank {
  enum collective what;
  size_t count;
  unisono_dtype dtype;
  unisono_op op;
  int root;
  const char *match_id;
};

/* The last rank calls `other`, all others `usual`; each one's last error has all the words in it. */
struct pair {
  struct call_of_rank usual, other;
  const char *words[3];
  bool may_leave; /* a rank may have left before the mismatch was seen: its next operation tells */
};

static unisono_status issue(const struct call_of_rank *c, const void *send, void *recv) {
  unisono_comm *comm = test_self()->comm;
  size_t counts[TEST_MAX_RANKS], displs[TEST_MAX_RANKS];
  for (int r = 0; r < TEST_MAX_RANKS; r++) {
    counts[r] = c->count;
    displs[r] = (size_t)r * c->count;
  }
  switch (c->what) {
  case ALL_REDUCE:
    return unisono_all_reduce(send, recv, c->count, c->dtype, c->op, comm);
  case REDUCE:
    return unisono_reduce(send, recv, c->count, c->dtype, c->op, c->root, comm);
  case REDUCE_SCATTER:
    return unisono_reduce_scatter(send, recv, c->count, c->dtype, c->op, comm);
  case BROADCAST:
    return unisono_broadcast(recv, c->count, c->dtype, c->root, comm);
  case ALL_GATHER:
    return unisono_all_gather(send, recv, c->count, c->dtype, comm);
  case GATHER:
    return unisono_gather(send, recv, c->count, c->dtype, c->root, comm);
  case SCATTER:
    return unisono_scatter(send, recv, c->count, c->dtype, c->root, comm);
  case ALL_TO_ALL:
    return unisono_all_to_all(send, recv, c->count, c->dtype, comm);
  case ALL_TO_ALLV:
    return unisono_all_to_allv(send, counts, displs, recv, counts, displs, c->dtype, comm);
  case ALL_GATHERV:
    return unisono_all_gatherv(send, c->count, recv, counts, displs, c->dtype, comm);
  case ALL_REDUCE_CACHED:
    return unisono_all_reduce_cached(send, recv, c->count, c->dtype, c->op, c->match_id, comm);
  default:
    return unisono_barrier(comm);
  }
}

static void check_words(const struct pair *pair) {
  for (int i = 0; i < 3 && pair->words[i]; i++)
    CHECK_WORDS(pair->words[i]);
  CHECK_WORDS("rank");
}

static void play(const struct pair *pair, enum memory memory) {
  struct test_rank *self = test_self();
  const struct call_of_rank *mine = self->rank == self->size - 1 ? &pair->other : &pair->usual;
  struct buffer send = buffer_new(self->comm, memory, ELEMENTS * 8, 0);
  struct buffer recv = buffer_new(self->comm, memory, ELEMENTS * 8, 0);
  memset(send.data, 1, send.bytes);
  CHECK_OK(unisono_comm_set_timeout(self->comm, test_slow_ms(5000)));
  unisono_status status = issue(mine, send.data, recv.data);
  bool has_left = status == UNISONO_OK && pair->may_leave;
  CHECK_STATUS(UNISONO_ERROR_MISMATCH, has_left ? unisono_barrier(self->comm) : status);
  check_words(pair);
  if (!has_left)
    buffer_check_untouched(&recv);
  check_broken(self->comm, UNISONO_ERROR_MISMATCH);
  buffer_free(&send);
  buffer_free(&recv);
}

#define F32 UNISONO_FLOAT32
#define I32 UNISONO_INT32
#define SUM UNISONO_SUM

#define REDUCTION(name, n, type, how)                                                                        \
  { .what = name, .count = n, .dtype = type, .op = how }
#define ROOTED(name, n, rank)                                                                                \
  { .what = name, .count = n, .dtype = F32, .op = SUM, .root = rank }
#define EXCHANGE(name, n, type)                                                                              \
  { .what = name, .count = n, .dtype = type }
#define CACHED(id)                                                                                           \
  { .what = ALL_REDUCE_CACHED, .count = 10, .dtype = F32, .op = SUM, .match_id = id }

#define ALL_WAIT(one, another, ...)                                                                          \
  {                                                                                                          \
    .usual = one, .other = another, .words = { __VA_ARGS__ }                                                 \
  }
#define SOME_LEAVE(one, another, ...)                                                                        \
  { .usual = one, .other = another, .words = {__VA_ARGS__}, .may_leave = true }

static const struct pair pairs[] = {
    ALL_WAIT(REDUCTION(ALL_REDUCE, 10, F32, SUM), REDUCTION(ALL_REDUCE, 11, F32, SUM), "all_reduce",
             "count 10", "11"),
    ALL_WAIT(REDUCTION(ALL_REDUCE, 10000, F32, SUM), REDUCTION(ALL_REDUCE, 10001, F32, SUM), "10000",
             "10001"),
    ALL_WAIT(REDUCTION(ALL_REDUCE, 2000, F32, SUM), REDUCTION(ALL_REDUCE, 4, F32, SUM), "all_reduce", "2000",
             "4"),
    ALL_WAIT(REDUCTION(ALL_REDUCE, 10, F32, SUM), REDUCTION(ALL_REDUCE, 0, F32, SUM), "all_reduce", "10",
             "0"),
    ALL_WAIT(REDUCTION(ALL_REDUCE, 10, F32, SUM), REDUCTION(ALL_REDUCE, 10, I32, SUM), "float32", "int32"),
    ALL_WAIT(REDUCTION(ALL_REDUCE, 9000, F32, SUM), REDUCTION(ALL_REDUCE, 9000, UNISONO_FLOAT16, SUM),
             "float16"),
    ALL_WAIT(REDUCTION(ALL_REDUCE, 10, F32, SUM), REDUCTION(ALL_REDUCE, 10, F32, UNISONO_MAX), "sum", "max"),
    ALL_WAIT(REDUCTION(ALL_REDUCE, 10, F32, SUM), EXCHANGE(BARRIER, 0, F32), "all_reduce", "barrier"),
    ALL_WAIT(EXCHANGE(BARRIER, 0, F32), REDUCTION(ALL_REDUCE, 10, F32, SUM), "all_reduce", "barrier"),
    ALL_WAIT(REDUCTION(ALL_REDUCE, 10, F32, SUM), EXCHANGE(ALL_GATHER, 10, F32), "all_reduce", "all_gather"),
    ALL_WAIT(REDUCTION(ALL_REDUCE, 9000, F32, SUM), REDUCTION(REDUCE_SCATTER, 9000, F32, SUM),
             "reduce_scatter"),
    ALL_WAIT(REDUCTION(ALL_REDUCE, 10, F32, SUM), EXCHANGE(ALL_TO_ALL, 10, F32), "all_reduce", "all_to_all"),
    ALL_WAIT(REDUCTION(ALL_REDUCE, 10, F32, SUM), CACHED("id"), "all_reduce", "match id"),
    ALL_WAIT(CACHED("a"), CACHED("b"), "all_reduce", "match id"),
    ALL_WAIT(REDUCTION(REDUCE_SCATTER, 10, F32, SUM), REDUCTION(REDUCE_SCATTER, 12, F32, SUM), "10", "12"),
    ALL_WAIT(EXCHANGE(ALL_GATHER, 10, F32), EXCHANGE(ALL_GATHER, 12, F32), "all_gather", "10", "12"),
    ALL_WAIT(EXCHANGE(ALL_GATHER, 10, F32), EXCHANGE(ALL_GATHER, 10, UNISONO_INT8), "float32", "int8"),
    ALL_WAIT(EXCHANGE(ALL_TO_ALL, 10, F32), EXCHANGE(ALL_TO_ALL, 12, F32), "all_to_all", "10", "12"),
    SOME_LEAVE(EXCHANGE(ALL_TO_ALLV, 10, F32), EXCHANGE(ALL_TO_ALLV, 11, F32), "all_to_allv", "10", "11"),
    SOME_LEAVE(EXCHANGE(ALL_GATHERV, 10, F32), EXCHANGE(ALL_GATHERV, 11, F32), "all_gatherv", "10", "11"),
    SOME_LEAVE(EXCHANGE(ALL_GATHERV, 10, F32), EXCHANGE(ALL_GATHERV, 10, I32), "float32", "int32"),
    SOME_LEAVE(ROOTED(REDUCE, 10, 0), ROOTED(REDUCE, 10, 1), "reduce", "root 0", "1"),
    SOME_LEAVE(ROOTED(REDUCE, 10, 0), ROOTED(REDUCE, 12, 0), "reduce", "10", "12"),
    SOME_LEAVE(ROOTED(GATHER, 10, 0), ROOTED(GATHER, 10, 1), "gather", "root 0", "1"),
    SOME_LEAVE(ROOTED(GATHER, 9000, 0), ROOTED(GATHER, 9001, 0), "gather", "9000", "9001"),
    SOME_LEAVE(ROOTED(SCATTER, 10, 0), ROOTED(SCATTER, 10, 1), "scatter", "root 0", "1"),
    SOME_LEAVE(ROOTED(SCATTER, 10, 0), ROOTED(SCATTER, 12, 0), "scatter", "10", "12"),
    SOME_LEAVE(ROOTED(BROADCAST, 10, 0), ROOTED(BROADCAST, 10, 1), "broadcast", "root 0", "1"),
    SOME_LEAVE(ROOTED(BROADCAST, 10, 0), ROOTED(BROADCAST, 12, 0), "broadcast", "10", "12"),
    SOME_LEAVE(ROOTED(BROADCAST, 90000, 0), ROOTED(BROADCAST, 12, 0), "broadcast", "90000", "12"),
    SOME_LEAVE(ROOTED(BROADCAST, 10, 0), REDUCTION(ALL_REDUCE, 10, F32, SUM), "broadcast", "all_reduce"),
    SOME_LEAVE(ROOTED(GATHER, 10, 0), ROOTED(SCATTER, 10, 0), "gather", "scatter"),
};
enum { PAIRS = sizeof pairs / sizeof *pairs };

/* A round each pair and kind of memory: after a mismatch the communicator is broken. */
static void test_collectives(void) {
  int round = test_self()->round;
  test_at("pair %d, %s memory", round % PAIRS, memory_name((enum memory)(round / PAIRS)));
  play(&pairs[round % PAIRS], (enum memory)(round / PAIRS));
}

/* A message longer than the receiver's buffer: nothing is written beyond it. */
static void test_long_message(void) {
  struct test_rank *self = test_self();
  size_t longer = self->round % 2 ? ELEMENTS : 20, shorter = longer - 1;
  enum memory memory = (enum memory)(self->round / 2);
  struct buffer send = buffer_new(self->comm, memory, longer * 4, 0);
  struct buffer recv = buffer_new(self->comm, memory, shorter * 4, 0);
  unisono_status status = UNISONO_OK;
  if (self->rank == 0)
    status = unisono_send(send.data, longer, F32, 1, 0, self->comm);
  else if (self->rank == 1)
    status = unisono_recv(recv.data, shorter, F32, 0, 0, self->comm);
  if (status == UNISONO_OK && self->rank != 1) /* the sender may have left */
    status = unisono_barrier(self->comm);
  CHECK_STATUS(UNISONO_ERROR_MISMATCH, status);
  buffer_check_guards(&recv);
  check_broken(self->comm, UNISONO_ERROR_MISMATCH);
  buffer_free(&send);
  buffer_free(&recv);
}

static void test_type_of_message(void) {
  struct test_rank *self = test_self();
  float data[4] = {0};
  unisono_status status;
  if (self->rank == 0)
    status = unisono_send(data, 4, F32, 1, 0, self->comm);
  else
    status = unisono_recv(data, 4, UNISONO_INT32, 0, 0, self->comm);
  if (status == UNISONO_OK && self->rank == 0)
    status = unisono_barrier(self->comm);
  CHECK_STATUS(UNISONO_ERROR_MISMATCH, status);
}

/* A root need not wait for the others; what it then calls tells, though that does not wait for them either.
 */
static void test_next_broadcast(void) {
  struct test_rank *self = test_self();
  float data[4] = {1, 2, 3, 4};
  if (self->rank > 0)
    test_sleep_us(20000);
  unisono_status status = unisono_broadcast(data, 3 + (size_t)(self->rank == 0), F32, 0, self->comm);
  if (self->rank == 0 && !status)
    status = unisono_broadcast(data, 4, F32, 0, self->comm);
  CHECK_STATUS(UNISONO_ERROR_MISMATCH, status);
  CHECK_WORDS("count 3");
}

/* Nobody can know that it will never be received: TIMEOUT. */
static void test_send_against_collective(void) {
  struct test_rank *self = test_self();
  static float data[ELEMENTS];
  unisono_status status;
  CHECK_OK(unisono_comm_set_timeout(self->comm, test_slow_ms(300)));
  if (self->rank == 0)
    status = unisono_send(data, ELEMENTS, F32, 1, 0, self->comm);
  else
    status = unisono_barrier(self->comm);
  CHECK_STATUS(UNISONO_ERROR_TIMEOUT, status);
}

/* Started: the start is fine, and wait tells. Later ones end the same way. */
static void test_started(void) {
  struct test_rank *self = test_self();
  float data[20] = {0};
  unisono_request *requests[2];
  for (int i = 0; i < 2; i++)
    CHECK_OK(unisono_all_reduce_async(data, data, 10 + (size_t)(self->rank == 0), F32, SUM, self->comm,
                                      &requests[i]));
  for (int i = 0; i < 2; i++)
    CHECK_STATUS(UNISONO_ERROR_MISMATCH, unisono_wait(&requests[i]));
  check_broken(self->comm, UNISONO_ERROR_MISMATCH);
}

int main(int argc, char **argv) {
  int kinds = machines_number() ? 1 : MEMORY_KINDS; /* what travels between machines is copied */
  const struct test tests[] = {
      {.name = "collectives", .body = test_collectives, .ranks = {2, 3, 5}, .rounds = kinds * PAIRS},
      {.name = "message too long", .body = test_long_message, .ranks = {2, 3}, .rounds = 2 * MEMORY_KINDS},
      {.name = "type of a message", .body = test_type_of_message, .ranks = {2}},
      {.name = "next broadcast", .body = test_next_broadcast, .ranks = {2, 3}, .rounds = 10},
      {.name = "send against a collective", .body = test_send_against_collective, .ranks = {2}},
      {.name = "started operations", .body = test_started, .ranks = {2, 3}},
      {0},
  };
  return test_main(argc, argv, tests);
}
