#include "harness.h"
#include "machines.h"
#include "sockets.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { AT_LENGTH = 200, GRACE_US = 200000 };

/* What the ranks of a run and their parent share. */
struct board {
  _Atomic int64_t slots[TEST_SLOTS];
  _Atomic int met;
  _Atomic bool has_id;
  unisono_unique_id id; /* where the ranks are on several machines: made by rank 0 */
  struct place {
    _Atomic pid_t pid;
    _Atomic bool may_die;
    char at[AT_LENGTH];
  } places[TEST_MAX_RANKS];
  _Alignas(64) unsigned char scratch[TEST_SCRATCH];
};

extern const unisono_engine folder_engine; /* examples/engine.c */

static struct board *board;
static _Thread_local struct test_rank self;
static _Thread_local int meetings; /* how often this rank was in test_meet */

struct test_rank *test_self(void) {
  return &self;
}

/* ------------------------------------------------------------------------------------------ settings */

static int64_t setting(const char *name, int64_t otherwise) {
  const char *text = getenv(name);
  return text && *text ? strtoll(text, NULL, 0) : otherwise;
}

bool test_is_long(void) {
  return setting("TEST_LONG", 0) != 0;
}
bool test_ranks_are_threads(void) {
  return setting("TEST_THREADS", 0) != 0;
}
uint64_t test_seed(void) {
  return (uint64_t)setting("TEST_SEED", 1);
}
int test_slow_ms(int ms) {
  return ms * (int)setting("TEST_SLOWNESS", 1);
}

int64_t test_now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void test_set_number(const char *name, long value) {
  char text[32];
  snprintf(text, sizeof text, "%ld", value);
  CHECK(setenv(name, text, 1) == 0);
}

void test_sleep_us(int64_t us) {
  struct timespec t = {us / 1000000, us % 1000000 * 1000};
  while (nanosleep(&t, &t) != 0)
    ;
}

uint64_t test_random(uint64_t *state) {
  uint64_t x = *state += 0x9e3779b97f4a7c15u;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

uint64_t test_below(uint64_t *state, uint64_t n) {
  return test_random(state) % n;
}

uint64_t test_hash(uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
  uint64_t parts[4] = {a, b, c, d}, h = 0;
  for (int i = 0; i < 4; i++) {
    h ^= parts[i];
    h = test_random(&h);
  }
  return h;
}

/* -------------------------------------------------------------------------------------------- checks */

/* One write, so that the lines of several ranks stay whole. */
static void print_line(const char *file, int line, const char *format, va_list arguments) {
  char text[1400];
  int n = snprintf(text, sizeof text, "%s:%d: rank %d of %d: ", file, line, self.rank, self.size);
  n += vsnprintf(text + n, sizeof text - 2 - (size_t)n, format, arguments);
  n = n > (int)sizeof text - 2 ? (int)sizeof text - 2 : n;
  text[n++] = '\n';
  if (write(STDERR_FILENO, text, (size_t)n) < 0)
    _exit(1);
}

void test_fail(const char *file, int line, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  print_line(file, line, format, arguments);
  va_end(arguments);
  _exit(1);
}

void test_check_status(const char *file, int line, const char *call, unisono_status want,
                       unisono_status got) {
  if (got != want)
    test_fail(file, line, "%s is \"%s\" (%s), should be \"%s\"", call, unisono_status_string(got),
              got ? unisono_last_error() : "", unisono_status_string(want));
}

void test_check_words(const char *file, int line, const char *words) {
  if (!strstr(unisono_last_error(), words))
    test_fail(file, line, "the last error should have \"%s\" in it and is \"%s\"", words,
              unisono_last_error());
}

void test_skip(const char *why) {
  fprintf(stderr, "skipped: %s\n", why);
  _exit(TEST_SKIPPED);
}

void test_at(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(board->places[self.rank].at, AT_LENGTH, format, arguments);
  va_end(arguments);
}

/* ------------------------------------------------------------------------------------- between ranks */

void test_meet(void) {
  int awaited = ++meetings * self.size;
  atomic_fetch_add(&board->met, 1);
  while (atomic_load(&board->met) < awaited)
    test_sleep_us(50);
}

void test_post(int slot, int64_t value) {
  atomic_store(&board->slots[slot], value);
}
int64_t test_add(int slot, int64_t value) {
  return atomic_fetch_add(&board->slots[slot], value) + value;
}
int64_t test_peek(int slot) {
  return atomic_load(&board->slots[slot]);
}

void test_await(int slot, int64_t at_least) {
  while (test_peek(slot) < at_least)
    test_sleep_us(50);
}

void *test_scratch(void) {
  return board->scratch;
}

pid_t test_pid(int rank) {
  pid_t pid;
  while (!(pid = atomic_load(&board->places[rank].pid)))
    test_sleep_us(50);
  return pid;
}

void test_may_die(void) {
  atomic_store(&board->places[self.rank].may_die, true);
}

/* ---------------------------------------------------------------------------------------- one rank */

/* The id is made where rank 0 is. */
static void enter_machine(struct test_rank *rank) {
  machines_enter(machines_of(rank->rank, rank->size));
  if (rank->rank == 0) {
    CHECK_OK(unisono_get_unique_id(&board->id));
    atomic_store(&board->has_id, true);
  }
  while (!atomic_load(&board->has_id))
    test_sleep_us(50);
  rank->id = board->id;
}

static void run_rank(const struct test *test, struct test_rank rank) {
  self = rank;
  meetings = 0;
  atomic_store(&board->places[rank.rank].pid, getpid());
  if (machines_number())
    enter_machine(&self);
  if (!test->meets_itself)
    CHECK_OK(unisono_comm_init(&self.comm, self.size, self.rank, &self.id, NULL));
  test->body();
  CHECK_OK(unisono_comm_destroy(self.comm));
  test_at("done");
}

struct thread_start {
  const struct test *test;
  struct test_rank rank;
};

static void *run_thread(void *arg) {
  struct thread_start *start = arg;
  run_rank(start->test, start->rank);
  return NULL;
}

static void run_threads(const struct test *test, struct test_rank first) {
  pthread_t threads[TEST_MAX_RANKS];
  struct thread_start starts[TEST_MAX_RANKS];
  for (int r = 0; r < first.size; r++) {
    starts[r] = (struct thread_start){test, first};
    starts[r].rank.rank = r;
    if (pthread_create(&threads[r], NULL, run_thread, &starts[r]) != 0)
      FAIL("no thread for rank %d", r);
  }
  for (int r = 0; r < first.size; r++)
    pthread_join(threads[r], NULL);
}

static pid_t start_process(const struct test *test, struct test_rank rank, pid_t group) {
  fflush(NULL);
  pid_t pid = fork();
  if (pid != 0) {
    setpgid(pid, group ? group : pid); /* here too: whoever comes first */
    return pid;
  }
  setpgid(0, group);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (test_ranks_are_threads())
    run_threads(test, rank);
  else
    run_rank(test, rank);
  exit(0);
}

/* ----------------------------------------------------------------------------------------- one run */

struct run {
  const struct test *test;
  int size, processes, left;
  pid_t pids[TEST_MAX_RANKS];
  bool failed, skipped;
};

static void print_places(const struct run *run) {
  for (int r = 0; r < run->size; r++)
    fprintf(stderr, "  rank %d was at: %s\n", r, board->places[r].at);
}

static void judge_end(struct run *run, int i, int status) {
  bool ended_well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  run->left--;
  run->pids[i] = 0;
  if (ended_well || (run->processes > 1 && atomic_load(&board->places[i].may_die)))
    return;
  if (WIFEXITED(status) && WEXITSTATUS(status) == TEST_SKIPPED) {
    run->skipped = true;
    return;
  }
  if (WIFSIGNALED(status))
    fprintf(stderr, "rank %d was ended by signal %d (%s)\n", i, WTERMSIG(status),
            strsignal(WTERMSIG(status)));
  run->failed = true;
}

static void collect(struct run *run) {
  for (int i = 0; i < run->processes; i++) {
    int status;
    if (run->pids[i] && waitpid(run->pids[i], &status, WNOHANG) == run->pids[i])
      judge_end(run, i, status);
  }
}

static void wait_for_ranks(struct run *run, int64_t deadline) {
  while (run->left && !run->failed && !run->skipped) {
    collect(run);
    if (run->left && test_now_us() > deadline) {
      fprintf(stderr, "time is up\n");
      run->failed = true;
    }
    test_sleep_us(500);
  }
  if (run->failed && run->left) /* let the others print what they see */
    test_sleep_us(GRACE_US);
}

static void end_ranks(struct run *run, pid_t group) {
  if (run->failed)
    print_places(run);
  if (group > 0)
    kill(-group, SIGKILL);
  for (int i = 0; i < run->processes; i++)
    if (run->pids[i] > 0)
      waitpid(run->pids[i], NULL, 0);
}

int test_run(const struct test *test, int size, int round) {
  struct test_rank rank = {.size = size, .round = round, .arg = test->arg};
  struct run run = {.test = test, .size = size, .processes = test_ranks_are_threads() ? 1 : size};
  rank.seed = test_hash(test_seed(), (uint64_t)size, (uint64_t)round, 0);
  if (unisono_get_unique_id(&rank.id)) {
    fprintf(stderr, "no unique id: %s\n", unisono_last_error());
    return 1;
  }
  board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (board == MAP_FAILED) {
    perror("mmap");
    return 1;
  }
  int seconds = (test->seconds ? test->seconds : 60) * (test_is_long() ? 60 : 1);
  int64_t deadline = test_now_us() + (int64_t)test_slow_ms(seconds * 1000) * 1000;
  for (; rank.rank < run.processes; rank.rank++, run.left++)
    run.pids[rank.rank] = start_process(test, rank, run.pids[0]);
  pid_t group = run.pids[0];
  wait_for_ranks(&run, deadline);
  end_ranks(&run, group);
  munmap(board, sizeof *board);
  return run.failed ? 1 : run.skipped ? TEST_SKIPPED : 0;
}

/* --------------------------------------------------------------------------------------- all tests */

static bool is_a_name(const char *text, const struct test *tests) {
  for (; tests->name; tests++)
    if (strcmp(text, tests->name) == 0)
      return true;
  return false;
}

/* An argument that is the name of one test does not stand for others that contain it. */
static bool is_wanted(const char *name, const struct test *tests, int argc, char **argv) {
  for (int i = 1; i < argc; i++)
    if (is_a_name(argv[i], tests) ? strcmp(name, argv[i]) == 0 : strstr(name, argv[i]) != NULL)
      return true;
  return argc < 2;
}

static int run_rounds(const struct test *test, int size) {
  int rounds = test_is_long() && test->long_rounds ? test->long_rounds : test->rounds ? test->rounds : 1;
  int first = (int)setting("TEST_ROUND", 0), last = (int)setting("TEST_ROUND", rounds - 1);
  for (int round = first; round <= last; round++) {
    int result = test_run(test, size, round);
    if (result) {
      fprintf(stderr, "%s: %s, %d ranks, round %d, TEST_SEED=%llu\n", result == 1 ? "FAILED" : "skipped",
              test->name, size, round, (unsigned long long)test_seed());
      return result;
    }
  }
  return 0;
}

/* The numbers of ranks to run with, ended by a 0: those of TEST_RANKS that are not too few for the test. */
static void choose_sizes(const struct test *test, int *sizes, size_t n) {
  const char *text = getenv("TEST_RANKS");
  memset(sizes, 0, n * sizeof *sizes);
  if (machines_number() && test->ranks[1]) {
    sizes[0] = machines_ranks();
    return;
  }
  if (!text || !test->ranks[1]) {
    memcpy(sizes, test->ranks, sizeof test->ranks);
    sizes[0] = sizes[0] ? sizes[0] : 2;
    return;
  }
  int least = test->ranks[0];
  for (size_t i = 1; i < sizeof test->ranks / sizeof *test->ranks && test->ranks[i]; i++)
    least = test->ranks[i] < least ? test->ranks[i] : least;
  for (size_t i = 0; *text && i < n - 1;) {
    char *end;
    int size = (int)strtol(text, &end, 10);
    if (size >= least)
      sizes[i++] = size;
    text = *end ? end + 1 : end;
  }
  sizes[0] = sizes[0] ? sizes[0] : least;
}

static int run_sizes(const struct test *test) {
  int sizes[16], result = TEST_SKIPPED;
  choose_sizes(test, sizes, sizeof sizes / sizeof *sizes);
  for (int *size = sizes; *size; size++) {
    int one = run_rounds(test, *size);
    if (one == 1)
      return 1;
    if (one == 0)
      result = 0;
  }
  return result;
}

int test_main(int argc, char **argv, const struct test *tests) {
  int passed = 0, failed = 0, skipped = 0;
  machines_build();
  CHECK_OK(unisono_engine_register(&sockets_engine));
  CHECK_OK(unisono_engine_register(&folder_engine));
  if (machines_number())
    setenv("UNISONO_ENGINE", sockets_engine.name, 0);
  for (const struct test *t = tests; t->name; t++) {
    if (!is_wanted(t->name, tests, argc, argv))
      continue;
    int64_t start = test_now_us();
    int result = t->needs_processes && test_ranks_are_threads() ? TEST_SKIPPED : run_sizes(t);
    passed += result == 0;
    failed += result == 1;
    skipped += result == TEST_SKIPPED;
    printf("%-8s%-40s%6.1f s\n",
           result == 0   ? "ok"
           : result == 1 ? "FAILED"
                         : "skipped",
           t->name, (double)(test_now_us() - start) / 1e6);
    fflush(stdout);
  }
  printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
  return failed ? 1 : passed ? 0 : TEST_SKIPPED;
}
