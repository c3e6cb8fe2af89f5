/* A rank that waits gives its processor away: once it has waited 5 ms it uses less than 5 % of it, whatever
 * it is waiting for. */
#include <stdlib.h>
#include <time.h>

#include "harness.h"

enum { LATE_US = 400000, ATTENTIVE_US = 5000, COUNT = 100000 };

static int64_t used_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* with the helper thread */
  return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void in_barrier(unisono_comm *comm, float *data) {
  (void)data;
  CHECK_OK(unisono_barrier(comm));
}

static void in_small_sum(unisono_comm *comm, float *data) {
  CHECK_OK(unisono_all_reduce(data, data, 1, UNISONO_FLOAT32, UNISONO_SUM, comm));
}

static void in_large_sum(unisono_comm *comm, float *data) {
  CHECK_OK(unisono_all_reduce(data, data, COUNT, UNISONO_FLOAT32, UNISONO_SUM, comm));
}

static void in_started_sum(unisono_comm *comm, float *data) {
  unisono_request *request;
  CHECK_OK(unisono_all_reduce_async(data, data, COUNT, UNISONO_FLOAT32, UNISONO_SUM, comm, &request));
  CHECK_OK(unisono_wait(&request));
}

static void in_message(unisono_comm *comm, float *data) {
  int rank = unisono_comm_rank(comm), size = unisono_comm_size(comm);
  if (rank == size - 1)
    for (int r = 0; r < rank; r++)
      CHECK_OK(unisono_send(data, 1, UNISONO_FLOAT32, r, 0, comm));
  else
    CHECK_OK(unisono_recv(data, 1, UNISONO_FLOAT32, size - 1, 0, comm));
}

/* The last rank comes late. What a wait of that length costs the others, where it is as expensive as allowed,
 * is the time that they spin and a twentieth of the rest; the operation itself is over in less than a
 * millisecond. */
static void check_wait(void) {
  void (*operation)(unisono_comm *, float *) = *(void (*const *)(unisono_comm *, float *))test_self()->arg;
  struct test_rank *self = test_self();
  float *data = calloc(COUNT, sizeof *data);
  operation(self->comm, data); /* what is needed the first time is there */
  test_meet();
  if (self->rank == self->size - 1)
    test_sleep_us(LATE_US);
  int64_t began = test_now_us(), before = used_us();
  operation(self->comm, data);
  int64_t used = used_us() - before, waited = test_now_us() - began;
  int64_t most = ATTENTIVE_US + (waited - ATTENTIVE_US) / 20;
  if (self->rank != self->size - 1 && used > most)
    FAIL("waited %lld us and used the processor for %lld", (long long)waited, (long long)used);
  free(data);
}

static void (*const operations[])(unisono_comm *, float *) = {in_barrier, in_small_sum, in_large_sum,
                                                              in_started_sum, in_message};

#define WAIT(what, i)                                                                                        \
  { .name = what, .body = check_wait, .ranks = {2, 4}, .needs_processes = true, .arg = &operations[i] }

int main(int argc, char **argv) {
  static const struct test tests[] = {WAIT("barrier", 0),     WAIT("small sum", 1), WAIT("large sum", 2),
                                      WAIT("started sum", 3), WAIT("message", 4),   {0}};
  return test_main(argc, argv, tests);
}
