/* unisono_mem_alloc and unisono_mem_register: what they promise to their caller. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "collectives/works.h"
#include "harness.h"

static void test_sizes(void) {
  enum { N = 200 };
  unisono_comm *comm = test_self()->comm;
  uint64_t random = test_self()->seed + (uint64_t)test_self()->rank;
  unsigned char *blocks[N] = {NULL};
  size_t sizes[N];
  for (int i = 0; i < 3000; i++) {
    size_t k = test_below(&random, N);
    if (blocks[k]) {
      CHECK(sizes[k] == 0 ||
            (blocks[k][0] == k && blocks[k][sizes[k] - 1] == k)); /* no two of them overlap */
      CHECK_OK(unisono_mem_free(comm, blocks[k]));
    }
    sizes[k] = test_below(&random, (uint64_t)1 << test_below(&random, 21));
    CHECK_OK(unisono_mem_alloc(comm, sizes[k], (void **)&blocks[k]));
    CHECK(blocks[k] && (uintptr_t)blocks[k] % 64 == 0);
    memset(blocks[k], (int)k, sizes[k]);
  }
  for (size_t k = 0; k < N; k++)
    CHECK_OK(unisono_mem_free(comm, blocks[k]));
}

/* One after the other, far more than any one segment, so that peers have to learn of new ones. */
static void test_growth(void) {
  enum { N = 40, BYTES = 3 << 20 };
  unisono_comm *comm = test_self()->comm;
  int64_t *blocks[N];
  for (int i = 0; i < N; i++) {
    CHECK_OK(unisono_mem_alloc(comm, BYTES, (void **)&blocks[i]));
    for (int k = 0; k < 1000; k++)
      blocks[i][k] = test_self()->rank + i;
    CHECK_OK(unisono_all_reduce(blocks[i], blocks[i], BYTES / 8, UNISONO_INT64, UNISONO_MAX, comm));
    CHECK(blocks[i][999] == test_self()->size - 1 + i);
  }
  for (int i = 0; i < N; i++)
    CHECK_OK(unisono_mem_free(comm, blocks[i]));
}

/* The memory serves all communicators of the ancestor, and outlives them. */
static void test_outlives(void) {
  struct test_rank *self = test_self();
  unisono_comm *part;
  float *data, *other;
  CHECK_OK(unisono_comm_split(self->comm, 0, 0, &part));
  CHECK_OK(unisono_mem_alloc(part, 1 << 20, (void **)&data));
  for (int i = 0; i < 1 << 18; i++)
    data[i] = 1;
  CHECK_OK(unisono_comm_destroy(part));
  CHECK_OK(unisono_all_reduce(data, data, 1 << 18, UNISONO_FLOAT32, UNISONO_SUM, self->comm));
  CHECK(data[0] == (float)self->size && data[(1 << 18) - 1] == (float)self->size);
  CHECK_OK(unisono_mem_alloc(self->comm, 5000, (void **)&other));
  CHECK_OK(unisono_comm_destroy(self->comm));
  self->comm = NULL;
  data[5] = 7;
  other[5] = 8;
  CHECK_OK(unisono_mem_free(NULL, data));
  CHECK_OK(unisono_mem_free(NULL, other));
}

/* Registered memory keeps its contents and addresses, through use and deregistration, forked off or not. */
static void test_register(void) {
  struct test_rank *self = test_self();
  static const size_t sizes[] = {1, 100, 4096, 8192, 10000, 1000003};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (size_t offset = 0; offset < 4097; offset += 1365) {
      size_t n = sizes[s];
      unsigned char *block = malloc(n + offset + 4096), *data = block + offset;
      memset(block, 1, n + offset + 4096);
      CHECK_OK(unisono_mem_register(self->comm, data, n));
      for (size_t i = 0; i < n + offset + 4096; i++)
        CHECK(block[i] == 1);
      CHECK_OK(unisono_all_reduce(data, data, n, UNISONO_UINT8, UNISONO_SUM, self->comm));
      CHECK_OK(unisono_mem_deregister(self->comm, data));
      for (size_t i = 0; i < n + offset + 4096; i++)
        CHECK(block[i] == (i >= offset && i < offset + n ? self->size : 1));
      free(block);
    }
}

/* Only private, anonymous, writable memory can be registered. */
static void test_register_refuses(void) {
  unisono_comm *comm = test_self()->comm;
  size_t n = 1 << 16;
  void *read_only = mmap(NULL, n, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  void *shared = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  void *hole = mmap(NULL, 3 * n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *own;
  munmap((char *)hole + n, n);
  CHECK_OK(unisono_mem_alloc(comm, n, &own));
  CHECK_STATUS(UNISONO_ERROR_INVALID, unisono_mem_register(comm, read_only, n));
  CHECK_STATUS(UNISONO_ERROR_INVALID, unisono_mem_register(comm, shared, n));
  CHECK_STATUS(UNISONO_ERROR_INVALID, unisono_mem_register(comm, hole, 3 * n));
  CHECK_STATUS(UNISONO_ERROR_INVALID, unisono_mem_register(comm, own, n));
  memset(own, 1, n);
  CHECK_OK(unisono_mem_free(comm, own));
  munmap(read_only, n);
  munmap(shared, n);
  munmap(hole, n);
  munmap((char *)hole + 2 * n, n);
}

/* Too much is an error now, and no signal later. */
static void test_too_much(void) {
  unisono_comm *comm = test_self()->comm;
  void *p = &p;
  CHECK_STATUS(UNISONO_ERROR_MEMORY, unisono_mem_alloc(comm, (size_t)1 << 46, &p));
  CHECK(unisono_mem_alloc(comm, SIZE_MAX, &p) != UNISONO_OK);
  check_works(comm);
}

int main(int argc, char **argv) {
  const struct test tests[] = {
      {.name = "sizes", .body = test_sizes, .ranks = {1, 2, 3}},
      {.name = "growth", .body = test_growth, .ranks = {1, 2, 3}},
      {.name = "outlives its communicators", .body = test_outlives, .ranks = {1, 2, 3}},
      {.name = "register", .body = test_register, .ranks = {1, 2, 3}},
      {.name = "register refuses", .body = test_register_refuses, .ranks = {1, 2}},
      {.name = "too much", .body = test_too_much, .ranks = {1, 2}},
      {0},
  };
  return test_main(argc, argv, tests);
}
