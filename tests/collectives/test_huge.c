/* More elements than an int can count: 3 GiB of int8 with 2 ranks; skipped where memory is short. And more
 * bytes than caches hold. */
#include <stdlib.h>

#include "harness.h"

static const size_t count = ((size_t)3 << 30) + 5;

static uint8_t input(size_t i, int rank) {
  return (uint8_t)(i * 3 + (i >> 20) + (size_t)rank * 11);
}

static size_t wrong_bytes(const uint8_t *data, size_t n, int rank) {
  size_t wrong = 0;
  for (size_t i = 0; i < n; i++)
    wrong += data[i] != input(i, rank);
  return wrong;
}

/* Root and readers write past the caches, up to the last byte and no further. */
static void test_streamed(void) {
  enum { BYTES = (96 << 20) + 77, GUARD = 100 };
  struct test_rank *self = test_self();
  int root = self->size - 1;
  void *block;
  CHECK_OK(unisono_mem_alloc(self->comm, BYTES + 2 * GUARD, &block));
  uint8_t *data = block;
  for (size_t i = 0; i < BYTES + 2 * GUARD; i++)
    data[i] = self->rank == root ? input(i, root) : 0xa5;
  CHECK_OK(unisono_broadcast(data, BYTES, UNISONO_INT8, root, self->comm));
  CHECK(wrong_bytes(data, BYTES, root) == 0);
  for (size_t i = BYTES; i < BYTES + 2 * GUARD && self->rank != root; i++)
    CHECK(data[i] == 0xa5);
  CHECK_OK(unisono_mem_free(self->comm, block));
}

static void all_reduce_in_place(uint8_t *data) {
  struct test_rank *self = test_self();
  for (size_t i = 0; i < count; i++)
    data[i] = input(i, self->rank);
  CHECK_OK(unisono_all_reduce(data, data, count, UNISONO_INT8, UNISONO_SUM, self->comm));
  size_t wrong = 0;
  for (size_t i = 0; i < count; i++)
    wrong += data[i] != (uint8_t)(input(i, 0) + input(i, 1));
  if (wrong)
    FAIL("%zu elements are wrong", wrong);
}

static void test_private(void) {
  uint8_t *data = malloc(count);
  CHECK(data);
  all_reduce_in_place(data);
  free(data);
}

static void test_shared(void) {
  void *data;
  CHECK_OK(unisono_mem_alloc(test_self()->comm, count, &data));
  all_reduce_in_place(data);
  CHECK_OK(unisono_mem_free(test_self()->comm, data));
}

int main(int argc, char **argv) {
  const struct test tests[] = {
      {.name = "broadcast of 96 MiB, shared", .body = test_streamed, .ranks = {2, 3}},
      {.name = "all_reduce of 3 GiB, private", .body = test_private, .ranks = {2}},
      {.name = "all_reduce of 3 GiB, shared", .body = test_shared, .ranks = {2}},
      {0},
  };
  unisono_info info = {.struct_size = sizeof info};
  bool is_slow = test_slow_ms(1) > 1 && !test_is_long();
  if (unisono_get_info(&info) || info.memory_available < ((unsigned long long)8 << 30) || is_slow)
    return TEST_SKIPPED;
  return test_main(argc, argv, tests);
}
