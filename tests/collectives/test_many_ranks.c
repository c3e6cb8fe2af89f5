/* 64 ranks, many more than processors: everything works, and none of it crawls. */
#include "collectives/call.h"
#include "collectives/works.h"
#include "harness.h"

static void test_collectives(void) {
  struct test_rank *self = test_self();
  uint64_t random = self->seed;
  for (int what = 0; what < COLLECTIVES; what++)
    for (int i = 0; i < 3; i++) {
      struct call call = call_random((enum collective)what, self->size, 1 << 21, &random);
      call_run(&call, self->comm);
    }
}

static void test_parts(void) {
  struct test_rank *self = test_self();
  unisono_comm *part;
  CHECK_OK(unisono_comm_split(self->comm, self->rank % 5, self->rank, &part));
  CHECK(unisono_comm_size(part) == (self->size - self->rank % 5 + 4) / 5);
  check_works(part);
  CHECK_OK(unisono_comm_destroy(part));
}

int main(int argc, char **argv) {
  const struct test tests[] = {
      {.name = "collectives of 64 ranks", .body = test_collectives, .ranks = {64}},
      {.name = "parts of 64 ranks", .body = test_parts, .ranks = {64}},
      {0},
  };
  return test_main(argc, argv, tests);
}
