/* What is special about all_to_allv and all_gatherv: no data at all, all of it from or to one rank, blocks in
 * an order of their own, blocks that one rank sends to several. */
#include <stdlib.h>
#include <string.h>

#include "harness.h"

enum { N = 5000 };

struct blocks {
  size_t send_counts[TEST_MAX_RANKS], send_displs[TEST_MAX_RANKS];
  size_t recv_counts[TEST_MAX_RANKS], recv_displs[TEST_MAX_RANKS];
};

static void exchange(const struct blocks *b, const int32_t *send, int32_t *recv) {
  CHECK_OK(unisono_all_to_allv(send, b->send_counts, b->send_displs, recv, b->recv_counts, b->recv_displs,
                               UNISONO_INT32, test_self()->comm));
}

static void test_nothing(void) {
  struct blocks b = {0};
  exchange(&b, NULL, NULL);
  CHECK_OK(
      unisono_all_gatherv(NULL, 0, NULL, b.recv_counts, b.recv_displs, UNISONO_INT32, test_self()->comm));
}

static void test_all_from_one(void) {
  struct test_rank *self = test_self();
  int32_t *send = calloc(N, sizeof *send), *recv = calloc(N, sizeof *recv);
  for (int root = 0; root < self->size; root++) {
    struct blocks b = {0};
    b.recv_counts[root] = N;
    for (int r = 0; r < self->size && self->rank == root; r++)
      b.send_counts[r] = N; /* the same elements to everybody */
    for (int i = 0; i < N; i++)
      send[i] = self->rank * N + i;
    memset(recv, 0, N * sizeof *recv);
    exchange(&b, self->rank == root ? send : NULL, recv);
    for (int i = 0; i < N; i++)
      CHECK(recv[i] == root * N + i);
  }
  free(send);
  free(recv);
}

static void test_all_to_one(void) {
  struct test_rank *self = test_self();
  size_t n = N, size = (size_t)self->size;
  int32_t *send = calloc(n, sizeof *send), *recv = calloc(n * size, sizeof *recv);
  struct blocks b = {0};
  b.send_counts[self->size - 1] = n;
  for (size_t r = 0; r < size && self->rank == self->size - 1; r++) {
    b.recv_counts[r] = n;
    b.recv_displs[r] = (size - 1 - r) * n; /* the last rank's first */
  }
  for (int i = 0; i < N; i++)
    send[i] = self->rank * N + i;
  exchange(&b, send, self->rank == self->size - 1 ? recv : NULL);
  for (size_t i = 0; i < n * size && self->rank == self->size - 1; i++)
    CHECK(recv[i] == (self->size - 1 - (int)(i / n)) * N + (int)(i % n));
  free(send);
  free(recv);
}

/* Rank r gives r elements; they are put in backwards with gaps of one. */
static void test_gather_backwards(void) {
  struct test_rank *self = test_self();
  struct blocks b = {0};
  int32_t send[TEST_MAX_RANKS], recv[TEST_MAX_RANKS * TEST_MAX_RANKS];
  size_t end = 0;
  for (int r = self->size - 1; r >= 0; r--) {
    b.recv_counts[r] = (size_t)r;
    b.recv_displs[r] = end;
    end += (size_t)r + 1;
  }
  for (int i = 0; i < self->rank; i++)
    send[i] = self->rank;
  memset(recv, 0xff, sizeof recv);
  CHECK_OK(unisono_all_gatherv(send, (size_t)self->rank, recv, b.recv_counts, b.recv_displs, UNISONO_INT32,
                               self->comm));
  for (int r = 0; r < self->size; r++)
    for (size_t i = 0; i <= b.recv_counts[r]; i++)
      CHECK(recv[b.recv_displs[r] + i] == (i < b.recv_counts[r] ? r : -1));
}

/* What ranks a and b exchange: as much either way, from nothing to several stages' worth. */
static size_t exchanged(int a, int b) {
  static const size_t counts[] = {0, 1, 100, 3 * N, 200 * N};
  return counts[(a + b) % 5];
}

static int32_t element(int from, int to, size_t i) {
  return (from * TEST_MAX_RANKS + to) * 7919 + (int32_t)i;
}

/* send == recv, with the same counts and displacements: each block changes places with the peer's. */
static void exchange_in_place(const struct blocks *b, int32_t *data, size_t all) {
  struct test_rank *self = test_self();
  memset(data, 0xff, all * sizeof *data);
  for (int r = 0; r < self->size; r++)
    for (size_t i = 0; i < b->send_counts[r]; i++)
      data[b->send_displs[r] + i] = element(self->rank, r, i);
  exchange(b, data, data);
  for (int r = 0; r < self->size; r++) {
    for (size_t i = 0; i < b->recv_counts[r]; i++)
      CHECK(data[b->recv_displs[r] + i] == element(r, self->rank, i));
    CHECK(data[b->recv_displs[r] + b->recv_counts[r]] == -1); /* the gap behind */
  }
}

static void test_in_place(void) {
  struct test_rank *self = test_self();
  struct blocks b = {0};
  size_t all = 0;
  for (int r = 0; r < self->size; r++) {
    b.send_counts[r] = b.recv_counts[r] = exchanged(self->rank, r);
    b.send_displs[r] = b.recv_displs[r] = all;
    all += b.send_counts[r] + 1;
  }
  int32_t *own = malloc(all * sizeof *own), *shared;
  CHECK(own);
  CHECK_OK(unisono_mem_alloc(self->comm, all * sizeof *shared, (void **)&shared));
  exchange_in_place(&b, own, all);
  exchange_in_place(&b, shared, all);
  exchange_in_place(&b, self->rank % 2 ? own : shared, all);
  CHECK_OK(unisono_mem_free(self->comm, shared));
  free(own);
}

#define RANKS                                                                                                \
  { 1, 2, 3, 8 }

int main(int argc, char **argv) {
  const struct test tests[] = {
      {.name = "no data at all", .body = test_nothing, .ranks = RANKS},
      {.name = "all from one", .body = test_all_from_one, .ranks = RANKS},
      {.name = "all to one", .body = test_all_to_one, .ranks = RANKS},
      {.name = "gathered backwards, with gaps", .body = test_gather_backwards, .ranks = RANKS},
      {.name = "in place", .body = test_in_place, .ranks = {1, 2, 3, 5, 8}},
      {0},
  };
  return test_main(argc, argv, tests);
}
