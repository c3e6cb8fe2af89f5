/* unisono_comm_shrink where ranks are on several machines (TEST_MACHINES): those of one machine go on where
 * all others are gone, else nobody does; and it is the same for all. */
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>

#include "collectives/works.h"
#include "harness.h"
#include "machines.h"

enum { LIMIT_MS = 5000, MOMENT_MS = 2000 };
enum { ANSWERS = 10, DEAD, GONE_ON }; /* slots; an answer for each status */

static int my_machine(void) {
  return machines_of(test_self()->rank, test_self()->size);
}

/* This rank's number on its machine. */
static int my_place(void) {
  int place = 0;
  for (int r = 0; r < test_self()->rank; r++)
    place += machines_of(r, test_self()->size) == my_machine();
  return place;
}

static int ranks_on(int machine) {
  int n = 0;
  for (int r = 0; r < test_self()->size; r++)
    n += machines_of(r, test_self()->size) == machine;
  return n;
}

_Noreturn static void die(void) {
  test_may_die();
  kill(getpid(), SIGKILL);
  for (;;)
    pause();
}

static void await_death_of(int first, int end) {
  for (int r = first; r < end; r++)
    while (r != test_self()->rank && kill(test_pid(r), 0) == 0)
      test_sleep_us(1000);
}

static void begin(void) {
  CHECK_OK(unisono_comm_set_timeout(test_self()->comm, test_slow_ms(LIMIT_MS)));
  CHECK_OK(unisono_barrier(test_self()->comm));
  test_meet();
}

/* The survivors' ranks in the first communicator come in ascending order. */
static void check_goes_on(unisono_comm *comm, int size) {
  int old[TEST_MAX_RANKS], mine = test_self()->rank;
  unisono_comm *survivors;
  CHECK_OK(unisono_comm_shrink(comm, &survivors));
  CHECK(unisono_comm_size(survivors) == size);
  CHECK_OK(unisono_all_gather(&mine, old, 1, UNISONO_INT32, survivors));
  CHECK(old[unisono_comm_rank(survivors)] == mine);
  for (int r = 1; r < size; r++)
    CHECK(old[r - 1] < old[r]);
  check_works(survivors);
  CHECK_OK(unisono_comm_destroy(survivors));
}

static void check_goes_not_on(const char *words, int within_ms) {
  unisono_comm *survivors;
  int64_t began = test_now_us();
  CHECK_STATUS(UNISONO_ERROR_UNSUPPORTED, unisono_comm_shrink(test_self()->comm, &survivors));
  CHECK(!survivors);
  CHECK_WORDS(words);
  CHECK(test_now_us() - began < (int64_t)test_slow_ms(within_ms) * 1000);
}

static void test_others_die(void) {
  struct test_rank *self = test_self();
  begin();
  if (my_machine() != 0)
    die();
  CHECK_STATUS(UNISONO_ERROR_PEER_LOST, unisono_barrier(self->comm));
  check_goes_on(self->comm, ranks_on(0));
}

static void test_one_dies_here_too(void) {
  struct test_rank *self = test_self();
  int here = ranks_on(0);
  begin();
  if (my_machine() != 0 || (here > 1 && my_place() == here - 1))
    die();
  CHECK_STATUS(UNISONO_ERROR_PEER_LOST, unisono_barrier(self->comm));
  check_goes_on(self->comm, here > 1 ? here - 1 : here);
}

/* A communicator that rank 0, by which the others hear of deaths, is no member of. */
static void test_of_a_part(void) {
  struct test_rank *self = test_self();
  unisono_comm *part;
  if (ranks_on(0) < 2)
    test_skip("rank 0 is alone on its machine");
  CHECK_OK(unisono_comm_split(self->comm, self->rank == 0 ? -1 : 0, 0, &part));
  begin();
  if (my_machine() != 0)
    die();
  if (self->rank != 0) {
    CHECK_STATUS(UNISONO_ERROR_PEER_LOST, unisono_barrier(part));
    check_goes_on(part, ranks_on(0) - 1);
    CHECK_OK(unisono_comm_destroy(part));
    test_add(GONE_ON, 1);
  } else {
    test_await(GONE_ON, ranks_on(0) - 1);
  }
}

/* They have not died, but given the communicator back. */
static void test_others_leave(void) {
  struct test_rank *self = test_self();
  begin();
  if (my_machine() != 0) {
    CHECK_OK(unisono_comm_destroy(self->comm));
    self->comm = NULL;
    return;
  }
  CHECK_STATUS(UNISONO_ERROR_PEER_LOST, unisono_barrier(self->comm));
  check_goes_on(self->comm, ranks_on(0));
}

/* All get the answer when all have come, and not at their time limit. Those of rank 0's machine go on when
 * the others are gone. */
static void test_survivors_elsewhere(void) {
  struct test_rank *self = test_self();
  int last = self->size - 1, alive = ranks_on(machines_of(last, self->size)) > 1 || machines_number() > 2;
  int victim = alive ? last : 1; /* who leaves ranks on two machines */
  begin();
  if (self->rank == victim)
    die();
  CHECK_STATUS(UNISONO_ERROR_PEER_LOST, unisono_barrier(self->comm));
  check_goes_not_on("ranks of several are alive", MOMENT_MS);
  test_add(ANSWERS, 1);
  test_await(ANSWERS, self->size - 1);
  if (my_machine() != 0)
    die();
  check_goes_on(self->comm, ranks_on(0) - (machines_of(victim, self->size) == 0));
}

/* Somebody elsewhere lives and does not want to go on: until the time limit that is not known. Who comes
 * later gets the answer that the others have, though it could have another one by then. */
static void test_nobody_answers(void) {
  struct test_rank *self = test_self();
  begin();
  if (my_machine() != 0)
    CHECK_OK(unisono_comm_abort(self->comm));
  else
    CHECK_STATUS(UNISONO_ERROR_PEER_LOST, unisono_barrier(self->comm));
  CHECK_OK(unisono_comm_set_timeout(self->comm, test_slow_ms(1000)));
  int here = ranks_on(0);
  bool late = here > 1 && my_place() == here - 1;
  if (my_machine() != 0) {
    test_await(ANSWERS, here > 1 ? here - 1 : here);
    die();
  }
  if (late)
    await_death_of(here, self->size);
  check_goes_not_on("ranks of several", 1000 + MOMENT_MS);
  test_add(ANSWERS, 1);
  test_await(ANSWERS, here);
  check_goes_on(self->comm, here);
}

/* They were told that others live, and have left: these others get the same answer, the first time. */
static void test_others_were_refused(void) {
  struct test_rank *self = test_self();
  begin();
  if (self->rank == 0)
    CHECK_OK(unisono_comm_abort(self->comm));
  CHECK_STATUS(UNISONO_ERROR_PEER_LOST, unisono_barrier(self->comm));
  CHECK_OK(unisono_comm_set_timeout(self->comm, test_slow_ms(1000)));
  if (my_machine() == 0) {
    test_await(ANSWERS, self->size - ranks_on(0));
    test_sleep_us(100000); /* all have left */
  }
  check_goes_not_on("ranks of several", 1000 + MOMENT_MS);
  if (my_machine() != 0) {
    CHECK_OK(unisono_comm_destroy(self->comm));
    self->comm = NULL;
    test_add(ANSWERS, 1);
  } else {
    check_goes_on(self->comm, ranks_on(0));
  }
}

/* Then nobody hears of further deaths: a machine goes on only where there was nobody else. */
static void test_rank_0_dies(void) {
  struct test_rank *self = test_self();
  begin();
  if (self->rank == 0)
    die();
  CHECK_STATUS(UNISONO_ERROR_PEER_LOST, unisono_barrier(self->comm));
  if (ranks_on(0) == 1 && machines_number() == 2) {
    check_goes_on(self->comm, self->size - 1);
    return;
  }
  check_goes_not_on("rank 0, by which others would hear", MOMENT_MS);
}

/* The others die while they do what they do, and may have come to shrink before. Whoever lives gets the same
 * answer; when all are dead, they go on. */
static void test_death_while_shrinking(void) {
  struct test_rank *self = test_self();
  uint64_t random = self->seed + (uint64_t)self->rank;
  unisono_comm *survivors = NULL;
  begin();
  if (my_machine() != 0) {
    struct itimerval soon = {.it_value.tv_usec = 1 + (suseconds_t)test_below(&random, 8000)};
    test_may_die();
    CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0); /* its signal ends the process */
  }
  if (my_place() == 0)
    unisono_comm_abort(self->comm);
  CHECK_STATUS(UNISONO_ERROR_PEER_LOST, unisono_barrier(self->comm));
  unisono_status status = unisono_comm_shrink(self->comm, &survivors);
  if (my_machine() != 0)
    for (;;)
      pause();
  CHECK(status == UNISONO_OK || status == UNISONO_ERROR_UNSUPPORTED);
  CHECK(!status == (survivors != NULL));
  test_add(status ? ANSWERS : GONE_ON, 1);
  while (test_peek(ANSWERS) + test_peek(GONE_ON) < ranks_on(0))
    test_sleep_us(1000);
  CHECK(test_peek(ANSWERS) == 0 || test_peek(GONE_ON) == 0);
  if (survivors) {
    check_works(survivors);
    CHECK_OK(unisono_comm_destroy(survivors));
    return;
  }
  await_death_of(ranks_on(0), self->size);
  check_goes_on(self->comm, ranks_on(0));
}

/* Each machine is lost to the other: rank 0's goes on. The other one does where rank 0 was its only loss. */
static void test_cut_off(void) {
  struct test_rank *self = test_self();
  if (machines_number() > 2)
    test_skip("two machines are enough");
  begin();
  CHECK_OK(unisono_comm_set_timeout(self->comm, test_slow_ms(15000)));
  if (self->rank == 0)
    machines_cut(1);
  test_meet();
  CHECK_STATUS(UNISONO_ERROR_PEER_LOST, unisono_barrier(self->comm));
  if (my_machine() == 0 || ranks_on(0) == 1)
    check_goes_on(self->comm, ranks_on(my_machine()));
  else
    check_goes_not_on("rank 0, by which others would hear", 15000);
  test_meet();
  if (self->rank == 0)
    machines_join(1);
}

#define RANKS                                                                                                \
  { 2, 4 }

int main(int argc, char **argv) {
  const struct test tests[] = {
      {.name = "others die", .body = test_others_die, .ranks = RANKS},
      {.name = "one dies here, too", .body = test_one_dies_here_too, .ranks = RANKS},
      {.name = "of a part", .body = test_of_a_part, .ranks = RANKS},
      {.name = "others leave", .body = test_others_leave, .ranks = RANKS},
      {.name = "survivors elsewhere", .body = test_survivors_elsewhere, .ranks = RANKS},
      {.name = "nobody answers", .body = test_nobody_answers, .ranks = RANKS},
      {.name = "others were refused", .body = test_others_were_refused, .ranks = RANKS},
      {.name = "rank 0 dies", .body = test_rank_0_dies, .ranks = RANKS},
      {.name = "death while shrinking", .body = test_death_while_shrinking, .ranks = RANKS, .rounds = 10},
      {.name = "cut off", .body = test_cut_off, .ranks = RANKS},
      {0},
  };
  if (machines_number() == 0) {
    printf("skipped: TEST_MACHINES is not set\n");
    return TEST_SKIPPED;
  }
  return test_main(argc, argv, tests);
}
