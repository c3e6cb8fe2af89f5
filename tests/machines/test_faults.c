/* Ranks on several machines (TEST_MACHINES): one dies, is cut off or comes late, and the network drops
 * packets. All living ranks get to know, within the time limit and a moment. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "collectives/works.h"
#include "harness.h"
#include "machines.h"
#include "sockets.h"

enum {
  LIMIT_MS = 4000,
  CUT_MS = 1500,
  MOMENT_MS = 4000,
  LARGE = 300000,
  MOST_RANKS = 4,
  BEGIN = 10 /* a slot */
};

static unisono_status sum_forever(unisono_comm *comm, int rounds) {
  static float data[LARGE];
  unisono_status status = UNISONO_OK;
  for (int i = 0; i < rounds && !status; i++) {
    memset(data, 0, sizeof data);
    status = unisono_all_reduce(data, data, i % 2 ? LARGE : 10, UNISONO_FLOAT32, UNISONO_SUM, comm);
  }
  return status;
}

/* What travels in parts of which two are about. */
static unisono_status send_parts(unisono_comm *comm, int round) {
  static float data[LARGE], all[MOST_RANKS * LARGE];
  memset(data, 0, sizeof data);
  switch (round % 3) {
  case 0:
    return unisono_all_reduce(data, data, LARGE, UNISONO_FLOAT32, UNISONO_SUM, comm);
  case 1:
    return unisono_reduce_scatter(all, data, LARGE, UNISONO_FLOAT32, UNISONO_SUM, comm);
  default:
    return unisono_all_gather(data, all, LARGE, UNISONO_FLOAT32, comm);
  }
}

static void check_ended(unisono_status status, int64_t began) {
  if (status != UNISONO_ERROR_PEER_LOST && status != UNISONO_ERROR_TIMEOUT)
    FAIL("status is %s (%s), should be peer lost or timeout", unisono_status_string(status),
         unisono_last_error());
  CHECK(test_now_us() - began < (int64_t)test_slow_ms(LIMIT_MS + MOMENT_MS) * 1000);
  CHECK_STATUS(status, unisono_barrier(test_self()->comm)); /* it stays so */
}

static void test_killed(void) {
  struct test_rank *self = test_self();
  CHECK_OK(unisono_comm_set_timeout(self->comm, test_slow_ms(LIMIT_MS)));
  CHECK_OK(sum_forever(self->comm, 10));
  int victim = self->round == 0 ? self->size - 1 : 0; /* the second time rank 0, which passes news on */
  test_meet();
  int64_t began = test_now_us();
  if (self->rank == victim) {
    test_may_die();
    sum_forever(self->comm, 5 + self->round);
    kill(getpid(), SIGKILL);
  }
  unisono_status status = sum_forever(self->comm, 1000);
  CHECK_STATUS(UNISONO_ERROR_PEER_LOST, status);
  check_ended(status, began);
}

/* While something large is under way, and where that is. (MPICH 5.0.2 itself may crash then:
 * docs/machines.md.) */
static void test_killed_in_the_middle(void) {
  struct test_rank *self = test_self();
  sockets_needed();
  CHECK_OK(unisono_comm_set_timeout(self->comm, test_slow_ms(LIMIT_MS)));
  for (int i = 0; i < 6; i++)
    CHECK_OK(send_parts(self->comm, i));
  test_meet();
  int64_t began = test_now_us();
  if (self->rank == self->size - 1) {
    struct itimerval soon = {.it_value.tv_usec = 1000 + (suseconds_t)(self->seed % 20000)};
    test_may_die();
    CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0); /* its signal ends the process */
  }
  unisono_status status;
  for (int i = 0; !(status = send_parts(self->comm, i)); i++)
    ;
  CHECK_STATUS(UNISONO_ERROR_PEER_LOST, status);
  check_ended(status, began);
}

static void test_cut_off(void) {
  struct test_rank *self = test_self();
  CHECK_OK(sum_forever(self->comm, 10));
  CHECK_OK(unisono_comm_set_timeout(self->comm, test_slow_ms(CUT_MS)));
  test_meet();
  if (self->rank == 0)
    machines_cut(1);
  test_meet();
  int64_t began = test_now_us();
  check_ended(sum_forever(self->comm, 3), began);
  test_meet();
  if (self->rank == 0)
    machines_join(1);
}

/* Nobody dies: one does not come. */
static void test_late(void) {
  struct test_rank *self = test_self();
  CHECK_OK(unisono_comm_set_timeout(self->comm, test_slow_ms(500)));
  CHECK_OK(unisono_barrier(self->comm));
  test_meet();
  int64_t began = test_now_us();
  if (self->rank != self->size - 1) {
    CHECK_STATUS(UNISONO_ERROR_TIMEOUT, sum_forever(self->comm, 1));
    CHECK(test_now_us() - began < (int64_t)test_slow_ms(500 + MOMENT_MS) * 1000);
  }
  test_meet();
  CHECK_STATUS(UNISONO_ERROR_TIMEOUT, unisono_barrier(self->comm)); /* the late one too */
}

static void test_aborted(void) {
  struct test_rank *self = test_self();
  CHECK_OK(unisono_barrier(self->comm));
  test_meet();
  if (self->rank == self->size - 1)
    CHECK_OK(unisono_comm_abort(self->comm));
  CHECK_STATUS(UNISONO_ERROR_PEER_LOST, sum_forever(self->comm, 1000));
  CHECK_WORDS("aborted");
}

static void test_bad_network(void) {
  struct test_rank *self = test_self();
  if (self->rank == 0)
    machines_trouble(1, 3, 2);
  test_meet();
  check_works(self->comm);
  CHECK_OK(sum_forever(self->comm, 4));
}

/* A communicator of one machine's ranks is not one of several machines, and outlives the others. */
static void test_parts_live_on(void) {
  struct test_rank *self = test_self();
  unisono_comm *part;
  int machine = machines_of(self->rank, self->size);
  CHECK_OK(unisono_comm_set_timeout(self->comm, test_slow_ms(LIMIT_MS)));
  CHECK_OK(unisono_comm_split(self->comm, machine, 0, &part));
  test_meet();
  if (self->rank == self->size - 1) {
    test_may_die();
    kill(getpid(), SIGKILL);
  }
  CHECK_STATUS(UNISONO_ERROR_PEER_LOST, unisono_barrier(self->comm));
  if (machine == 0)
    check_works(part);
  CHECK_OK(unisono_comm_destroy(part));
}

#define RANKS                                                                                                \
  { 2, 4 }

int main(int argc, char **argv) {
  const struct test tests[] = {
      {.name = "killed", .body = test_killed, .ranks = RANKS, .rounds = 2},
      {.name = "killed in the middle", .body = test_killed_in_the_middle, .ranks = RANKS, .rounds = 6},
      {.name = "late", .body = test_late, .ranks = RANKS},
      {.name = "aborted", .body = test_aborted, .ranks = RANKS},
      {.name = "parts live on", .body = test_parts_live_on, .ranks = RANKS},
      {.name = "cut off", .body = test_cut_off, .ranks = RANKS},
      {.name = "bad network", .body = test_bad_network, .ranks = RANKS}, /* the last one: it stays bad */
      {0},
  };
  if (machines_number() == 0) {
    printf("skipped: TEST_MACHINES is not set\n");
    return TEST_SKIPPED;
  }
  return test_main(argc, argv, tests);
}
