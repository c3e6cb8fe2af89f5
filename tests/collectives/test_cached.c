/* all_reduce_cached: one match id again and again, with any buffers; with another count, type or op it is
 * INVALID. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffers.h"
#include "collectives/works.h"
#include "harness.h"

static void reduce_once(unisono_comm *comm, const char *id, int64_t *send, int64_t *recv, size_t count) {
  int rank = unisono_comm_rank(comm), size = unisono_comm_size(comm);
  for (size_t i = 0; i < count; i++)
    send[i] = (int64_t)i + rank;
  CHECK_OK(unisono_all_reduce_cached(send, recv, count, UNISONO_INT64, UNISONO_SUM, id, comm));
  for (size_t i = 0; i < count; i++)
    CHECK(recv[i] == (int64_t)i * size + (int64_t)size * (size - 1) / 2);
}

/* Fresh buffers of changing kinds each time: what was kept of the old ones must not be used. */
static void test_other_buffers(void) {
  struct test_rank *self = test_self();
  static const size_t counts[] = {1, 100, 20000};
  for (int i = 0; i < 60; i++) {
    char id[32];
    size_t count = counts[i % 3];
    snprintf(id, sizeof id, "gradients of layer %zu", count);
    enum memory kind =
        (enum memory)(test_hash(self->seed, (uint64_t)i, (uint64_t)self->rank, 0) % MEMORY_KINDS);
    struct buffer send = buffer_new(self->comm, kind, count * 8, 0),
                  recv = buffer_new(self->comm, kind, count * 8, 0);
    reduce_once(self->comm, id, (int64_t *)send.data, (int64_t *)recv.data, count);
    reduce_once(self->comm, id, (int64_t *)recv.data, (int64_t *)recv.data, count);
    buffer_check_guards(&recv);
    buffer_free(&send);
    buffer_free(&recv);
  }
}

static void test_many_ids(void) {
  int64_t data[64];
  for (int round = 0; round < 2; round++)
    for (int i = 0; i < 1000; i++) {
      char id[32];
      snprintf(id, sizeof id, "%d", i);
      reduce_once(test_self()->comm, id, data, data, (size_t)(i % 64));
    }
}

static void test_long_id(void) {
  char *id = malloc(100001);
  int64_t data[4];
  CHECK(id);
  memset(id, 'x', 100000);
  id[100000] = 0;
  reduce_once(test_self()->comm, id, data, data, 4);
  id[99999] = 'y';
  reduce_once(test_self()->comm, id, data, data, 3);
  free(id);
}

static void test_other_shape(void) {
  unisono_comm *comm = test_self()->comm;
  float data[20] = {0};
  CHECK_OK(unisono_all_reduce_cached(data, data, 10, UNISONO_FLOAT32, UNISONO_SUM, "id", comm));
  CHECK_STATUS(UNISONO_ERROR_INVALID,
               unisono_all_reduce_cached(data, data, 11, UNISONO_FLOAT32, UNISONO_SUM, "id", comm));
  CHECK_WORDS("count");
  CHECK_STATUS(UNISONO_ERROR_INVALID,
               unisono_all_reduce_cached(data, data, 10, UNISONO_INT32, UNISONO_SUM, "id", comm));
  CHECK_STATUS(UNISONO_ERROR_INVALID,
               unisono_all_reduce_cached(data, data, 10, UNISONO_FLOAT32, UNISONO_MAX, "id", comm));
  CHECK_OK(unisono_all_reduce_cached(data, data, 10, UNISONO_FLOAT32, UNISONO_SUM, "id", comm));
  check_works(comm);
}

/* The same id means another reduction on another communicator. */
static void test_two_communicators(void) {
  unisono_comm *comm = test_self()->comm, *other;
  int64_t data[20];
  CHECK_OK(unisono_comm_split(comm, 0, 0, &other));
  for (int i = 0; i < 5; i++) {
    reduce_once(comm, "id", data, data, 10);
    reduce_once(other, "id", data, data, 20);
  }
  CHECK_OK(unisono_comm_destroy(other));
}

#define RANKS                                                                                                \
  { 1, 2, 3, 8 }

int main(int argc, char **argv) {
  const struct test tests[] = {
      {.name = "other buffers", .body = test_other_buffers, .ranks = RANKS},
      {.name = "many ids", .body = test_many_ids, .ranks = RANKS},
      {.name = "long id", .body = test_long_id, .ranks = RANKS},
      {.name = "other shape", .body = test_other_shape, .ranks = RANKS},
      {.name = "two communicators", .body = test_two_communicators, .ranks = RANKS},
      {0},
  };
  return test_main(argc, argv, tests);
}
