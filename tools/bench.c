/* `unisono bench OPERATION`: the ranks of a measurement, and what each of them does. */
#include "bench.h"
#include "tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------------------ a rank */

static size_t next_size(const struct bench_options *options, size_t bytes) {
  return bytes > options->max / (size_t)options->factor ? 0 : bytes * (size_t)options->factor;
}

size_t bench_plan(const struct bench *bench, struct shape *shapes, size_t *room) {
  size_t n = 0;
  *room = 64;
  for (size_t bytes = bench->options->min; bytes; bytes = next_size(bench->options, bytes)) {
    struct shape shape = bench_shape(bench, bytes);
    if (n && shape.bytes == shapes[n - 1].bytes)
      continue;
    shapes[n++] = shape;
    size_t sample = shape.stride * (size_t)shape.calls;
    *room = sample > *room ? sample : *room;
  }
  return n;
}

static char *allocate(const struct bench *bench, size_t bytes) {
  void *memory = NULL;
  if (!bench->options->shared)
    return aligned_alloc(64, (bytes + 63) / 64 * 64);
  return unisono_mem_alloc(bench->comm, bytes, &memory) == UNISONO_OK ? memory : NULL;
}

static void release(const struct bench *bench, void *memory) {
  if (bench->options->shared)
    unisono_mem_free(bench->comm, memory);
  else
    free(memory);
}

/* Too much memory is refused before the kernel ends a process for it. */
static bool memory_suffices(const struct bench *bench, size_t room) {
  unisono_info info = {.struct_size = sizeof info};
  double needed = 2.0 * (double)room * bench->size;
  if (unisono_get_info(&info) != UNISONO_OK || needed <= (double)info.memory_available)
    return true;
  if (bench->rank == 0)
    fprintf(stderr,
            "unisono bench: the buffers of %d ranks need %.0f MiB, available are %.0f MiB; lower --max\n",
            bench->size, needed / (1 << 20), (double)info.memory_available / (1 << 20));
  return false;
}

bool bench_make_buffers(struct bench *bench, size_t room) {
  if (!bench_agree(bench, memory_suffices(bench, room)))
    return false;
  bench->send = allocate(bench, room);
  bench->recv = allocate(bench, room);
  bench->counts = calloc((size_t)bench->size, sizeof *bench->counts);
  bench->displs = calloc((size_t)bench->size, sizeof *bench->displs);
  bool fine = bench->send && bench->recv && bench->counts && bench->displs && bench_tiles_make(bench);
  if (!fine)
    fprintf(stderr, "unisono bench: rank %d: not enough memory\n", bench->rank);
  return bench_agree(bench, fine);
}

void bench_free_buffers(struct bench *bench) {
  bench_tiles_free(bench);
  release(bench, bench->send);
  release(bench, bench->recv);
  free(bench->counts);
  free(bench->displs);
}

static bool measure_all(struct bench *bench, const struct shape *shapes, struct result *results, size_t n) {
  for (size_t i = 0; i < n; i++) {
    bench_measure(bench, &shapes[i], &results[i]);
    if (bench->rank == 0)
      bench_progress_clear();
    if (!bench_agree(bench, !bench->wrong))
      return false;
    if (bench->rank == 0)
      bench_table_row(bench, &results[i]);
  }
  return true;
}

/* What must not fail only after minutes of measuring. */
static bool outputs_possible(struct bench *bench) {
  const char *json = bench->options->json;
  if (bench->rank != 0)
    return true;
  if (json && !bench_json_possible())
    return false;
  if (json && !(bench->json = fopen(json, "we"))) {
    fprintf(stderr, "unisono bench: cannot write %s: %s\n", json, strerror(errno));
    return false;
  }
  return !bench->options->plot || bench_plot_possible();
}

static bool write_outputs(struct bench *bench, const struct result *results, size_t n) {
  bool json = !bench->json || bench_json_write(bench, results, n);
  bool plot = bench->rank != 0 || !bench->options->plot || bench_plot_write(bench, results, n);
  return json && plot;
}

static bool bench_all(struct bench *bench) {
  struct shape shapes[BENCH_SIZES];
  struct result results[BENCH_SIZES];
  size_t room, n = bench_plan(bench, shapes, &room);
  if (!bench_agree(bench, outputs_possible(bench)) || !bench_make_buffers(bench, room))
    return false;
  if (bench->rank == 0)
    bench_table_header(bench);
  bool right = measure_all(bench, shapes, results, n);
  bench_free_buffers(bench);
  return right && write_outputs(bench, results, n);
}

static int rank_main(const struct bench_options *options, unisono_comm *comm) {
  struct bench bench = {.options = options,
                        .comm = comm,
                        .rank = unisono_comm_rank(comm),
                        .size = unisono_comm_size(comm),
                        .element = bench_element_bytes(options->dtype)};
  if (options->ranks && options->ranks != bench.size) {
    fprintf(stderr, "unisono bench: -n %d, but %d ranks were started\n", options->ranks, bench.size);
    unisono_comm_destroy(comm);
    return TOOL_USAGE;
  }
  bool fine = bench_all(&bench);
  unisono_comm_destroy(comm);
  return fine ? TOOL_OK : TOOL_FAILED;
}

/* ----------------------------------------------------------------------------------------- all ranks */

/* By the variables that unisono_comm_init_env reads. */
static bool started_as_rank(void) {
  static const char *const names[] = {"RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (getenv(names[i]))
      return true;
  return false;
}

static int fail(const char *what) {
  fprintf(stderr, "unisono bench: %s: %s\n", what, unisono_last_error());
  return TOOL_FAILED;
}

static unisono_config config_of(const struct bench_options *options) {
  unisono_config config = UNISONO_CONFIG_INIT;
  config.threads = options->threads;
  return config;
}

static int join(const struct bench_options *options) {
  unisono_comm *comm;
  if (options->algorithms) {
    fputs("unisono bench: --algorithms starts the ranks itself, once for each algorithm\n", stderr);
    return TOOL_USAGE;
  }
  if (options->bind) {
    fputs("unisono bench: --bind is for whoever starts the ranks, as unisono run --bind core\n", stderr);
    return TOOL_USAGE;
  }
  unisono_config config = config_of(options);
  if (unisono_comm_init_env(&comm, &config) != UNISONO_OK)
    return fail("cannot join the other ranks");
  return rank_main(options, comm);
}

/* Meets once for each algorithm: rank 0's environment forces it. */
static int compare(const struct bench_options *options, int rank, const unisono_unique_id *ids) {
  unisono_comm *comms[BENCH_ALGORITHMS];
  unisono_config config = config_of(options);
  for (int i = 0; i < BENCH_ALGORITHMS; i++) {
    setenv("UNISONO_ALGORITHM", bench_algorithms[i], 1);
    if (unisono_comm_init(&comms[i], options->ranks, rank, &ids[i], &config) != UNISONO_OK)
      return fail("cannot join the other ranks");
  }
  bool fine = bench_compare(options, comms);
  for (int i = 0; i < BENCH_ALGORITHMS; i++)
    unisono_comm_destroy(comms[i]);
  return fine ? TOOL_OK : TOOL_FAILED;
}

static int child_main(const struct bench_options *options, int rank, const unisono_unique_id *ids,
                      pid_t parent) {
  unisono_comm *comm;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent)
    return TOOL_FAILED;
  if (options->bind && !tool_bind(rank, options->threads)) {
    fprintf(stderr, "unisono bench: no %d processor(s) to bind rank %d to\n", options->threads, rank);
    return TOOL_FAILED;
  }
  if (options->algorithms)
    return compare(options, rank, ids);
  unisono_config config = config_of(options);
  if (unisono_comm_init(&comm, options->ranks, rank, &ids[0], &config) != UNISONO_OK)
    return fail("cannot join the other ranks");
  return rank_main(options, comm);
}

static int status_of(int rank, int status) {
  if (WIFEXITED(status))
    return WEXITSTATUS(status);
  fprintf(stderr, "unisono bench: rank %d was killed by signal %d (%s)\n", rank, WTERMSIG(status),
          strsignal(WTERMSIG(status)));
  return TOOL_FAILED;
}

static void kill_all(const pid_t *ranks, int n) {
  for (int i = 0; i < n; i++)
    if (ranks[i])
      kill(ranks[i], SIGKILL);
}

/* Takes note of the rank that has ended as `pid`; its exit status. */
static int forget(pid_t *ranks, int n, pid_t pid, int status) {
  for (int i = 0; i < n; i++)
    if (ranks[i] == pid) {
      ranks[i] = 0;
      return status_of(i, status);
    }
  return TOOL_OK;
}

/* Waits until every rank has ended. Once one has failed, the others have five seconds to notice. */
static int wait_for(pid_t *ranks, int n, int result) {
  enum { PATIENCE = 500, STEP_NS = 10000000 };
  for (int steps = 0;;) {
    int status;
    pid_t ended = waitpid(-1, &status, result ? WNOHANG : 0);
    if (ended < 0 && errno != EINTR)
      return result;
    if (ended > 0) {
      int bad = forget(ranks, n, ended, status);
      result = result ? result : bad;
    } else if (steps++ == PATIENCE)
      kill_all(ranks, n);
    else
      nanosleep(&(struct timespec){.tv_nsec = STEP_NS}, NULL);
  }
}

static int start_all(const struct bench_options *options) {
  unisono_unique_id ids[BENCH_ALGORITHMS];
  pid_t parent = getpid(), *ranks = calloc((size_t)options->ranks, sizeof *ranks);
  int started = 0, result = TOOL_OK;
  if (!ranks)
    return fail("cannot start");
  for (int i = 0; i < BENCH_ALGORITHMS; i++)
    if (unisono_get_unique_id(&ids[i]) != UNISONO_OK)
      return fail("cannot start");
  for (; started < options->ranks && result == TOOL_OK; started++) {
    ranks[started] = fork();
    if (ranks[started] == 0) {
      free(ranks);
      exit(child_main(options, started, ids, parent));
    }
    if (ranks[started] < 0) {
      fprintf(stderr, "unisono bench: cannot start rank %d: %s\n", started, strerror(errno));
      result = TOOL_FAILED;
      break;
    }
  }
  result = wait_for(ranks, started, result);
  free(ranks);
  return result;
}

int bench_main(int argc, char **argv) {
  struct bench_options options;
  bench_parse(argc, argv, &options);
  if (started_as_rank())
    return join(&options);
  if (!options.ranks)
    options.ranks = tool_processors();
  if (options.bind && options.ranks > tool_processors()) {
    fprintf(stderr, "unisono bench: --bind core needs a processor for each of the %d ranks; there are %d\n",
            options.ranks, tool_processors());
    return TOOL_USAGE;
  }
  return start_all(&options);
}
