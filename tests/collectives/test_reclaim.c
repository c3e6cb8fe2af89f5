/* all_reduces of shared buffers, so often that taking back the lines of the receive buffers is tried, with
 * data that is new each time. Ranks need not agree on what they share. */
#include "collectives/call.h"
#include "harness.h"

enum { TIMES = 160 }; /* the other way is tried from the 73rd on */

static const size_t counts[] = {300, 1500, 5000, 16000};

static void repeat(size_t count, enum mix mix, bool in_place) {
  struct call call = {
      .what = ALL_REDUCE, .dtype = UNISONO_FLOAT32, .count = count, .mix = mix, .in_place = in_place};
  for (int i = 0; i < TIMES; i++) {
    call.seed = test_hash(test_self()->seed, count, (uint64_t)mix, (uint64_t)i);
    test_at("all_reduce of %zu, time %d", count, i);
    call_run(&call, test_self()->comm);
  }
}

static void test_each_alone(void) {
  static const enum mix mixes[] = {MIX_SHARED, MIX_REGISTERED, MIX_RECV_SHARED, MIX_RANDOM};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
    for (size_t k = 0; k < sizeof mixes / sizeof *mixes; k++)
      repeat(counts[i], mixes[k], i % 2 == k % 2);
}

/* One rank shares its buffers, the other does not; sizes, and inline operations, in turns. */
static void test_one_sided(void) {
  struct test_rank *self = test_self();
  uint64_t random = self->seed;
  for (int i = 0; i < 4 * TIMES; i++) {
    struct call call = {.what = ALL_REDUCE,
                        .dtype = UNISONO_FLOAT32,
                        .count = i % 7 ? counts[i % 4] : 1 + test_below(&random, 100),
                        .seed = test_random(&random)};
    call.mix = self->rank == i / TIMES % 2 ? MIX_SHARED : MIX_PRIVATE;
    test_at("all_reduce of %zu, operation %d", call.count, i);
    call_run(&call, self->comm);
  }
}

int main(int argc, char **argv) {
  static const struct test tests[] = {{"each_alone", test_each_alone, .seconds = 100},
                                      {"one_sided", test_one_sided, .ranks = {2, 3}, .long_rounds = 50},
                                      {.name = NULL}};
  return test_main(argc, argv, tests);
}
