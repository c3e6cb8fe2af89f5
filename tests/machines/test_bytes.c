/* Ranks on several machines (TEST_MACHINES): how much crosses the network. What is reduced within a machine
 * does not, so that an all_reduce of m bytes on two machines sends m bytes each way, however many ranks there
 * are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "machines.h"

enum { COUNT = 1 << 20, TIMES = 5 };

static int64_t counter(const char *name) {
  char path[100];
  long long value = -1;
  snprintf(path, sizeof path, "/sys/class/net/eth0/statistics/%s", name);
  FILE *file = fopen(path, "r");
  CHECK(file && fscanf(file, "%lld", &value) == 1);
  fclose(file);
  return value;
}

static bool is_first_of_its_machine(void) {
  struct test_rank *self = test_self();
  for (int r = 0; r < self->rank; r++)
    if (machines_of(r, self->size) == machines_of(self->rank, self->size))
      return false;
  return true;
}

static void reduce(void *data, size_t count, unisono_dtype dtype) {
  for (int i = 0; i < TIMES; i++)
    CHECK_OK(unisono_all_reduce(data, data, count, dtype, UNISONO_SUM, test_self()->comm));
}

/* Frames have heads, there are acknowledgements, and the ranks agree on each call: a tenth. */
static void check(const char *what, int64_t bytes, int64_t expected) {
  if (bytes < expected / 100 * 99 || bytes > expected / 10 * 11)
    FAIL("%s are %lld bytes, should be %lld", what, (long long)bytes, (long long)expected);
}

/* `wide`: bytes that one element takes each way. */
static void test_bytes_of(unisono_dtype dtype, size_t element, size_t wide) {
  size_t count = COUNT / element;
  int64_t expected = (int64_t)(wide * count * TIMES);
  void *data = calloc(count, element);
  bool counts = is_first_of_its_machine();
  CHECK(data);
  reduce(data, count, dtype); /* connections are made */
  test_meet();
  int64_t sent = counts ? counter("tx_bytes") : 0, received = counts ? counter("rx_bytes") : 0;
  test_meet();
  reduce(data, count, dtype);
  test_meet();
  if (counts) {
    check("sent", counter("tx_bytes") - sent, expected);
    check("received", counter("rx_bytes") - received, expected);
  }
  test_meet();
  free(data);
}

static void test_float32(void) {
  test_bytes_of(UNISONO_FLOAT32, 4, 4);
}

static void test_int8(void) {
  test_bytes_of(UNISONO_INT8, 1, 1);
}

/* As float32, or as they are where that is asked for. */
static void test_bfloat16(void) {
  test_bytes_of(UNISONO_BFLOAT16, 2, getenv("UNISONO_PARTIALS") ? 2 : 4);
}

#define RANKS                                                                                                \
  { 2, 4 }

int main(int argc, char **argv) {
  const struct test tests[] = {
      {.name = "float32", .body = test_float32, .ranks = RANKS},
      {.name = "int8", .body = test_int8, .ranks = RANKS},
      {.name = "bfloat16", .body = test_bfloat16, .ranks = RANKS},
      {0},
  };
  if (machines_number() == 0) {
    printf("skipped: TEST_MACHINES is not set\n");
    return TEST_SKIPPED;
  }
  return test_main(argc, argv, tests);
}
