/* Blocks that one rank stages for one other, in lines that go to and fro or in rooms that are traded: the
 * same operation so often that each way of handing over is tried, with data that is new each time, and
 * operations of other sizes between. */
#include "collectives/call.h"
#include "harness.h"

enum { TIMES = 24 }; /* the other way is tried from the 3rd on */

static const enum collective handed[] = {BROADCAST,  ALL_GATHER,     GATHER,      SCATTER,    ALL_REDUCE,
                                         ALL_TO_ALL, REDUCE_SCATTER, ALL_TO_ALLV, ALL_GATHERV};

static void repeat(enum collective what, size_t count) {
  struct call call = {.what = what, .dtype = UNISONO_FLOAT32, .count = count, .mix = MIX_PRIVATE};
  for (int i = 0; i < TIMES; i++) {
    call.seed = test_hash(test_self()->seed, (uint64_t)what, count, (uint64_t)i);
    call.root = collective_has_root(what) ? i / 2 % test_self()->size : 0;
    test_at("%s of %zu, time %d", collective_name(what), count, i);
    call_run(&call, test_self()->comm);
  }
}

static void test_each_alone(void) {
  static const size_t counts[] = {1000, 3000, 20011, 80021};
  for (size_t i = 0; i < sizeof handed / sizeof *handed; i++)
    for (int k = 0; k < 4; k++)
      repeat(handed[i], counts[k]);
}

/* So that the others are an operation ahead, and write where this rank may still read. */
static void come_late(uint64_t *own) {
  int64_t until = test_now_us() + (int64_t)test_below(own, 200);
  while (test_below(own, 4) == 0 && test_now_us() < until)
    ;
}

/* Their chunks take turns of different sizes in the same stages, all_reduce's results return there. */
static void test_in_turns(void) {
  uint64_t random = test_self()->seed, own = random + (uint64_t)test_self()->rank + 1;
  for (int i = 0; i < 200; i++) {
    size_t n = sizeof handed / sizeof *handed, which = test_below(&random, n + 1);
    struct call call = {.what = which < n ? handed[which] : REDUCE,
                        .dtype = UNISONO_FLOAT32,
                        .count = 1 + test_below(&random, (size_t)100 << test_below(&random, 11)),
                        .mix = test_below(&random, 4) ? MIX_PRIVATE : MIX_RANDOM,
                        .seed = test_random(&random)};
    come_late(&own);
    test_at("%s of %zu, operation %d", collective_name(call.what), call.count, i);
    call_run(&call, test_self()->comm);
  }
}

int main(int argc, char **argv) {
  static const struct test tests[] = {{"each_alone", test_each_alone, .seconds = 100},
                                      {"in_turns", test_in_turns, .ranks = {2, 3, 4, 5}, .long_rounds = 50},
                                      {.name = NULL}};
  return test_main(argc, argv, tests);
}
