/* Every collective with every type and operation, in and out of place, on every kind of memory: each byte of
 * the buffers and around them is compared with the reference. */
#include "collectives/call.h"
#include "harness.h"

enum { MOST_WORK = 1 << 22 }; /* bytes, of all ranks together */

/* Every type and operation in and out of place once, the rest by chance. */
static void sample(enum collective what, uint64_t *random) {
  struct test_rank *self = test_self();
  for (int dtype = 0; dtype < DTYPES; dtype++)
    for (int op = 0; op < (collective_reduces(what) ? OPS : 1); op++)
      for (int in_place = 0; in_place <= collective_has_place(what); in_place++) {
        struct call call = call_random(what, self->size, MOST_WORK, random);
        call.dtype = (unisono_dtype)dtype;
        call.op = (unisono_op)op;
        call.in_place = in_place;
        if (reference_has_op(call.dtype, call.op) || !collective_reduces(what))
          call_run(&call, self->comm);
      }
}

/* Numbers of elements at which something changes: lines, vectors, pages, stages. */
static size_t edge_count(uint64_t *random) {
  static const size_t counts[] = {0,    1,     2,     3,     7,      8,      15,     63,
                                  64,   65,    255,   256,   257,    1000,   4095,   4096,
                                  4097, 65535, 65536, 65537, 299993, 786432, 1048577};
  return counts[test_below(random, sizeof counts / sizeof *counts)];
}

/* Every type and operation with every mix of memory, in and out of place, aligned or not; of any size. */
static void exhaust(enum collective what, uint64_t *random) {
  int size = test_self()->size;
  for (int dtype = 0; dtype < DTYPES; dtype++)
    for (int op = 0; op < (collective_reduces(what) ? OPS : 1); op++)
      for (int bits = 0; bits < 4 * MIXES; bits++) {
        struct call call = {.what = what,
                            .dtype = (unisono_dtype)dtype,
                            .op = (unisono_op)op,
                            .count = edge_count(random),
                            .root = collective_has_root(what) ? (int)test_below(random, (uint64_t)size) : 0,
                            .in_place = bits & 1,
                            .aligned = bits & 2,
                            .mix = (enum mix)(bits / 4),
                            .seed = test_random(random)};
        bool is_defined = reference_has_op(call.dtype, call.op) || !collective_reduces(what);
        bool has_place = !call.in_place || collective_has_place(what);
        if (is_defined && has_place && call_work(&call, size) <= MOST_WORK)
          call_run(&call, test_self()->comm);
      }
}

static void test_collective(void) {
  struct test_rank *self = test_self();
  enum collective what = *(const enum collective *)self->arg;
  uint64_t random = self->seed;
  if (test_is_long() && self->size <= 8) /* more ranks take turns on the processors, and hours */
    exhaust(what, &random);
  for (int pass = 0; pass < (collective_reduces(what) ? 1 : 4); pass++)
    sample(what, &random);
}

/* Ranks come late by turns; nobody gets through before the last one is there. */
static void test_barrier(void) {
  struct test_rank *self = test_self();
  for (int i = 0; i < 3 * self->size; i++) {
    if (i % self->size == self->rank)
      test_sleep_us(2000);
    test_add(0, 1);
    CHECK_OK(unisono_barrier(self->comm));
    CHECK(test_peek(0) >= (int64_t)(i + 1) * self->size);
  }
}

#define RANKS                                                                                                \
  { 1, 2, 3, 4, 7, 8, 16 }
#define ENTRY(title, what)                                                                                   \
  {                                                                                                          \
    .name = title, .body = test_collective, .ranks = RANKS, .arg = &(const enum collective) {                \
      what                                                                                                   \
    }                                                                                                        \
  }

int main(int argc, char **argv) {
  const struct test tests[] = {
      {.name = "barrier", .body = test_barrier, .ranks = RANKS},
      ENTRY("all_reduce", ALL_REDUCE),
      ENTRY("reduce", REDUCE),
      ENTRY("reduce_scatter", REDUCE_SCATTER),
      ENTRY("broadcast", BROADCAST),
      ENTRY("all_gather", ALL_GATHER),
      ENTRY("gather", GATHER),
      ENTRY("scatter", SCATTER),
      ENTRY("all_to_all", ALL_TO_ALL),
      ENTRY("all_to_allv", ALL_TO_ALLV),
      ENTRY("all_gatherv", ALL_GATHERV),
      ENTRY("all_reduce_cached", ALL_REDUCE_CACHED),
      {0},
  };
  return test_main(argc, argv, tests);
}
