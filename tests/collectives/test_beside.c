/* Sends and receives in threads of their own, beside the thread that calls the collectives of the same
 * communicator. */
#include <pthread.h>
#include <stdlib.h>

#include "harness.h"

enum { SENDERS = 2, MESSAGES = 200, SMALL = 3, LARGE = 20000 };

/* A thread's messages travel around the ring under a tag of its own. */
struct ring {
  pthread_t thread;
  unisono_comm *comm;
  int rank, size, tag;
  const char *failed; /* NULL: all went well. Only the rank's own thread may end the test. */
};

static int64_t value(int rank, int tag, int message) {
  return 1000000 * rank + 100000 * tag + message;
}

/* Sends one message to the right while one comes from the left. */
static const char *exchange(const struct ring *ring, int message, int64_t *send, int64_t *recv) {
  size_t count = message % 8 ? SMALL : LARGE;
  int right = (ring->rank + 1) % ring->size, left = (ring->rank + ring->size - 1) % ring->size;
  unisono_request *request;
  for (size_t i = 0; i < count; i++)
    send[i] = value(ring->rank, ring->tag, message);
  if (unisono_send_async(send, count, UNISONO_INT64, right, ring->tag, ring->comm, &request))
    return "send";
  if (unisono_recv(recv, count, UNISONO_INT64, left, ring->tag, ring->comm))
    return "recv";
  int done = 0;
  if (message % 2 && unisono_test(request, &done))
    return "test";
  if (unisono_wait(&request))
    return "wait";
  for (size_t i = 0; i < count; i++)
    if (recv[i] != value(left, ring->tag, message))
      return "the data";
  return NULL;
}

static void *send_around(void *argument) {
  struct ring *ring = argument;
  int64_t *send = calloc(LARGE, sizeof *send), *recv = calloc(LARGE, sizeof *recv);
  for (int message = 0; message < MESSAGES && !ring->failed; message++)
    ring->failed = exchange(ring, message, send, recv);
  free(send);
  free(recv);
  return NULL;
}

/* Blocking and started ones, small and large, and another time limit now and then. */
static void call_collectives(struct test_rank *self) {
  int64_t *data = calloc(LARGE, sizeof *data), sum = (int64_t)self->size * (self->size + 1) / 2;
  for (int round = 0; round < MESSAGES; round++) {
    size_t count = round % 8 ? SMALL : LARGE;
    unisono_request *request = NULL;
    for (size_t i = 0; i < count; i++)
      data[i] = self->rank + 1;
    CHECK_OK(unisono_comm_set_timeout(self->comm, 100000 + round));
    if (round % 3)
      CHECK_OK(unisono_all_reduce(data, data, count, UNISONO_INT64, UNISONO_SUM, self->comm));
    else
      CHECK_OK(unisono_all_reduce_async(data, data, count, UNISONO_INT64, UNISONO_SUM, self->comm, &request));
    CHECK_OK(unisono_barrier(self->comm)); /* behind what was started */
    CHECK_OK(unisono_wait(&request));
    CHECK(data[0] == sum && data[count - 1] == sum);
  }
  free(data);
}

static void test_transfers_beside_collectives(void) {
  struct test_rank *self = test_self();
  struct ring rings[SENDERS];
  for (int i = 0; i < SENDERS; i++) {
    rings[i] = (struct ring){.comm = self->comm, .rank = self->rank, .size = self->size, .tag = i};
    CHECK(pthread_create(&rings[i].thread, NULL, send_around, &rings[i]) == 0);
  }
  call_collectives(self);
  for (int i = 0; i < SENDERS; i++) {
    CHECK(pthread_join(rings[i].thread, NULL) == 0);
    if (rings[i].failed)
      FAIL("thread %d: %s went wrong", i, rings[i].failed);
  }
}

int main(int argc, char **argv) {
  const struct test tests[] = {
      {.name = "transfers_beside_collectives", .body = test_transfers_beside_collectives, .ranks = {2, 3}},
      {0},
  };
  return test_main(argc, argv, tests);
}
