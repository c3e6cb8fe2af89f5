/* Ranks on several machines (TEST_MACHINES): one is killed, or a machine is cut off, in the midst of calls
 * with much data, whichever engine carries it. All living ranks get to know, and can end. */
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>

#include "harness.h"
#include "machines.h"

enum {
  COUNT = 4 << 20, /* 16 MiB */
  LIMIT_MS = 4000,
  SHORT_LIMIT_MS = 1500,
  LONG_LIMIT_MS = 20000, /* the network notices a cut before: */
  NOTICE_MS = 6000,
  MOMENT_MS = 4000,
  MOST_US = 100000, /* until it happens */
  BEGIN = 10        /* a slot */
};

static unisono_status sum(unisono_comm *comm, int times) {
  static float data[COUNT], all[COUNT];
  unisono_status status = UNISONO_OK;
  for (int i = 0; i < times && !status; i++)
    status = unisono_all_reduce(data, all, COUNT, UNISONO_FLOAT32, UNISONO_SUM, comm);
  return status;
}

/* Sums until that fails: with which status, and that it stays so. */
static unisono_status sum_to_the_end(unisono_comm *comm, int within_ms) {
  int64_t began = test_now_us();
  unisono_status status;
  while (!(status = sum(comm, 1)))
    ;
  int64_t took = (test_now_us() - began) / 1000;
  if (status != UNISONO_ERROR_PEER_LOST && status != UNISONO_ERROR_TIMEOUT)
    FAIL("status is %s (%s), should be peer lost or timeout", unisono_status_string(status),
         unisono_last_error());
  if (took > test_slow_ms(within_ms + MOMENT_MS))
    FAIL("told after %lld ms: %s", (long long)took, unisono_last_error());
  CHECK_STATUS(status, unisono_barrier(comm));
  return status;
}

static int some_time_us(void) {
  uint64_t random = test_self()->seed;
  return 1000 + (int)test_below(&random, MOST_US);
}

/* The last rank, and by turns rank 0, which passes news on. */
static void test_killed(void) {
  struct test_rank *self = test_self();
  CHECK_OK(unisono_comm_set_timeout(self->comm, test_slow_ms(LIMIT_MS)));
  CHECK_OK(sum(self->comm, 2));
  test_meet();
  if (self->rank == (self->round % 2 ? 0 : self->size - 1)) {
    struct itimerval soon = {.it_value.tv_usec = some_time_us()};
    test_may_die();
    CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0); /* its signal ends the process */
  }
  CHECK_STATUS(UNISONO_ERROR_PEER_LOST, sum_to_the_end(self->comm, LIMIT_MS));
}

/* A process of its own, from before the engine has threads. */
static void start_cutter(void) {
  if (fork() == 0) {
    test_await(BEGIN, 1);
    test_sleep_us(some_time_us());
    machines_cut(1);
    _exit(0);
  }
}

/* The time limit comes first, and by turns the network's notice. */
static void test_cut_off(void) {
  struct test_rank *self = test_self();
  bool notices = self->round % 2;
  if (self->rank == 0)
    start_cutter();
  CHECK_OK(unisono_comm_init(&self->comm, self->size, self->rank, &self->id, NULL));
  CHECK_OK(sum(self->comm, 2));
  CHECK_OK(unisono_comm_set_timeout(self->comm, test_slow_ms(notices ? LONG_LIMIT_MS : SHORT_LIMIT_MS)));
  test_meet();
  test_post(BEGIN, 1);
  unisono_status status = sum_to_the_end(self->comm, notices ? NOTICE_MS : SHORT_LIMIT_MS);
  if (notices)
    CHECK_STATUS(UNISONO_ERROR_PEER_LOST, status);
  test_meet();
  if (self->rank == 0)
    machines_join(1);
}

int main(int argc, char **argv) {
  const struct test tests[] = {
      {.name = "killed", .body = test_killed, .ranks = {2, 4}, .rounds = 2, .long_rounds = 20},
      {.name = "cut off",
       .body = test_cut_off,
       .ranks = {2, 4},
       .rounds = 2,
       .long_rounds = 20,
       .meets_itself = true},
      {0},
  };
  if (machines_number() == 0) {
    printf("skipped: TEST_MACHINES is not set\n");
    return TEST_SKIPPED;
  }
  return test_main(argc, argv, tests);
}
