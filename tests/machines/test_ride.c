/* A small all_to_all between machines (TEST_MACHINES), which rides with the call: around the sizes at which
 * it takes another way, when ranks differ there, when one dies, and how often it crosses the network. Also
 * broadcast and all_gather around the sizes at which they take another way. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "collectives/call.h"
#include "collectives/works.h"
#include "harness.h"
#include "machines.h"
#include "sockets.h"

enum { LIMIT_MS = 5000, MOMENT_MS = 4000, DELAY_MS = 20 };
/* Bytes of ride.c, across.h, select.c (src/machines) and mpi.c (src/engines). */
enum { ROW = 448, RIDER = 960, TOTAL = 64 << 10, FITTED = (48 << 10) - 64 };
enum { EDGES = 4, BUFFER = 2 * TOTAL }; /* of all ranks' blocks */

static int most_on_a_machine(void) {
  int counts[TEST_MAX_RANKS] = {0}, most = 0;
  for (int r = 0; r < test_self()->size; r++) {
    int n = ++counts[machines_of(r, test_self()->size)];
    most = n > most ? n : most;
  }
  return most;
}

/* The largest block for which a rank's row goes along to its leader, for which a machine's message takes it
 * (where the engine does not take more, and where it does), and for which a leader copies all of its
 * machine's. */
static void find_edges(size_t *edges) {
  size_t most = (size_t)most_on_a_machine(), size = (size_t)test_self()->size;
  edges[0] = ROW / size;
  edges[1] = RIDER / (most * most);
  edges[2] = TOTAL / (most * size);
  edges[3] = FITTED / (most * most);
}

static void exchange(size_t block, bool in_place, enum mix mix) {
  struct call call = {.what = ALL_TO_ALL,
                      .dtype = UNISONO_UINT8,
                      .count = block,
                      .in_place = in_place,
                      .mix = mix,
                      .seed = test_self()->seed + block};
  test_at("%zu bytes to each, in place: %d", block, in_place);
  call_run(&call, test_self()->comm);
}

static void test_edges(void) {
  size_t edges[EDGES];
  find_edges(edges);
  for (int i = 0; i < EDGES; i++)
    for (int more = -1; more <= 1; more++)
      for (int form = 0; form < 4; form++)
        exchange(edges[i] + (size_t)more, form % 2, form / 2 ? MIX_RANDOM : MIX_PRIVATE);
  for (size_t block = 0; block < 20; block++)
    exchange(block, false, MIX_RANDOM);
}

static void run_around(enum collective what, size_t block) {
  for (int more = -1; more <= 1; more++) {
    struct call call = {.what = what,
                        .dtype = UNISONO_UINT8,
                        .count = block + (size_t)more,
                        .root = collective_has_root(what) ? test_self()->size - 1 : 0,
                        .mix = MIX_RANDOM,
                        .seed = test_self()->seed + block};
    test_at("%s of %zu bytes", collective_name(what), call.count);
    call_run(&call, test_self()->comm);
  }
}

/* src/machines/copy.c: by what all machines send, and by what an engine takes. */
static void test_others(void) {
  enum { SMALL = 96 << 10, SMALL_OF_MANY = 16 << 10 };
  static const size_t each[] = {RIDER, SMALL_OF_MANY, SMALL / 3, SMALL / 2, FITTED};
  for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
    run_around(BROADCAST, each[i]);
    run_around(ALL_GATHER, each[i] / (size_t)most_on_a_machine());
  }
  run_around(ALL_GATHER, SMALL / (size_t)test_self()->size);
}

/* One after the other, so that what is left of one would be seen in the next. */
static void test_in_a_row(void) {
  uint64_t random = test_self()->seed;
  for (int i = 0; i < 100; i++)
    exchange(test_below(&random, 300), test_below(&random, 2), MIX_RANDOM);
  check_works(test_self()->comm);
}

/* Ranks on both sides of an edge are told of each other, and nothing was received. */
static void check_mismatch(size_t block, int other) {
  static unsigned char sent[BUFFER], received[BUFFER];
  struct test_rank *self = test_self();
  unisono_comm *comm;
  test_at("%zu bytes to each, rank %d one more", block, other);
  CHECK((size_t)self->size * (block + 1) <= BUFFER);
  CHECK_OK(unisono_comm_split(self->comm, 0, 0, &comm));
  CHECK_OK(unisono_comm_set_timeout(comm, test_slow_ms(LIMIT_MS)));
  memset(received, 0xee, sizeof received);
  CHECK_STATUS(UNISONO_ERROR_MISMATCH,
               unisono_all_to_all(sent, received, block + (self->rank == other), UNISONO_UINT8, comm));
  CHECK_WORDS("all_to_all");
  for (size_t i = 0; i < sizeof received; i++)
    CHECK(received[i] == 0xee);
  CHECK_OK(unisono_comm_destroy(comm));
}

static void test_mismatch(void) {
  size_t edges[EDGES];
  find_edges(edges);
  for (int i = 0; i < EDGES; i++)
    for (int other = 0; other < test_self()->size; other++)
      check_mismatch(edges[i], other);
}

/* With MPICH itself a death may be the end: docs/machines.md. */
static void test_killed(void) {
  static unsigned char sent[BUFFER], received[BUFFER];
  struct test_rank *self = test_self();
  uint64_t random = self->seed;
  size_t edges[EDGES];
  int victim = self->round % self->size;
  unisono_status status = UNISONO_OK;
  sockets_needed();
  find_edges(edges);
  CHECK_OK(unisono_comm_set_timeout(self->comm, test_slow_ms(LIMIT_MS)));
  CHECK_OK(unisono_barrier(self->comm));
  test_meet();
  int64_t began = test_now_us();
  if (self->rank == victim) {
    struct itimerval soon = {.it_value.tv_usec = 1000 + (suseconds_t)(self->seed % 20000)};
    test_may_die();
    CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0); /* its signal ends the process */
  }
  while (!status)
    status = unisono_all_to_all(sent, received, 1 + test_below(&random, edges[1]), UNISONO_UINT8, self->comm);
  CHECK_STATUS(UNISONO_ERROR_PEER_LOST, status);
  CHECK(test_now_us() - began < (int64_t)test_slow_ms(LIMIT_MS + MOMENT_MS) * 1000);
}

/* ---- trips, on a network with a delay */

/* Of the fastest of some calls, by the slowest rank. */
static int64_t duration_us(unisono_status (*body)(size_t), size_t block) {
  int64_t best = INT64_MAX;
  for (int i = 0; i < 5; i++) {
    int64_t slowest = 0;
    test_meet();
    int64_t began = test_now_us(), took;
    CHECK_OK(body(block));
    took = test_now_us() - began;
    CHECK_OK(unisono_all_reduce(&took, &slowest, 1, UNISONO_INT64, UNISONO_MAX, test_self()->comm));
    best = slowest < best ? slowest : best;
  }
  return best;
}

static unisono_status barrier(size_t block) {
  (void)block;
  return unisono_barrier(test_self()->comm);
}

static unisono_status all_to_all(size_t block) {
  static unsigned char sent[BUFFER], received[BUFFER];
  return unisono_all_to_all(sent, received, block, UNISONO_UINT8, test_self()->comm);
}

/* A barrier takes one: what rides no more, and what does not, another one at least. */
static void test_trips(void) {
  size_t edges[EDGES];
  sockets_needed(); /* others take more in a message */
  find_edges(edges);
  if (test_self()->rank == 0)
    machines_trouble(1, DELAY_MS, 0);
  test_meet();
  int64_t trip = duration_us(barrier, 0), small = duration_us(all_to_all, 1);
  int64_t below = duration_us(all_to_all, edges[1]), above = duration_us(all_to_all, edges[1] + 1);
  test_at("trip %lld us, 1 byte %lld, %zu bytes %lld, one more %lld", (long long)trip, (long long)small,
          edges[1], (long long)below, (long long)above);
  CHECK(trip >= DELAY_MS * 1000 * 9 / 10);
  CHECK(small < trip * 3 / 2 && below < trip * 3 / 2);
  CHECK(above > trip * 3 / 2);
}

#define RANKS                                                                                                \
  { 2, 4 }

int main(int argc, char **argv) {
  const struct test tests[] = {
      {.name = "edges", .body = test_edges, .ranks = RANKS},
      {.name = "others", .body = test_others, .ranks = RANKS},
      {.name = "in a row", .body = test_in_a_row, .ranks = RANKS},
      {.name = "mismatch", .body = test_mismatch, .ranks = RANKS},
      {.name = "killed", .body = test_killed, .ranks = RANKS, .rounds = 8},
      {.name = "trips", .body = test_trips, .ranks = RANKS}, /* the last one: the delay stays */
      {0},
  };
  if (machines_number() == 0) {
    printf("skipped: TEST_MACHINES is not set\n");
    return TEST_SKIPPED;
  }
  return test_main(argc, argv, tests);
}
