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

#define RANKS                                                                                                \
  { 1, 2, 3, 8 }

int main(int argc, char **argv) {
  const struct test tests[] = {
      {.name = "no data at all", .body = test_nothing, .ranks = RANKS},
      {.name = "all from one", .body = test_all_from_one, .ranks = RANKS},
      {.name = "all to one", .body = test_all_to_one, .ranks = RANKS},
      {.name = "gathered backwards, with gaps", .body = test_gather_backwards, .ranks = RANKS},
      {0},
  };
  return test_main(argc, argv, tests);
}
