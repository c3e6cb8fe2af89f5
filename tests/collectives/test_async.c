/* The started forms: many at once, their order, progress without further calls, and what test and wait say.
 */
#include <stdlib.h>
#include <string.h>

#include "collectives/call.h"
#include "collectives/works.h"
#include "harness.h"

enum { FINISHED }; /* slots */

static void start_sum(const int64_t *send, int64_t *recv, size_t n, unisono_comm *comm,
                      unisono_request **request) {
  CHECK_OK(unisono_all_reduce_async(send, recv, n, UNISONO_INT64, UNISONO_SUM, comm, request));
  CHECK(*request);
}

static void wait_ok(unisono_request **request) {
  CHECK_OK(unisono_wait(request));
  CHECK(!*request);
}

/* Sum over the ranks of (rank + i). */
static int64_t sum_of(int64_t i) {
  int64_t size = test_self()->size;
  return size * (size - 1) / 2 + size * i;
}

/* Every collective on every kind of memory, several started before the first is waited for. */
static void test_every_collective(void) {
  enum { AT_ONCE = 8 };
  struct test_rank *self = test_self();
  uint64_t random = self->seed;
  struct part parts[AT_ONCE];
  unisono_request *requests[AT_ONCE];
  for (int round = 0; round < (test_is_long() ? 200 : 12); round++) {
    for (int i = 0; i < AT_ONCE; i++) {
      struct call call =
          call_random((enum collective)((round * AT_ONCE + i) % COLLECTIVES), self->size, 1 << 20, &random);
      call_prepare(&parts[i], &call, self->comm);
      test_at("%s_async, count %zu", collective_name(call.what), call.count);
      CHECK_OK(call_issue(&parts[i], &requests[i]));
    }
    for (int i = AT_ONCE - 1; i >= 0; i--) {
      test_at("waiting for %s", collective_name(parts[i].call.what));
      wait_ok(&requests[i]);
      call_check(&parts[i]);
      call_free(&parts[i]);
    }
  }
}

static void test_many_outstanding(void) {
  enum { N = 1000 };
  int64_t send[N], recv[N];
  unisono_request *requests[N];
  struct test_rank *self = test_self();
  for (int i = 0; i < N; i++) {
    send[i] = self->rank + i;
    start_sum(&send[i], &recv[i], 1, self->comm, &requests[i]);
  }
  for (int i = 0; i < N; i++) {
    int k = (int)((unsigned)i * 7 % N); /* in an order of no meaning */
    wait_ok(&requests[k]);
    CHECK(recv[k] == sum_of(k));
  }
}

/* Each operation works on what the one before has left. */
static void test_order(void) {
  enum { N = 3000, STEPS = 20 };
  struct test_rank *self = test_self();
  int64_t *data = calloc(N, sizeof *data), expected = 1;
  unisono_request *requests[STEPS];
  for (size_t i = 0; i < N; i++)
    data[i] = self->rank == 0;
  for (int i = 0; i < STEPS; i++) {
    if (i % 2 == 0)
      CHECK_OK(unisono_broadcast_async(data, N, UNISONO_INT64, 0, self->comm, &requests[i]));
    else
      start_sum(data, data, N, self->comm, &requests[i]);
    expected *= i % 2 ? self->size : 1;
  }
  CHECK_OK(unisono_all_reduce(data, data, N, UNISONO_INT64, UNISONO_SUM, self->comm)); /* after all of them */
  for (size_t i = 0; i < N; i++)
    CHECK(data[i] == (int64_t)((uint64_t)expected * (uint64_t)self->size));
  for (int i = 0; i < STEPS; i++)
    wait_ok(&requests[i]);
  free(data);
}

/* The last rank starts and makes no call until the others are through. */
static void test_progress_without_calls(void) {
  enum { N = 300000 };
  struct test_rank *self = test_self();
  int64_t *data = malloc(N * sizeof *data);
  unisono_request *request;
  for (int64_t i = 0; i < N; i++)
    data[i] = self->rank + i;
  start_sum(data, data, N, self->comm, &request);
  if (self->rank == self->size - 1)
    test_await(FINISHED, self->size - 1);
  wait_ok(&request);
  test_add(FINISHED, 1);
  for (int64_t i = 0; i < N; i++)
    CHECK(data[i] == sum_of(i));
  free(data);
}

/* test says no while a rank is missing, and yes some time after it has come. */
static void test_test(void) {
  struct test_rank *self = test_self();
  int64_t send = self->rank, recv = -1;
  unisono_request *request;
  int done = 7;
  if (self->rank == 0)
    test_await(FINISHED, self->size - 1);
  start_sum(&send, &recv, 1, self->comm, &request);
  if (self->rank != 0) {
    CHECK_OK(unisono_test(request, &done));
    CHECK(done == 0);
  }
  test_add(FINISHED, 1);
  do
    CHECK_OK(unisono_test(request, &done));
  while (!done);
  CHECK(done == 1 && recv == sum_of(0));
  CHECK_OK(unisono_test(request, &done)); /* again: still done */
  CHECK(done == 1);
  wait_ok(&request);
  CHECK_OK(unisono_wait(&request)); /* NULL by now: nothing to do */
}

/* Two communicators, started in one order on even ranks and in the other on odd ones. */
static void test_opposite_order(void) {
  enum { N = 200000 };
  struct test_rank *self = test_self();
  unisono_comm *comms[2] = {self->comm, NULL};
  unisono_request *requests[2];
  int64_t *data[2];
  CHECK_OK(unisono_comm_split(self->comm, 0, 0, &comms[1]));
  for (int i = 0; i < 2; i++)
    data[i] = malloc(N * sizeof **data);
  for (int round = 0; round < 20; round++) {
    for (int i = 0; i < 2; i++) {
      int k = (i + self->rank) % 2;
      for (int64_t j = 0; j < N; j++)
        data[k][j] = self->rank + j + k;
      start_sum(data[k], data[k], N, comms[k], &requests[k]);
    }
    for (int i = 0; i < 2; i++) {
      int k = (i + self->rank) % 2;
      wait_ok(&requests[k]);
      for (int64_t j = 0; j < N; j++)
        CHECK(data[k][j] == sum_of(j + k));
    }
  }
  CHECK_OK(unisono_comm_destroy(comms[1]));
  free(data[0]);
  free(data[1]);
}

/* The v-arrays are read when the operation starts. */
static void test_arrays_are_read_at_start(void) {
  struct test_rank *self = test_self();
  size_t counts[TEST_MAX_RANKS], displs[TEST_MAX_RANKS];
  int64_t send[TEST_MAX_RANKS], recv[TEST_MAX_RANKS];
  unisono_request *request;
  for (int r = 0; r < self->size; r++) {
    counts[r] = 1;
    displs[r] = (size_t)r;
    send[r] = self->rank * 1000 + r;
  }
  CHECK_OK(unisono_all_to_allv_async(send, counts, displs, recv, counts, displs, UNISONO_INT64, self->comm,
                                     &request));
  memset(counts, 0xff, sizeof counts);
  memset(displs, 0xff, sizeof displs);
  wait_ok(&request);
  for (int r = 0; r < self->size; r++)
    CHECK(recv[r] == r * 1000 + self->rank);
}

/* What is not finished ends with PEER_LOST, and the request is still to be waited for. */
static void test_destroy_with_outstanding(void) {
  struct test_rank *self = test_self();
  int64_t data = 1;
  unisono_request *request = NULL;
  if (self->rank == 0) {
    start_sum(&data, &data, 1, self->comm, &request); /* the others never come */
    CHECK_OK(unisono_comm_destroy(self->comm));
    CHECK_STATUS(UNISONO_ERROR_PEER_LOST, unisono_wait(&request));
    CHECK(!request);
  } else {
    test_await(FINISHED, 1);
    CHECK_OK(unisono_comm_destroy(self->comm));
  }
  test_add(FINISHED, 1);
  self->comm = NULL;
}

#define RANKS                                                                                                \
  { 2, 3, 8 }

int main(int argc, char **argv) {
  const struct test tests[] = {
      {.name = "every collective", .body = test_every_collective, .ranks = {1, 2, 3, 4, 8}},
      {.name = "many outstanding", .body = test_many_outstanding, .ranks = {1, 2, 3, 8}},
      {.name = "order", .body = test_order, .ranks = {1, 2, 3, 8}},
      {.name = "progress without calls", .body = test_progress_without_calls, .ranks = RANKS},
      {.name = "unisono_test", .body = test_test, .ranks = RANKS},
      {.name = "two communicators in opposite order", .body = test_opposite_order, .ranks = RANKS},
      {.name = "v-arrays are read at the start", .body = test_arrays_are_read_at_start, .ranks = RANKS},
      {.name = "destroy with outstanding operations", .body = test_destroy_with_outstanding, .ranks = RANKS},
      {0},
  };
  return test_main(argc, argv, tests);
}
