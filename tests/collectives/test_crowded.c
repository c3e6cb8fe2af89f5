/* More ranks than processors, and more data than one chunk holds: results that return to where the inputs
 * were read, and rooms that pairs trade, up to 128 KiB of them and less. Nine ranks' results do not return.
 */
#include <sched.h>

#include "collectives/call.h"
#include "harness.h"

enum { ROUNDS = 3, MOST = 60000 };

static void test_chunks(void) {
  static const enum collective kinds[] = {ALL_REDUCE, ALL_GATHER,     REDUCE,
                                          ALL_TO_ALL, REDUCE_SCATTER, ALL_TO_ALLV};
  struct test_rank *self = test_self();
  uint64_t random = self->seed;
  for (int i = 0; i < ROUNDS; i++)
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
      struct call call = call_random(kinds[k], self->size, 1 << 12, &random);
      call.count = 1 + test_random(&random) % MOST;
      if (i % 3)
        call.mix = MIX_PRIVATE;
      call_run(&call, self->comm);
    }
}

/* Whatever this machine has. */
static void stay_on_one_processor(void) {
  cpu_set_t allowed, one;
  CHECK(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
  size_t first = 0;
  while (!CPU_ISSET(first, &allowed))
    first++;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
}

int main(int argc, char **argv) {
  const struct test tests[] = {
      {.name = "several chunks", .body = test_chunks, .ranks = {3, 4, 5, 8, 9}, .long_rounds = 10},
      {0},
  };
  stay_on_one_processor();
  return test_main(argc, argv, tests);
}
