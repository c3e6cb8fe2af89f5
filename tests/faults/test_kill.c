/* A rank ends at a random moment, in the middle of operations of every kind and size: killed, or by exit
 * without destroy. All others get PEER_LOST within a second, and can give back their memory. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "faults/workload.h"
#include "harness.h"

enum { LATEST_US = 25000, LIMIT_MS = 1000 };

static void exit_self(void *arg) {
  (void)arg;
  test_post(SLOT_TIME, test_now_us());
  exit(0);
}

static void survive(struct workload *w, int victim) {
  char name[32];
  int64_t returned;
  CHECK_STATUS(UNISONO_ERROR_PEER_LOST, workload_run(w, &returned));
  snprintf(name, sizeof name, "rank %d", victim);
  CHECK_WORDS(name);
  int64_t late = returned - test_peek(SLOT_TIME);
  if (late > (int64_t)test_slow_ms(LIMIT_MS) * 1000)
    FAIL("the death was noticed after %lld ms", (long long)late / 1000);
  check_broken(test_self()->comm, UNISONO_ERROR_PEER_LOST);
}

static void test_ended_by(void (*end)(void *)) {
  struct test_rank *self = test_self();
  uint64_t random = self->seed;
  int victim = (int)test_below(&random, (uint64_t)self->size);
  int64_t delay = (int64_t)test_below(&random, LATEST_US);
  struct workload w;
  workload_prepare(&w, self->comm, random);
  CHECK_OK(unisono_barrier(self->comm));
  if (self->rank == victim) {
    int64_t returned;
    test_may_die();
    disturb_later(end, NULL, delay);
    workload_run(&w, &returned);
    pause();
  }
  survive(&w, victim);
  workload_free(&w);
}

static void test_kill(void) {
  test_ended_by(kill_self);
}

/* From the thread that also calls the library: between two operations. */
static void test_exit(void) {
  struct test_rank *self = test_self();
  uint64_t random = self->seed;
  int victim = (int)test_below(&random, (uint64_t)self->size), steps = (int)test_below(&random, 20);
  struct workload w;
  workload_prepare(&w, self->comm, random);
  if (self->rank == victim) {
    for (int i = 0; i < steps; i++)
      CHECK_OK(workload_step(&w));
    test_may_die();
    exit_self(NULL);
  }
  survive(&w, victim);
  workload_free(&w);
}

static void test_exit_of_thread(void) {
  test_ended_by(exit_self);
}

/* Nothing was wrong before it died, and nothing waits: the next operation says so. */
static void test_killed_while_idle(void) {
  struct test_rank *self = test_self();
  CHECK_OK(unisono_barrier(self->comm));
  test_meet();
  if (self->rank == 0) {
    test_may_die();
    kill_self(NULL);
  }
  test_await(SLOT_TIME, 1);
  test_sleep_us(50000);
  CHECK_STATUS(UNISONO_ERROR_PEER_LOST, unisono_barrier(self->comm));
  CHECK_WORDS("rank 0");
}

#define ROUNDS .rounds = 20, .long_rounds = 250, .needs_processes = true

int main(int argc, char **argv) {
  const struct test tests[] = {
      {.name = "killed in operations", .body = test_kill, .ranks = {2, 3, 5, 8}, ROUNDS},
      {.name = "exit between operations", .body = test_exit, .ranks = {2, 3, 5}, ROUNDS},
      {.name = "exit in operations", .body = test_exit_of_thread, .ranks = {2, 3}, ROUNDS},
      {.name = "killed while idle",
       .body = test_killed_while_idle,
       .ranks = {2, 3, 8},
       .needs_processes = true},
      {0},
  };
  return test_main(argc, argv, tests);
}
