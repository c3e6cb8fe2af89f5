/* unisono_comm_abort wakes everybody with PEER_LOST, from any thread, whatever they are waiting for. */
#include <stdlib.h>

#include "collectives/works.h"
#include "faults/workload.h"
#include "harness.h"

enum { LATEST_US = 20000, LIMIT_MS = 1000 };

static void abort_now(void *comm) {
  test_post(SLOT_TIME, test_now_us());
  CHECK_OK(unisono_comm_abort(comm));
  test_post(SLOT_SETTLED, 1);
}

static void check_woken(unisono_status status, int64_t returned) {
  CHECK_STATUS(UNISONO_ERROR_PEER_LOST, status);
  if (returned - test_peek(SLOT_TIME) > (int64_t)test_slow_ms(LIMIT_MS) * 1000)
    FAIL("woken after %lld ms", (long long)(returned - test_peek(SLOT_TIME)) / 1000);
  check_broken(test_self()->comm, UNISONO_ERROR_PEER_LOST);
  test_await(SLOT_SETTLED, 1); /* before destroy */
}

static void test_in_operations(void) {
  struct test_rank *self = test_self();
  uint64_t random = self->seed;
  int who = (int)test_below(&random, (uint64_t)self->size);
  struct workload w;
  int64_t returned;
  workload_prepare(&w, self->comm, random);
  CHECK_OK(unisono_barrier(self->comm));
  if (self->rank == who)
    disturb_later(abort_now, self->comm, (int64_t)test_below(&random, LATEST_US));
  unisono_status status = workload_run(&w, &returned);
  check_woken(status, returned);
  workload_free(&w);
}

/* All but the last rank wait, each for something else; the last one aborts without another thread. */
static void test_while_waiting(void) {
  struct test_rank *self = test_self();
  unisono_request *request = NULL;
  int64_t data = 0;
  unisono_status status = UNISONO_OK;
  if (self->rank == self->size - 1) {
    test_sleep_us(50000);
    abort_now(self->comm);
    status = unisono_barrier(self->comm);
  } else if (self->rank == 0) {
    status = unisono_barrier(self->comm);
  } else if (self->rank == 1) {
    CHECK_OK(unisono_barrier_async(self->comm, &request));
    status = unisono_wait(&request);
  } else {
    status = unisono_recv(&data, 1, UNISONO_INT64, -1, -1, self->comm);
  }
  check_woken(status, test_now_us());
}

/* Aborted again and again, by everybody: still the same. */
static void test_twice(void) {
  struct test_rank *self = test_self();
  test_meet();
  CHECK_OK(unisono_comm_abort(self->comm));
  CHECK_OK(unisono_comm_abort(self->comm));
  check_broken(self->comm, UNISONO_ERROR_PEER_LOST);
  test_meet();
}

/* Destroyed by one: the others that still need it get PEER_LOST. */
static void test_destroyed_by_one(void) {
  struct test_rank *self = test_self();
  unisono_comm *part;
  CHECK_OK(unisono_comm_split(self->comm, 0, 0, &part));
  if (self->rank != 0)
    CHECK_STATUS(UNISONO_ERROR_PEER_LOST, unisono_barrier(part));
  CHECK_OK(unisono_comm_destroy(part));
  check_works(self->comm);
}

int main(int argc, char **argv) {
  const struct test tests[] = {
      {.name = "abort in operations",
       .body = test_in_operations,
       .ranks = {1, 2, 3, 5},
       .rounds = 20,
       .long_rounds = 400},
      {.name = "abort while waiting", .body = test_while_waiting, .ranks = {2, 3, 5}},
      {.name = "abort twice", .body = test_twice, .ranks = {1, 2, 3}},
      {.name = "destroyed by one", .body = test_destroyed_by_one, .ranks = {2, 3}},
      {0},
  };
  return test_main(argc, argv, tests);
}
