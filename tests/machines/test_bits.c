/* Ranks on several machines (TEST_MACHINES): reductions of any numbers, special ones too, give every rank the
 * same bits. That they are the right ones, exact numbers show (collectives/). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "machines.h"
#include "reference.h"

static uint64_t hash_of(const unsigned char *bytes, size_t n) {
  uint64_t hash = n;
  for (size_t i = 0; i < n; i++)
    hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
  return hash >> 1; /* not negative */
}

static void compare_bits(const void *result, size_t bytes, unisono_dtype dtype, unisono_op op) {
  struct test_rank *self = test_self();
  test_post(self->rank, (int64_t)hash_of(result, bytes));
  test_meet();
  if (test_peek(self->rank) != test_peek(0))
    FAIL("%s of %s: other bits than rank 0's", reference_op_name(op), reference_dtype_name(dtype));
  test_meet();
}

/* Any bits at all: NaNs of all kinds, infinities, subnormals, both zeros. */
static void reduce_any(unisono_dtype dtype, unisono_op op, size_t count, uint64_t *random) {
  struct test_rank *self = test_self();
  size_t bytes = count * reference_size(dtype);
  unsigned char *data = malloc(bytes);
  uint64_t mine = *random + (uint64_t)self->rank * 77;
  CHECK(data);
  for (size_t i = 0; i < bytes; i++)
    data[i] = (unsigned char)(test_random(&mine) % 8 ? test_random(&mine) : 0xff);
  CHECK_OK(unisono_all_reduce(data, data, count, dtype, op, self->comm));
  compare_bits(data, bytes, dtype, op);
  free(data);
  test_random(random);
}

static void test_same_bits(void) {
  uint64_t random = test_self()->seed;
  for (int dtype = UNISONO_FLOAT16; dtype < DTYPES; dtype++)
    for (int op = 0; op < OPS; op++)
      for (size_t count = 37; count < 100000 && reference_has_op((unisono_dtype)dtype, (unisono_op)op);
           count *= 13)
        reduce_any((unisono_dtype)dtype, (unisono_op)op, count, &random);
}

/* A NaN stays one, and -0 is less than +0, whoever folds. */
static void test_special(void) {
  struct test_rank *self = test_self();
  float data[2] = {self->rank == self->size - 1 ? __builtin_nanf("") : 1,
                   self->rank == self->size - 1 ? -0.0f : 0.0f};
  float most[2] = {data[0], self->rank == 0 ? 0.0f : -0.0f};
  CHECK_OK(unisono_all_reduce(data, data, 2, UNISONO_FLOAT32, UNISONO_MIN, self->comm));
  CHECK(data[0] != data[0] && __builtin_signbit(data[1]));
  CHECK_OK(unisono_all_reduce(most, most, 2, UNISONO_FLOAT32, UNISONO_MAX, self->comm));
  CHECK(most[0] != most[0] && !__builtin_signbit(most[1]));
}

/* The sum of 16-bit floats travels in float32: 1 + many small ones is not 1. */
static void test_rounded_once(void) {
  struct test_rank *self = test_self();
  uint16_t value = self->rank == 0 ? 0x3f80 : 0x3b00; /* bfloat16: 1 and 2^-9, a quarter of a unit of 1 */
  CHECK_OK(unisono_all_reduce(&value, &value, 1, UNISONO_BFLOAT16, UNISONO_SUM, self->comm));
  CHECK(value == (self->size >= 4 ? 0x3f81 : 0x3f80));
}

/* 1 and 3/512 on one machine, which is nearer to 1 + 1/128 in bfloat16, and -1/512 on another: the result
 * shows whether the first machine's sum was rounded before it travelled. With UNISONO_PARTIALS=16bit it was.
 */
static void test_travels(void) {
  enum { COUNT = 5000 };
  struct test_rank *self = test_self();
  bool narrow = getenv("UNISONO_PARTIALS") != NULL;
  uint16_t data[COUNT];
  int machine = machines_of(self->rank, self->size), before = 0;
  for (int r = 0; r < self->rank; r++)
    before += machines_of(r, self->size) == machine;
  /* the first rank of machine 0 has 1, the second 3/512; that of machine 1 the rest; all others nothing */
  uint16_t mine = machine == 0 && before == 0   ? 0x3f80
                  : machine == 0 && before == 1 ? 0x3bc0
                  : machine == 1 && before == 0 ? 0xbb00
                                                : 0;
  for (int i = 0; i < COUNT; i++)
    data[i] = mine;
  CHECK_OK(unisono_all_reduce(data, data, COUNT, UNISONO_BFLOAT16, UNISONO_SUM, self->comm));
  for (int i = 0; i < COUNT; i++)
    CHECK(data[i] == (narrow ? 0x3f81 : 0x3f80));
  compare_bits(data, sizeof data, UNISONO_BFLOAT16, UNISONO_SUM);
}

/* Rank 0's word counts, for all. */
static void test_unknown_way(void) {
  struct test_rank *self = test_self();
  unisono_comm *comm;
  setenv("UNISONO_PARTIALS", self->rank == 0 ? "8bit" : "16bit", 1);
  CHECK_STATUS(UNISONO_ERROR_INVALID, unisono_comm_init(&comm, self->size, self->rank, &self->id, NULL));
  CHECK_WORDS("UNISONO_PARTIALS");
}

#define RANKS                                                                                                \
  { 2, 4 }

int main(int argc, char **argv) {
  const struct test tests[] = {
      {.name = "same bits", .body = test_same_bits, .ranks = RANKS},
      {.name = "special numbers", .body = test_special, .ranks = RANKS},
      {.name = "rounded once", .body = test_rounded_once, .ranks = RANKS},
      {.name = "travels", .body = test_travels, .ranks = RANKS},
      {.name = "unknown way", .body = test_unknown_way, .ranks = RANKS, .meets_itself = true},
      {0},
  };
  if (machines_number() == 0) {
    printf("skipped: TEST_MACHINES is not set\n");
    return TEST_SKIPPED;
  }
  return test_main(argc, argv, tests);
}
