/* Several threads a rank (config.threads): OpenMP's, those of a pool of the caller's, a pool with fewer
 * threads than asked for, and one that runs everything one after the other, last first. The result is checked
 * bit by bit, as everywhere, so it is that of one thread. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "collectives/call.h"
#include "harness.h"

enum { MOST_THREADS = 4, PER_THREAD = 64 << 10 }; /* bytes from which on a thread is of use */

/* ---- pools */

struct job {
  void (*body)(void *arg, size_t i);
  void *arg;
  size_t n;
  _Atomic size_t taken;
};

static void *take_all(void *argument) {
  struct job *job = argument;
  for (size_t i = atomic_fetch_add(&job->taken, 1); i < job->n; i = atomic_fetch_add(&job->taken, 1))
    job->body(job->arg, job->n - 1 - i);
  return NULL;
}

/* `pool` is how many threads it has beside the caller's; it counts in `runs` how often it was of use. */
static _Atomic long runs;

static void run_job(void *pool, size_t n, void (*body)(void *arg, size_t i), void *arg) {
  pthread_t threads[MOST_THREADS];
  struct job job = {.body = body, .arg = arg, .n = n};
  size_t more = *(const size_t *)pool;
  atomic_fetch_add(&runs, 1);
  for (size_t i = 0; i < more; i++)
    CHECK(pthread_create(&threads[i], NULL, take_all, &job) == 0);
  take_all(&job);
  for (size_t i = 0; i < more; i++)
    pthread_join(threads[i], NULL);
}

static unisono_comm *join(int threads, unisono_parallel_for parallel_for, const size_t *pool) {
  unisono_config config = UNISONO_CONFIG_INIT;
  const struct test_rank *self = test_self();
  unisono_comm *comm;
  config.threads = threads;
  config.parallel_for = parallel_for;
  config.pool = (void *)(uintptr_t)pool;
  CHECK_OK(unisono_comm_init(&comm, self->size, self->rank, &self->id, &config));
  return comm;
}

/* ---- tests */

static size_t count_of(enum collective what, size_t bytes) {
  bool is_whole = what == ALL_REDUCE || what == REDUCE || what == BROADCAST || what == ALL_REDUCE_CACHED;
  return bytes / sizeof(float) / (is_whole ? 1 : (size_t)test_self()->size);
}

static void run_all(unisono_comm *comm) {
  static const size_t sizes[] = {100, PER_THREAD, 2 * PER_THREAD - 60, 3 * PER_THREAD + 4, 20 * PER_THREAD};
  uint64_t random = test_self()->seed;
  for (int what = BARRIER + 1; what < COLLECTIVES; what++)
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
      struct call call = {.what = (enum collective)what,
                          .dtype = i % 2 ? UNISONO_FLOAT32 : UNISONO_INT32,
                          .count = 1 + count_of((enum collective)what, sizes[i]),
                          .in_place = collective_has_place((enum collective)what) && i % 3 == 0,
                          .mix = (enum mix)(i % MIXES),
                          .seed = test_random(&random)};
      test_at("%s of %zu", collective_name(call.what), call.count);
      call_run(&call, comm);
    }
}

static void test_openmp(void) {
  if (test_ranks_are_threads())
    return; /* ThreadSanitizer does not see how OpenMP synchronises */
  test_self()->comm = join(2, NULL, NULL);
  run_all(test_self()->comm);
}

/* More threads than processors: OpenMP's spin, and would take each other's time for milliseconds. */
static void test_crowded(void) {
  enum { COUNT = 4 * PER_THREAD / sizeof(float), TIMES = 100 };
  static float data[COUNT];
  if (test_ranks_are_threads())
    return;
  test_self()->comm = join(MOST_THREADS, NULL, NULL);
  int64_t began = test_now_us();
  for (int i = 0; i < TIMES; i++)
    CHECK_OK(unisono_all_reduce(data, data, COUNT, UNISONO_FLOAT32, UNISONO_SUM, test_self()->comm));
  CHECK(test_now_us() - began < 1000 * (int64_t)test_slow_ms(500));
}

static void test_pools(void) {
  static const size_t beside[] = {MOST_THREADS - 1, 1, 0};
  const size_t *pool = &beside[test_self()->round % 3];
  test_self()->comm = join(MOST_THREADS, run_job, pool);
  long before = atomic_load(&runs);
  run_all(test_self()->comm);
  CHECK(atomic_load(&runs) > before || test_self()->size == 1);
}

/* Each message small enough for one thread, then large enough for some, as it comes. */
static void test_sizes_in_turns(void) {
  static const size_t one = 1;
  uint64_t random = test_self()->seed;
  test_self()->comm = join(1 + test_self()->round % MOST_THREADS, run_job, &one);
  for (int i = 0; i < 100; i++) {
    struct call call = {.what = ALL_REDUCE,
                        .dtype = UNISONO_FLOAT32,
                        .count = 1 + test_below(&random, (size_t)1 << (4 + test_below(&random, 14))),
                        .mix = (enum mix)test_below(&random, MIXES),
                        .seed = test_random(&random)};
    test_at("all_reduce of %zu, operation %d", call.count, i);
    call_run(&call, test_self()->comm);
  }
}

/* All threads of a team notice that a rank is gone. */
static void test_death(void) {
  static const size_t one = 1;
  enum { COUNT = 8 * PER_THREAD / sizeof(float) };
  static float data[COUNT];
  struct test_rank *self = test_self();
  self->comm = join(MOST_THREADS, run_job, &one);
  for (int i = 0; i < 20; i++)
    CHECK_OK(unisono_all_reduce(data, data, COUNT, UNISONO_FLOAT32, UNISONO_SUM, self->comm));
  if (self->rank == self->size - 1) {
    test_may_die();
    raise(SIGKILL);
  }
  int64_t began = test_now_us();
  CHECK_STATUS(UNISONO_ERROR_PEER_LOST,
               unisono_all_reduce(data, data, COUNT, UNISONO_FLOAT32, UNISONO_SUM, self->comm));
  CHECK(test_now_us() - began < 1000 * (int64_t)test_slow_ms(1000));
}

int main(int argc, char **argv) {
  static const struct test tests[] = {
      {"openmp", test_openmp, .ranks = {1, 2, 3}, .meets_itself = true},
      {"crowded", test_crowded, .ranks = {8}, .meets_itself = true},
      {"pools", test_pools, .ranks = {1, 2, 3}, .rounds = 3, .meets_itself = true},
      {"sizes_in_turns", test_sizes_in_turns, .rounds = 4, .long_rounds = 40, .meets_itself = true},
      {"death", test_death, .ranks = {2, 3}, .needs_processes = true, .meets_itself = true},
      {.name = NULL}};
  return test_main(argc, argv, tests);
}
