/* Runs tests with N ranks. Each rank is a process (or, with TEST_THREADS=1, a thread of one process, which is
 * what ThreadSanitizer can look into); all of a test's ranks are in one process group, which is killed when
 * its time is up or when a rank fails. A test program is a table of tests and test_main().
 *
 * Environment: TEST_LONG=1 (exhaustive), TEST_SEED=n (of all random choices), TEST_THREADS=1, TEST_RANKS=2,5
 * (these numbers of ranks where a test has several), TEST_SLOWNESS=n (multiplies time limits, for
 * sanitizers), TEST_ROUND=n (only this one of several rounds). */
#ifndef TESTS_HARNESS_H
#define TESTS_HARNESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <unisono.h>

enum { TEST_MAX_RANKS = 64, TEST_SLOTS = 256, TEST_SCRATCH = 1 << 16, TEST_SKIPPED = 77 };

struct test {
  const char *name;
  void (*body)(void);
  int ranks[8];         /* numbers of ranks to run with, up to a 0; none: 2 */
  int seconds;          /* time limit of one run; 0: 60 */
  int rounds;           /* runs for each number of ranks; 0: 1 */
  int long_rounds;      /* the same with TEST_LONG=1; 0: as `rounds` */
  bool needs_processes; /* kills, forks or counts: left out where ranks are threads */
  bool meets_itself;    /* the body makes its communicators; else there is one when it starts */
  const void *arg;
};

/* What the running rank knows of itself. */
struct test_rank {
  int rank, size, round;
  uint64_t seed; /* the same on all ranks of a run, another one in each round */
  unisono_unique_id id;
  unisono_comm *comm; /* destroyed after the body; NULL where the body has done so */
  const void *arg;
};

/* The rank that calls: one per process, or thread. */
struct test_rank *test_self(void);

/* Runs the tests that the arguments name: in whole, or else a part of their names (all without). The table
 * ends with a NULL name. */
int test_main(int argc, char **argv, const struct test *tests);

/* One run with `size` ranks: 0, 1 or TEST_SKIPPED. For programs with a loop of their own. */
int test_run(const struct test *test, int size, int round);

bool test_is_long(void);
bool test_ranks_are_threads(void);
uint64_t test_seed(void);  /* TEST_SEED */
int test_slow_ms(int ms);  /* times TEST_SLOWNESS */
int64_t test_now_us(void); /* monotonic, the same clock on all ranks */
void test_sleep_us(int64_t us);
void test_set_number(const char *name, long value); /* in the environment */

/* splitmix64: the next number, and the next below n. */
uint64_t test_random(uint64_t *state);
uint64_t test_below(uint64_t *state, uint64_t n);

/* A hash of up to four numbers: random choices that every rank can work out for every other one. */
uint64_t test_hash(uint64_t a, uint64_t b, uint64_t c, uint64_t d);

/* --------------------------------------------------------------------------------------------- checks */

#define CHECK(condition)                                                                                     \
  do {                                                                                                       \
    if (!(condition))                                                                                        \
      test_fail(__FILE__, __LINE__, "%s", #condition);                                                       \
  } while (0)

#define FAIL(...) test_fail(__FILE__, __LINE__, __VA_ARGS__)

#define CHECK_OK(call) test_check_status(__FILE__, __LINE__, #call, UNISONO_OK, call)
#define CHECK_STATUS(want, call) test_check_status(__FILE__, __LINE__, #call, want, call)

/* The last error has these words in it. */
#define CHECK_WORDS(words) test_check_words(__FILE__, __LINE__, words)

_Noreturn void test_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void test_check_status(const char *file, int line, const char *call, unisono_status want, unisono_status got);
void test_check_words(const char *file, int line, const char *words);

/* Ends this rank; the test counts as skipped. */
_Noreturn void test_skip(const char *why);

/* Where this rank is: printed when the test fails or its time is up. */
void test_at(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ------------------------------------------------------------ between ranks, without the library under test
 */

/* Waits for all ranks. */
void test_meet(void);

/* Numbers that all ranks see, 0 at first. */
void test_post(int slot, int64_t value);
int64_t test_add(int slot, int64_t value); /* returns the new one */
int64_t test_peek(int slot);
void test_await(int slot, int64_t at_least);

/* TEST_SCRATCH bytes that all ranks see, zero at first. */
void *test_scratch(void);

pid_t test_pid(int rank);

/* This rank may end as it likes from now on, by a signal too. */
void test_may_die(void);

#endif
