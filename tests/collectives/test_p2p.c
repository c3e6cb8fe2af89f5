/* Messages: tags, wildcards, order, lengths, both ways at once, to oneself, from and to every kind of memory.
 */
#include <stdlib.h>
#include <string.h>

#include "buffers.h"
#include "collectives/works.h"
#include "harness.h"
#include "reference.h"

static const size_t counts[] = {0, 1, 7, 64, 255, 1000, 4097, 65537, 1000003};
enum { COUNTS = sizeof counts / sizeof *counts };

static void fill(struct buffer *b, int from, int tag) {
  reference_fill(b->data, 0, b->bytes, UNISONO_UINT8, (uint64_t)tag, from);
}

static void check_data(const struct buffer *b, size_t bytes, int from, int tag) {
  unsigned char *expected = malloc(bytes + 1);
  reference_fill(expected, 0, bytes, UNISONO_UINT8, (uint64_t)tag, from);
  CHECK(memcmp(b->data, expected, bytes) == 0);
  for (size_t i = bytes; i < b->bytes; i++)
    CHECK(b->data[i] == buffer_pattern((long)i)); /* nothing beyond the message */
  buffer_check_guards(b);
  free(expected);
}

static void check_message(const unisono_message *m, int peer, int tag, size_t count) {
  if (m->peer != peer || m->tag != tag || m->count != count)
    FAIL("message from %d under tag %d of %zu elements; should be from %d under %d of %zu", m->peer, m->tag,
         m->count, peer, tag, count);
}

/* Rank 0 to every other one and back, every length and kind of memory; the receiver's buffer is longer. */
static void test_lengths(void) {
  struct test_rank *self = test_self();
  for (int i = 0; i < COUNTS * MEMORY_KINDS; i++) {
    enum memory kind = (enum memory)(i / COUNTS), other = (enum memory)((i + self->rank) % MEMORY_KINDS);
    size_t n = counts[i % COUNTS];
    struct buffer out = buffer_new(self->comm, kind, n, 1), in = buffer_new(self->comm, other, n + 5, 3);
    fill(&out, self->rank, i);
    for (int r = 1; r < self->size; r++) {
      unisono_message m;
      if (self->rank == 0)
        CHECK_OK(unisono_send(out.data, n, UNISONO_UINT8, r, i, self->comm));
      if (self->rank == r) {
        CHECK_OK(unisono_recv_message(in.data, n + 5, UNISONO_UINT8, 0, i, self->comm, &m));
        check_message(&m, 0, i, n);
        check_data(&in, n, 0, i);
        CHECK_OK(unisono_send(out.data, n, UNISONO_UINT8, 0, i, self->comm));
      }
      if (self->rank == 0) {
        CHECK_OK(unisono_recv(in.data, n, UNISONO_UINT8, r, i, self->comm));
        check_data(&in, n, r, i);
      }
    }
    check_data(&out, n, self->rank, i);
    buffer_free(&out);
    buffer_free(&in);
  }
}

/* Under one tag in order; other tags can be received first. */
static void test_tags_and_order(void) {
  enum { N = 50 };
  struct test_rank *self = test_self();
  unisono_request *requests[2 * N];
  int values[2 * N], got;
  if (self->rank == 0) {
    for (int i = 0; i < 2 * N; i++) {
      values[i] = i;
      CHECK_OK(unisono_send_async(&values[i], 1, UNISONO_INT32, 1, i % 2 ? 0 : 2147483647, self->comm,
                                  &requests[i]));
    }
    for (int i = 0; i < 2 * N; i++)
      CHECK_OK(unisono_wait(&requests[i]));
  }
  for (int i = 0; i < 2 * N && self->rank == 1; i++) { /* all of tag 0 first */
    int tag = i < N ? 0 : 2147483647;
    CHECK_OK(unisono_recv(&got, 1, UNISONO_INT32, 0, tag, self->comm));
    CHECK(got == 2 * (i % N) + (tag == 0));
  }
}

/* Everybody sends to rank 0, which takes what comes; each sender's messages are in order. */
static void test_any(void) {
  enum { N = 40 };
  struct test_rank *self = test_self();
  int next[TEST_MAX_RANKS] = {0};
  for (int i = 0; i < N && self->rank != 0; i++) {
    int value = 1000 * self->rank + i;
    CHECK_OK(unisono_send(&value, 1, UNISONO_INT32, 0, i % 3, self->comm));
  }
  for (int i = 0; i < N * (self->size - 1) && self->rank == 0; i++) {
    unisono_message m = {-1, -1, 0};
    int value[2];
    CHECK_OK(unisono_recv_message(value, 2, UNISONO_INT32, -1, -1, self->comm, &m));
    CHECK(m.peer > 0 && m.peer < self->size);
    CHECK(value[0] == 1000 * m.peer + next[m.peer]);
    check_message(&m, m.peer, next[m.peer] % 3, 1);
    next[m.peer]++;
  }
  test_meet(); /* nobody leaves while others wait for anybody */
}

static void test_any_tag_of_one(void) {
  struct test_rank *self = test_self();
  int value;
  unisono_message m;
  if (self->rank != 0) {
    value = self->rank;
    CHECK_OK(unisono_send(&value, 1, UNISONO_INT32, 0, 5 + self->rank, self->comm));
  }
  for (int r = self->size - 1; r > 0 && self->rank == 0; r--) {
    CHECK_OK(unisono_recv_message(&value, 1, UNISONO_INT32, r, -1, self->comm, &m));
    check_message(&m, r, 5 + r, 1);
    CHECK(value == r);
  }
  test_meet(); /* nobody leaves while others wait for anybody */
}

/* Receives that wait before anything is sent; a wildcard among them. */
static void test_posted_receives(void) {
  enum { N = 20 };
  struct test_rank *self = test_self();
  unisono_request *requests[N];
  int got[N];
  if (self->rank == 0)
    for (int i = 0; i < N; i++)
      CHECK_OK(unisono_recv_async(&got[i], 1, UNISONO_INT32, i % 2 ? 1 : -1, i % 2 ? 3 : -1, self->comm,
                                  &requests[i]));
  test_meet();
  for (int i = 0; i < N && self->rank == 1; i++)
    CHECK_OK(unisono_send(&i, 1, UNISONO_INT32, 0, 3, self->comm));
  for (int i = 0; i < N && self->rank == 0; i++) {
    CHECK_OK(unisono_wait(&requests[i]));
    CHECK(got[i] == i); /* in the order in which they were posted */
  }
}

/* Large ones around a ring, every rank sending before it receives. */
static void test_both_ways(void) {
  struct test_rank *self = test_self();
  size_t n = 3 << 20;
  int right = (self->rank + 1) % self->size, left = (self->rank + self->size - 1) % self->size;
  for (int kind = 0; kind < MEMORY_KINDS; kind++) {
    struct buffer out = buffer_new(self->comm, (enum memory)kind, n, 0), in[2];
    unisono_request *requests[4];
    fill(&out, self->rank, kind);
    for (int i = 0; i < 2; i++) {
      in[i] = buffer_new(self->comm, (enum memory)((kind + self->rank) % MEMORY_KINDS), n, 0);
      CHECK_OK(unisono_send_async(out.data, n, UNISONO_UINT8, i ? left : right, i, self->comm, &requests[i]));
    }
    for (int i = 0; i < 2; i++)
      CHECK_OK(unisono_recv_async(in[i].data, n, UNISONO_UINT8, i ? right : left, i, self->comm,
                                  &requests[2 + i]));
    for (int i = 0; i < 4; i++)
      CHECK_OK(unisono_wait(&requests[i]));
    for (int i = 0; i < 2; i++) {
      check_data(&in[i], n, i ? right : left, kind);
      buffer_free(&in[i]);
    }
    buffer_free(&out);
  }
}

static void test_self_send(void) {
  struct test_rank *self = test_self();
  for (int i = 0; i < COUNTS; i++) {
    struct buffer out = buffer_new(self->comm, MEMORY_PRIVATE, counts[i], 0);
    struct buffer in = buffer_new(self->comm, MEMORY_SHARED, counts[i] + 1, 0);
    unisono_request *request;
    fill(&out, self->rank, i);
    CHECK_OK(unisono_send_async(out.data, counts[i], UNISONO_UINT8, self->rank, 1, self->comm, &request));
    CHECK_OK(unisono_recv(in.data, counts[i] + 1, UNISONO_UINT8, i % 2 ? -1 : self->rank, 1, self->comm));
    CHECK_OK(unisono_wait(&request));
    check_data(&in, counts[i], self->rank, i);
    buffer_free(&out);
    buffer_free(&in);
  }
}

static void test_request_message(void) {
  struct test_rank *self = test_self();
  int got[10], value = 3, done = 0;
  unisono_request *request;
  unisono_message m = {-7, -7, 7};
  if (self->rank == 1) {
    test_await(0, 1);
    CHECK_OK(unisono_send(&value, 1, UNISONO_INT32, 0, 9, self->comm));
  }
  if (self->rank == 0) {
    CHECK_OK(unisono_recv_async(got, 10, UNISONO_INT32, -1, -1, self->comm, &request));
    CHECK_STATUS(UNISONO_ERROR_INVALID, unisono_request_message(request, &m)); /* not done yet */
    test_post(0, 1);
    while (!done)
      CHECK_OK(unisono_test(request, &done));
    CHECK_OK(unisono_request_message(request, &m));
    check_message(&m, 1, 9, 1);
    CHECK_OK(unisono_wait(&request));
  }
  CHECK_OK(unisono_barrier_async(self->comm, &request));
  do
    CHECK_OK(unisono_test(request, &done));
  while (!done);
  CHECK_STATUS(UNISONO_ERROR_INVALID, unisono_request_message(request, &m)); /* no receive */
  CHECK_OK(unisono_wait(&request));
}

static void test_message_async(void) {
  struct test_rank *self = test_self();
  unisono_message m = {-7, -7, 7};
  unisono_request *request;
  float values[100] = {1.5f};
  if (self->rank == 0)
    CHECK_OK(unisono_send(values, 60, UNISONO_FLOAT32, 1, 4, self->comm));
  if (self->rank == 1) {
    CHECK_OK(unisono_recv_message_async(values, 100, UNISONO_FLOAT32, -1, 4, self->comm, &m, &request));
    CHECK_OK(unisono_wait(&request));
    check_message(&m, 0, 4, 60);
  }
  test_meet(); /* nobody leaves while others wait for anybody */
}

/* Messages pass collectives: rank 1 receives before, rank 0 sends after. */
static void test_beside_collectives(void) {
  struct test_rank *self = test_self();
  unisono_request *request;
  int value = 0;
  if (self->rank == 1)
    CHECK_OK(unisono_recv_async(&value, 1, UNISONO_INT32, 0, 0, self->comm, &request));
  check_works(self->comm);
  if (self->rank == 0) {
    value = 42;
    CHECK_OK(unisono_send(&value, 1, UNISONO_INT32, 1, 0, self->comm));
  }
  check_works(self->comm);
  if (self->rank == 1) {
    CHECK_OK(unisono_wait(&request));
    CHECK(value == 42);
  }
}

/* What was sent counts, though the sender has left since. */
static void test_sender_has_left(void) {
  struct test_rank *self = test_self();
  int value = self->rank;
  if (self->rank == 1) {
    for (int i = 0; i < 2; i++)
      CHECK_OK(unisono_send(&value, 1, UNISONO_INT32, 0, i, self->comm));
    CHECK_OK(unisono_comm_destroy(self->comm));
    self->comm = NULL;
  }
  test_meet();
  for (int i = 0; i < 2 && self->rank == 0; i++) {
    CHECK_OK(unisono_recv(&value, 1, UNISONO_INT32, i ? -1 : 1, i, self->comm));
    CHECK(value == 1);
  }
  test_meet();
}

/* Many small ones that nobody receives yet must not block the sender for ever, nor be lost. */
static void test_unexpected(void) {
  enum { N = 2000 };
  struct test_rank *self = test_self();
  static int values[N];
  static unisono_request *requests[N];
  for (int i = 0; i < N && self->rank == 0; i++) {
    values[i] = i;
    CHECK_OK(unisono_send_async(&values[i], 1, UNISONO_INT32, 1, i, self->comm, &requests[i]));
  }
  test_meet();
  for (int i = N - 1; i >= 0 && self->rank == 1; i--) {
    int got;
    CHECK_OK(unisono_recv(&got, 1, UNISONO_INT32, 0, i, self->comm));
    CHECK(got == i);
  }
  for (int i = 0; i < N && self->rank == 0; i++)
    CHECK_OK(unisono_wait(&requests[i]));
}

struct letter {
  struct buffer buffer;
  int from, number;
  unisono_request *request;
};

/* Starts this rank's end of the message, if it has one. */
static bool start_letter(struct letter *letter, int from, int to, size_t n, uint64_t random) {
  struct test_rank *self = test_self();
  if (from == to || (self->rank != from && self->rank != to))
    return false;
  int tag = (int)(random % 2);
  letter->from = from;
  letter->buffer =
      buffer_new(self->comm, (enum memory)((random + (uint64_t)self->rank) % MEMORY_KINDS), n, 0);
  void *data = letter->buffer.data;
  if (self->rank == from) {
    fill(&letter->buffer, from, letter->number);
    CHECK_OK(unisono_send_async(data, n, UNISONO_UINT8, to, tag, self->comm, &letter->request));
  } else {
    CHECK_OK(unisono_recv_async(data, n, UNISONO_UINT8, from, tag, self->comm, &letter->request));
  }
  return true;
}

/* Messages between random pairs, all under way at once; each pair and tag keeps its order. */
static void test_storm(void) {
  enum { N = 24 };
  struct test_rank *self = test_self();
  uint64_t random = self->seed, size = (uint64_t)self->size;
  for (int round = 0; round < (test_is_long() ? 500 : 15); round++) {
    struct letter letters[N];
    int used = 0;
    for (int i = 0; i < N; i++) {
      int from = (int)test_below(&random, size), to = (int)test_below(&random, size);
      size_t n = counts[test_below(&random, COUNTS - 1)];
      letters[used].number = i;
      used += start_letter(&letters[used], from, to, n, test_random(&random));
    }
    for (int k = 0; k < used; k++)
      CHECK_OK(unisono_wait(&letters[k].request));
    for (int k = 0; k < used; k++) {
      check_data(&letters[k].buffer, letters[k].buffer.bytes, letters[k].from, letters[k].number);
      buffer_free(&letters[k].buffer);
    }
  }
}

#define RANKS                                                                                                \
  { 2, 3, 8 }

int main(int argc, char **argv) {
  const struct test tests[] = {
      {.name = "lengths", .body = test_lengths, .ranks = {2, 3, 4}},
      {.name = "tags and order", .body = test_tags_and_order, .ranks = {2, 3}},
      {.name = "any peer, any tag", .body = test_any, .ranks = RANKS},
      {.name = "any tag of one peer", .body = test_any_tag_of_one, .ranks = RANKS},
      {.name = "posted receives", .body = test_posted_receives, .ranks = {2, 3}},
      {.name = "large, both ways at once", .body = test_both_ways, .ranks = {1, 2, 3, 4}},
      {.name = "to oneself", .body = test_self_send, .ranks = {1, 2, 3}},
      {.name = "request_message", .body = test_request_message, .ranks = {2, 3}},
      {.name = "recv_message_async", .body = test_message_async, .ranks = {2, 3}},
      {.name = "beside collectives", .body = test_beside_collectives, .ranks = {2, 3}},
      {.name = "nobody receives yet", .body = test_unexpected, .ranks = {2}},
      {.name = "the sender has left", .body = test_sender_has_left, .ranks = {2, 3}},
      {.name = "storm", .body = test_storm, .ranks = RANKS},
      {0},
  };
  return test_main(argc, argv, tests);
}
