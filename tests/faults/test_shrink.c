/* unisono_comm_shrink: after deaths the survivors get a communicator that works, in their old order. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "collectives/works.h"
#include "faults/workload.h"
#include "harness.h"

static void die(void) {
  test_may_die();
  kill_self(NULL);
}

/* The survivors' ranks in the first communicator come in ascending order. */
static void check_order(unisono_comm *comm, int size) {
  int old[TEST_MAX_RANKS], mine = test_self()->rank;
  CHECK(unisono_comm_size(comm) == size);
  CHECK_OK(unisono_all_gather(&mine, old, 1, UNISONO_INT32, comm));
  CHECK(old[unisono_comm_rank(comm)] == mine);
  for (int r = 1; r < size; r++)
    CHECK(old[r - 1] < old[r]);
}

static unisono_comm *shrink(unisono_comm *comm, int size) {
  unisono_comm *survivors;
  CHECK_OK(unisono_comm_shrink(comm, &survivors));
  check_order(survivors, size);
  check_works(survivors);
  return survivors;
}

/* One rank after the other dies, until one is left alone. */
static void test_one_by_one(void) {
  struct test_rank *self = test_self();
  unisono_comm *comm = self->comm;
  for (int left = self->size; left > 1; left--) {
    int victim = (int)(test_hash(self->seed, (uint64_t)left, 0, 0) % (uint64_t)left);
    test_at("%d are left, rank %d of them dies", left, victim);
    if (unisono_comm_rank(comm) == victim)
      die();
    CHECK_STATUS(UNISONO_ERROR_PEER_LOST, unisono_barrier(comm));
    unisono_comm *survivors = shrink(comm, left - 1);
    CHECK_OK(unisono_comm_destroy(comm));
    comm = survivors;
  }
  self->comm = comm;
}

/* Two at once, in the middle of operations. */
static void test_two_at_once(void) {
  struct test_rank *self = test_self();
  uint64_t random = self->seed;
  int first = (int)test_below(&random, (uint64_t)self->size), second = (first + 1) % self->size;
  int64_t returned, delay = (int64_t)test_below(&random, 10000);
  struct workload w;
  workload_prepare(&w, self->comm, random);
  CHECK_OK(unisono_barrier(self->comm));
  if (self->rank == first || self->rank == second) {
    test_may_die();
    disturb_later(kill_self, NULL, delay);
    workload_run(&w, &returned);
    pause();
  }
  CHECK_STATUS(UNISONO_ERROR_PEER_LOST, workload_run(&w, &returned));
  test_await(SLOT_TIME, 1);
  while (kill(test_pid(first), 0) == 0 || kill(test_pid(second), 0) == 0)
    test_sleep_us(1000); /* both are dead before the shrinking starts */
  unisono_comm *survivors = shrink(self->comm, self->size - 2);
  workload_free(&w);
  CHECK_OK(unisono_comm_destroy(survivors));
}

/* A rank dies while the others are shrinking already: they end, with or without it, and can shrink again. */
static void test_death_while_shrinking(void) {
  struct test_rank *self = test_self();
  unisono_comm *survivors = NULL, *rest;
  CHECK_OK(unisono_comm_set_timeout(self->comm, test_slow_ms(3000)));
  if (self->rank == 1)
    die();
  CHECK_STATUS(UNISONO_ERROR_PEER_LOST, unisono_barrier(self->comm));
  if (self->rank == 2) {
    test_may_die();
    disturb_later(kill_self, NULL, (int64_t)(self->seed % 3000));
  }
  unisono_status status = unisono_comm_shrink(self->comm, &survivors);
  if (self->rank == 2)
    pause();
  CHECK(status == UNISONO_OK || status == UNISONO_ERROR_PEER_LOST);
  CHECK((status == UNISONO_OK) == (survivors != NULL));
  if (!status && unisono_comm_size(survivors) == self->size - 1) {
    CHECK_STATUS(UNISONO_ERROR_PEER_LOST, unisono_barrier(survivors));
    rest = shrink(survivors, self->size - 2);
    CHECK_OK(unisono_comm_destroy(rest));
  } else if (!status) {
    check_works(survivors);
  }
  CHECK_OK(unisono_comm_destroy(survivors));
}

/* Everybody is still there: after an abort all of them come along. */
static void test_after_abort(void) {
  struct test_rank *self = test_self();
  test_meet();
  if (self->rank == 0)
    CHECK_OK(unisono_comm_abort(self->comm));
  CHECK_STATUS(UNISONO_ERROR_PEER_LOST, unisono_barrier(self->comm));
  CHECK_OK(unisono_comm_destroy(shrink(self->comm, self->size)));
}

/* Memory from before works with the survivors' communicator. */
static void test_memory(void) {
  struct test_rank *self = test_self();
  int64_t *data;
  CHECK_OK(unisono_mem_alloc(self->comm, 1 << 20, (void **)&data));
  for (int i = 0; i < 1 << 17; i++)
    data[i] = 1;
  if (self->rank == self->size - 1)
    die();
  CHECK_STATUS(UNISONO_ERROR_PEER_LOST, unisono_barrier(self->comm));
  unisono_comm *survivors = shrink(self->comm, self->size - 1);
  CHECK_OK(unisono_all_reduce(data, data, 1 << 17, UNISONO_INT64, UNISONO_SUM, survivors));
  CHECK(data[0] == self->size - 1 && data[(1 << 17) - 1] == self->size - 1);
  CHECK_OK(unisono_comm_destroy(survivors));
  CHECK_OK(unisono_mem_free(self->comm, data));
}

#define ROUNDS .rounds = 10, .long_rounds = 150, .needs_processes = true

int main(int argc, char **argv) {
  const struct test tests[] = {
      {.name = "one by one", .body = test_one_by_one, .ranks = {2, 3, 5, 8}, .needs_processes = true},
      {.name = "two at once, in operations", .body = test_two_at_once, .ranks = {3, 5, 8}, ROUNDS},
      {.name = "death while shrinking", .body = test_death_while_shrinking, .ranks = {4, 5}, ROUNDS},
      {.name = "after abort", .body = test_after_abort, .ranks = {1, 2, 3, 8}},
      {.name = "memory from before", .body = test_memory, .ranks = {2, 3, 5}, .needs_processes = true},
      {0},
  };
  return test_main(argc, argv, tests);
}
