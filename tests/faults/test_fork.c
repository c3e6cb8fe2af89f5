/* A rank's process forks: the child's calls answer INVALID, what it writes into shared memory is its own, and
 * the parent's communicator works on, whatever the child does and however it ends. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buffers.h"
#include "collectives/works.h"
#include "harness.h"

/* Runs body in a child and waits for it; the child's checks count. */
static void in_child(void (*body)(void *arg), void *arg) {
  int status;
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    body(arg);
    exit(0);
  }
  CHECK(waitpid(pid, &status, 0) == pid);
  if (status)
    FAIL("the child ended with status 0x%x", status);
}

static void call_everything(void *arg) {
  unisono_comm *comm = test_self()->comm, *part;
  unisono_request *request;
  int64_t one = 1;
  void *p;
  CHECK_STATUS(UNISONO_ERROR_INVALID, unisono_barrier(comm));
  CHECK_WORDS("fork");
  CHECK_STATUS(UNISONO_ERROR_INVALID, unisono_all_reduce(&one, &one, 1, UNISONO_INT64, UNISONO_SUM, comm));
  CHECK_STATUS(UNISONO_ERROR_INVALID, unisono_broadcast(&one, 1, UNISONO_INT64, 0, comm));
  CHECK_STATUS(UNISONO_ERROR_INVALID, unisono_send(&one, 1, UNISONO_INT64, 0, 0, comm));
  CHECK_STATUS(UNISONO_ERROR_INVALID, unisono_recv(&one, 1, UNISONO_INT64, 0, 0, comm));
  CHECK_STATUS(UNISONO_ERROR_INVALID, unisono_barrier_async(comm, &request));
  CHECK_STATUS(UNISONO_ERROR_INVALID, unisono_comm_split(comm, 0, 0, &part));
  CHECK_STATUS(UNISONO_ERROR_INVALID, unisono_comm_create(comm, (int[]){0, 1}, 2, &part));
  CHECK_STATUS(UNISONO_ERROR_INVALID, unisono_comm_shrink(comm, &part));
  CHECK_STATUS(UNISONO_ERROR_INVALID, unisono_comm_abort(comm));
  CHECK_STATUS(UNISONO_ERROR_INVALID, unisono_mem_alloc(comm, 100, &p));
  (void)arg;
}

static void test_calls_of_child(void) {
  check_works(test_self()->comm);
  in_child(call_everything, NULL);
  check_works(test_self()->comm);
}

/* Also where the communicator is the child's to give back, as programs do that clean up at exit. */
static void destroy(void *arg) {
  (void)arg;
  unisono_comm_destroy(test_self()->comm);
}

static void test_destroyed_by_child(void) {
  in_child(destroy, NULL);
  check_works(test_self()->comm);
}

static void overwrite(void *arg) {
  struct buffer *buffers = arg;
  for (int i = 0; i < MEMORY_KINDS; i++) {
    for (size_t k = 0; k < buffers[i].bytes; k++)
      CHECK(buffers[i].data[k] == 1); /* as it was when the parent forked */
    memset(buffers[i].data, 0xee, buffers[i].bytes);
  }
}

static void check_all(const struct buffer *b, unsigned char value) {
  for (size_t k = 0; k < b->bytes; k++)
    CHECK(b->data[k] == value);
}

/* Memory, used before so that the peers have it mapped, and after. */
static void test_memory_of_child(void) {
  struct test_rank *self = test_self();
  struct buffer buffers[MEMORY_KINDS];
  for (int i = 0; i < MEMORY_KINDS; i++) {
    buffers[i] = buffer_new(self->comm, (enum memory)i, 300000, 0);
    memset(buffers[i].data, 1, buffers[i].bytes);
    CHECK_OK(unisono_broadcast(buffers[i].data, buffers[i].bytes, UNISONO_UINT8, 0, self->comm));
  }
  in_child(overwrite, buffers);
  for (int i = 0; i < MEMORY_KINDS; i++) {
    check_all(&buffers[i], 1);
    CHECK_OK(unisono_all_reduce(buffers[i].data, buffers[i].data, buffers[i].bytes, UNISONO_UINT8,
                                UNISONO_SUM, self->comm));
    check_all(&buffers[i], (unsigned char)self->size);
    buffer_free(&buffers[i]);
  }
}

/* With operations under way and the helper thread busy. */
static void do_nothing(void *arg) {
  (void)arg;
}

static void test_fork_with_outstanding(void) {
  struct test_rank *self = test_self();
  enum { N = 20 };
  static _Thread_local int64_t data[N][1000];
  unisono_request *requests[N];
  for (int i = 0; i < N; i++) {
    for (int k = 0; k < 1000; k++)
      data[i][k] = 1;
    CHECK_OK(unisono_all_reduce_async(data[i], data[i], 1000, UNISONO_INT64, UNISONO_SUM, self->comm,
                                      &requests[i]));
    if (i % 5 == self->rank % 5)
      in_child(do_nothing, NULL);
  }
  for (int i = 0; i < N; i++) {
    CHECK_OK(unisono_wait(&requests[i]));
    CHECK(data[i][999] == self->size);
  }
}

/* The child outlives the rank: its death is noticed all the same. */
static void test_child_outlives_rank(void) {
  struct test_rank *self = test_self();
  if (self->rank == 0) {
    test_may_die();
    if (fork() == 0) {
      pause(); /* ended with the process group */
      _exit(0);
    }
    test_post(0, test_now_us());
    _exit(0);
  }
  CHECK_STATUS(UNISONO_ERROR_PEER_LOST, unisono_barrier(self->comm));
  CHECK(test_now_us() - test_peek(0) < (int64_t)test_slow_ms(1000) * 1000);
}

/* A child makes a communicator of its own. */
static void meet_alone(void *arg) {
  unisono_unique_id id;
  unisono_comm *comm;
  (void)arg;
  CHECK_OK(unisono_get_unique_id(&id));
  CHECK_OK(unisono_comm_init(&comm, 1, 0, &id, NULL));
  check_works(comm);
  CHECK_OK(unisono_comm_destroy(comm));
}

static void test_communicator_of_child(void) {
  in_child(meet_alone, NULL);
  check_works(test_self()->comm);
}

#define ENTRY(title, function)                                                                               \
  { .name = title, .body = function, .ranks = {1, 2, 3}, .needs_processes = true }

int main(int argc, char **argv) {
  const struct test tests[] = {
      ENTRY("calls of the child", test_calls_of_child),
      ENTRY("destroyed by the child", test_destroyed_by_child),
      ENTRY("memory of the child", test_memory_of_child),
      ENTRY("fork with operations under way", test_fork_with_outstanding),
      ENTRY("communicator of the child", test_communicator_of_child),
      {.name = "the child outlives the rank",
       .body = test_child_outlives_rank,
       .ranks = {2, 3},
       .needs_processes = true},
      {0},
  };
  return test_main(argc, argv, tests);
}
