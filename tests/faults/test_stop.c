/* A rank is stopped at a random moment, in the middle of operations of every kind and size. All others get
 * TIMEOUT after the set time, with its rank named; and when it goes on, no byte of their buffers changes. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "faults/workload.h"
#include "harness.h"

enum { TIMEOUT_MS = 400, LATEST_US = 15000, WATCH_US = 150000 };

struct scene {
  int victim;
  struct workload work;
};

static void prepare_scene(struct scene *s, const struct call *call) {
  struct test_rank *self = test_self();
  uint64_t random = self->seed;
  s->victim = (int)test_below(&random, (uint64_t)self->size);
  CHECK_OK(unisono_comm_set_timeout(self->comm, test_slow_ms(TIMEOUT_MS)));
  if (call) {
    s->work = (struct workload){.started = false};
    call_prepare(&s->work.part, call, self->comm);
  } else {
    workload_prepare(&s->work, self->comm, random);
  }
  test_meet();
  if (self->rank == s->victim)
    disturb_later(stop_self, NULL, (int64_t)test_below(&random, LATEST_US));
}

/* Stops somewhere in here; goes on when the others have returned. Its own calls may end in any way. */
static void be_stopped(struct scene *s) {
  int64_t returned;
  workload_run(&s->work, &returned);
  test_post(SLOT_SETTLED, 1);
}

static void check_timeout(struct scene *s) {
  char name[32];
  int64_t returned;
  CHECK_STATUS(UNISONO_ERROR_TIMEOUT, workload_run(&s->work, &returned));
  snprintf(name, sizeof name, "rank %d", s->victim);
  CHECK_WORDS(s->work.is_ring ? "rank" : name); /* around a ring a rank waits for one that waits itself */
  int64_t late = (returned - test_peek(SLOT_TIME)) / 1000 - test_slow_ms(TIMEOUT_MS);
  if (late < -200 || late > test_slow_ms(700))
    FAIL("TIMEOUT came %lld ms after the set time", (long long)late);
}

static bool is_unchanged(const struct buffer *b, const unsigned char *before) {
  return b->bytes == 0 || memcmp(b->data, before, b->bytes) == 0;
}

/* From when all others have returned, the victim being woken up, until some time after it is through. */
static void watch_buffers(struct scene *s) {
  struct test_rank *self = test_self();
  const struct buffer *recv = &s->work.part.recv;
  unsigned char *before = malloc(recv->bytes + 1);
  CHECK(before);
  if (recv->bytes)
    memcpy(before, recv->data, recv->bytes);
  if (test_add(SLOT_RETURNED, 1) == self->size - 1)
    kill(test_pid(s->victim), SIGCONT);
  for (int64_t until = INT64_MAX; test_now_us() < until;) {
    if (!is_unchanged(recv, before))
      FAIL("the receive buffer changed after the call had returned");
    if (until == INT64_MAX && test_peek(SLOT_SETTLED))
      until = test_now_us() + WATCH_US;
  }
  free(before);
}

static void play(struct scene *s) {
  if (test_self()->rank == s->victim) {
    be_stopped(s);
  } else {
    check_timeout(s);
    watch_buffers(s);
    check_broken(test_self()->comm, UNISONO_ERROR_TIMEOUT);
  }
  workload_free(&s->work);
}

static void test_stop(void) {
  struct scene s;
  prepare_scene(&s, NULL);
  play(&s);
}

/* Large buffers in shared memory: here peers write into each other's. */
static void test_stop_large(void) {
  static const enum collective writing[] = {ALL_REDUCE, ALL_GATHER, REDUCE_SCATTER, BROADCAST, ALL_TO_ALL};
  struct test_rank *self = test_self();
  struct scene s;
  struct call call = {.what = writing[self->round % 5],
                      .dtype = UNISONO_FLOAT32,
                      .count = (size_t)1 << 20,
                      .in_place = self->round % 2,
                      .mix = self->round % 3 ? MIX_SHARED : MIX_REGISTERED,
                      .aligned = true,
                      .seed = self->seed};
  if (call.what == BROADCAST || call.what == ALL_TO_ALL)
    call.in_place = false;
  prepare_scene(&s, &call);
  play(&s);
}

#define ROUNDS .rounds = 12, .long_rounds = 40, .needs_processes = true

int main(int argc, char **argv) {
  const struct test tests[] = {
      {.name = "stopped in operations", .body = test_stop, .ranks = {2, 3, 5}, ROUNDS},
      {.name = "stopped in large ones", .body = test_stop_large, .ranks = {2, 4}, ROUNDS},
      {0},
  };
  return test_main(argc, argv, tests);
}
