/* Every call that allocates or asks the kernel fails once, in the whole life of a communicator: no crash, no
 * hang, a clean status on both ranks, no descriptor left. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "faults/inject.h"
#include "harness.h"
#include "traces.h"

enum { N = 200000, TIMEOUT_MS = 400, MOST_CALLS = 3000, STEPS = 9 };

/* What the parent asks for, and what the ranks tell it. */
struct experiment {
  int victim;
  long nth;
  bool was_reached;
};

static struct experiment *experiment;

struct life {
  unisono_comm *comm, *part;
  int32_t *shared, *private;
  bool registered;
};

static unisono_status sum(int32_t *data, size_t count, unisono_comm *comm) {
  return unisono_all_reduce(data, data, count, UNISONO_INT32, UNISONO_SUM, comm);
}

static unisono_status start_and_wait(struct life *l) {
  unisono_request *request;
  unisono_status status =
      unisono_all_reduce_async(l->private, l->private, 100, UNISONO_INT32, UNISONO_SUM, l->comm, &request);
  return status ? status : unisono_wait(&request);
}

static unisono_status exchange(struct life *l) {
  unisono_request *request;
  unisono_status status =
      unisono_send_async(l->private, N, UNISONO_INT32, !test_self()->rank, 0, l->comm, &request);
  if (status)
    return status;
  status = unisono_recv(l->shared, N, UNISONO_INT32, !test_self()->rank, 0, l->comm);
  unisono_status sent = unisono_wait(&request);
  return status ? status : sent;
}

static unisono_status live(struct life *l, int step) {
  struct test_rank *self = test_self();
  unisono_config config = UNISONO_CONFIG_INIT;
  config.timeout_ms = test_slow_ms(TIMEOUT_MS);
  switch (step) {
  case 0:
    return unisono_comm_init(&l->comm, self->size, self->rank, &self->id, &config);
  case 1:
    return unisono_mem_alloc(l->comm, N * 4, (void **)&l->shared);
  case 2:
    return sum(l->shared, N, l->comm);
  case 3:
    return sum(l->private, N, l->comm);
  case 4:
    return start_and_wait(l);
  case 5:
    return unisono_comm_split(l->comm, 0, 0, &l->part);
  case 6:
    return sum(l->shared, 10, l->part);
  case 7: {
    unisono_status status = unisono_mem_register(l->comm, l->private, N * 4);
    l->registered = status == UNISONO_OK;
    return status ? status : sum(l->private, N, l->part);
  }
  default:
    return exchange(l);
  }
}

static void check_clean(unisono_status status) {
  if (status == UNISONO_ERROR_INVALID || status == UNISONO_ERROR_MISMATCH ||
      (status && !*unisono_last_error()))
    FAIL("after %s had failed: %s: %s", inject_failed() ? inject_failed() : "a call of the peer",
         unisono_status_string(status), unisono_last_error());
}

static void end(struct life *l) {
  unisono_status status = l->registered ? unisono_mem_deregister(l->comm, l->private) : UNISONO_OK;
  check_clean(status);
  if (status) /* it is still registered: the next try succeeds */
    CHECK_OK(unisono_mem_deregister(l->comm, l->private));
  CHECK_OK(unisono_comm_destroy(l->part));
  CHECK_OK(unisono_mem_free(l->comm, l->shared));
  CHECK_OK(unisono_comm_destroy(l->comm));
}

static void whole_life(void) {
  struct test_rank *self = test_self();
  struct life l = {.private = calloc(N, 4)};
  struct traces before = traces_now();
  unisono_status status = UNISONO_OK;
  bool is_victim = self->rank == experiment->victim;
  CHECK(l.private);
  if (is_victim)
    inject_arm(experiment->nth);
  for (int step = 0; step < STEPS && !status; step++) {
    test_at("step %d", step);
    status = live(&l, step);
    check_clean(status);
  }
  test_at("the end");
  end(&l);
  if (is_victim) {
    experiment->was_reached = inject_disarm() >= experiment->nth;
    if (test_is_long() && inject_failed())
      printf("call %ld, %s: %s\n", experiment->nth, inject_failed(),
             status ? unisono_last_error() : "went well");
  }
  struct traces after = traces_now();
  if (after.descriptors > before.descriptors)
    FAIL("%s failed, %d descriptors are left open", is_victim ? inject_failed() : "a call of the peer",
         after.descriptors - before.descriptors);
  free(l.private);
}

static int try_all(const struct test *test, int victim) {
  for (long n = 1; n < MOST_CALLS; n++) {
    *experiment = (struct experiment){.victim = victim, .nth = n};
    if (test_run(test, 2, 0)) {
      fprintf(stderr, "FAILED: rank %d, call %ld\n", victim, n);
      return 1;
    }
    if (!experiment->was_reached) {
      printf("rank %d: each of %ld calls has failed once\n", victim, n - 1);
      return 0;
    }
  }
  return 0;
}

int main(int argc, char **argv) {
  const struct test test = {
      .name = "inject", .body = whole_life, .seconds = 20, .needs_processes = true, .meets_itself = true};
  experiment = mmap(NULL, sizeof *experiment, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (experiment == MAP_FAILED)
    return 1;
  if (argc > 2) { /* one experiment: rank, number of the call */
    *experiment = (struct experiment){.victim = atoi(argv[1]), .nth = atol(argv[2])};
    return test_run(&test, 2, 0);
  }
  return try_all(&test, 0) | try_all(&test, 1);
}
