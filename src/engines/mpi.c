#include "engines/mpi.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "engines/abandon.h"
#include "engines/pmi.h"
#include "error.h"
#include "log.h"

/* ---- loading */

static const struct {
  const char *file;
  const struct uni_mpi *calls;
  int flags;
} libraries[] = {
    {"libmpi_abi.so.1", &uni_mpi_standard, RTLD_LOCAL},
    {"libmpi_abi.so.0", &uni_mpi_standard, RTLD_LOCAL},
    {"libmpi.so.12", &uni_mpi_mpich, RTLD_LOCAL},
    {"libmpich.so.12", &uni_mpi_mpich, RTLD_LOCAL}, /* Debian's name for it */
    {"libmpi.so.40", &uni_mpi_open, RTLD_GLOBAL},   /* its plugins look for its symbols */
};
enum { LIBRARIES = sizeof libraries / sizeof *libraries };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static const struct uni_mpi *mpi;
static struct uni_engine engine; /* what is handed out: the calls' own with `open` */
static char why_not[256];
static uint64_t our_session; /* of the world that was started here; 0: by mpirun or the application */
static pid_t starter;        /* the process that has called MPI_Init */
static _Atomic bool something_broke;

static bool try_library(int i, int flags) {
  void *library = dlopen(libraries[i].file, RTLD_NOW | libraries[i].flags | flags);
  if (!library)
    return false;
  const char *missing = libraries[i].calls->bind(library);
  if (missing) {
    snprintf(why_not, sizeof why_not, "%s has no %s", libraries[i].file, missing);
    dlclose(library);
    return false;
  }
  mpi = libraries[i].calls;
  return true;
}

/* What the application has loaded is taken before what could be, and Open MPI last, unless it has started us.
 */
static bool load(void) {
  static const int flags[] = {RTLD_NOLOAD, RTLD_NODELETE};
  int first = getenv("OMPI_COMM_WORLD_SIZE") ? LIBRARIES - 1 : 0;
  *why_not = 0;
  for (int f = 0; f < 2 && !mpi; f++)
    for (int i = 0; i < LIBRARIES && !mpi; i++)
      try_library((first + i) % LIBRARIES, flags[f]);
  if (!mpi && !*why_not)
    snprintf(why_not, sizeof why_not,
             "not found: libmpi_abi.so or libmpi.so.12 of MPICH or Intel MPI, or libmpi.so.40 of Open MPI "
             "(packages mpich, libmpich12 or openmpi-bin of Debian, mpich or impi-rt of PyPI; "
             "LD_LIBRARY_PATH must "
             "lead to it)");
  return mpi != NULL;
}

static void first_line(char *words, size_t n) {
  mpi->version(words, n);
  words[strcspn(words, "\n")] = 0;
  for (char *c = words; *c; c++)
    if (*c == '\t')
      *c = ' ';
}

void uni_mpi_describe(char *words, size_t n) {
  pthread_mutex_lock(&lock);
  if (load()) {
    char version[200];
    first_line(version, sizeof version);
    snprintf(words, n, "%s (%s)", version, mpi->abi);
  } else {
    snprintf(words, n, "%s", why_not);
  }
  pthread_mutex_unlock(&lock);
}

/* Intel MPI ends the process when a message is longer than awaited. MPICH 5.0.2 crashes in a message of some
 * hundred KiB to a rank that has died; up to 64 KiB it does not. */
static size_t most_fitted(void) {
  char text[200];
  mpi->version(text, sizeof text);
  bool fits =
      strncmp(text, "MPICH", strlen("MPICH")) == 0 || strncmp(text, "Open MPI", strlen("Open MPI")) == 0;
  return fits ? 48 << 10 : 0;
}

/* ---- starting */

/* What a rank says of its MPI before and after the start. */
struct state {
  uint64_t session; /* see our_session */
  int32_t is_up, launched, rank, size;
};

static int number(const char *name) {
  const char *text = getenv(name);
  return text ? atoi(text) : -1;
}

/* Will MPI_Init find a process manager that knows of all our ranks? */
static bool is_launched(const struct uni_engine_start *start) {
  bool pmi = getenv("PMI_FD") || getenv("PMI_PORT") || getenv("PMI2_RANK") || getenv("PMIX_RANK");
  return pmi && (number("PMI_SIZE") == start->size || number("SLURM_NTASKS") == start->size ||
                 number("OMPI_COMM_WORLD_SIZE") == start->size);
}

static struct state state_now(const struct uni_engine_start *start) {
  struct state s = {.session = our_session, .is_up = mpi->is_up(), .launched = is_launched(start)};
  int rank = 0, size = 0;
  if (s.is_up)
    mpi->world(&rank, &size);
  s.rank = rank;
  s.size = size;
  return s;
}

static unisono_status exchange_states(const struct uni_engine_start *start, struct state *states) {
  struct state mine = state_now(start);
  unsigned char *all = NULL;
  size_t bytes;
  unisono_status status = start->exchange(start->what, &mine, sizeof mine, start->deadline, &all, &bytes);
  if (!status && bytes != (size_t)start->size * (sizeof(uint32_t) + sizeof mine))
    status =
        uni_fail(UNISONO_ERROR_SYSTEM, "the ranks of other machines say other things than their MPI's state");
  for (int r = 0; r < start->size && !status; r++)
    memcpy(&states[r], all + (size_t)r * (sizeof(uint32_t) + sizeof mine) + sizeof(uint32_t), sizeof mine);
  free(all);
  return status;
}

static void set_default(const char *name, const char *value) {
  if (value && *value)
    setenv(name, value, 0);
}

/* UNISONO_ALGORITHM in the words of each library. */
static void set_algorithm(const char *algorithm) {
  static const char *const words[][3] = {/* ours, MPICH's, Intel's */
                                         {"ring", "tsp_ring", "4"},
                                         {"recursive_doubling", "sched_recursive_doubling", "1"},
                                         {"recursive_halving", "sched_reduce_scatter_allgather", "2"},
                                         {"tree", "tsp_tree", "3"}};
  for (size_t i = 0; algorithm && i < sizeof words / sizeof *words; i++)
    if (strcmp(algorithm, words[i][0]) == 0) {
      setenv("MPIR_CVAR_IALLREDUCE_INTRA_ALGORITHM", words[i][1], 1);
      setenv("I_MPI_ADJUST_IALLREDUCE", words[i][2], 1);
    }
}

static void set_environment(const struct uni_engine_start *start, int fd) {
  static const char *const foreign[] = {"PMI_PORT", "PMIX_NAMESPACE", "PMIX_RANK", "PMI2_RANK"};
  char text[16];
  for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
    unsetenv(foreign[i]);
  snprintf(text, sizeof text, "%d", fd);
  setenv("PMI_FD", text, 1);
  snprintf(text, sizeof text, "%d", start->rank);
  setenv("PMI_RANK", text, 1);
  setenv("PMI_ID", text, 1);
  snprintf(text, sizeof text, "%d", start->size);
  setenv("PMI_SIZE", text, 1);
  set_default("I_MPI_FABRICS", "ofi"); /* no shared memory between its ranks: see pmi.h */
  set_default("UCX_TLS", "^shm");
  set_default("I_MPI_ADJUST_IALLGATHERV", "1"); /* the choice of 2021.18 stalls where blocks differ in size */
}

static void unset_environment(void) {
  static const char *const ours[] = {"PMI_FD", "PMI_RANK", "PMI_ID", "PMI_SIZE"};
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
    unsetenv(ours[i]);
}

static void start_mpi(void *argument) {
  bool *started = argument;
  *started = mpi->start();
}

/* MPICH 3.4 to 4.1 over UCX: a rank waits until the others have confirmed all that it sent, then for the
 * launcher's barrier, in which it confirms nothing any more; over TCP that is for ever where another one came
 * later. */
static bool may_hang_in_finalize(void) {
  char text[4096];
  int major = 0, minor = 0;
  mpi->version(text, sizeof text);
  int numbers = sscanf(text, "MPICH Version: %d.%d", &major, &minor);
  int release = 100 * major + minor;
  bool speaks_pmi1 = !strstr(text, "pmi2") && !strstr(text, "pmix"); /* the options it was configured with */
  return numbers == 2 && release >= 304 && release <= 401 && strstr(text, "ch4:ucx") && speaks_pmi1;
}

static void finalize_at_exit(void) {
  bool is_child = getpid() != starter; /* forked since */
  if (is_child || atomic_load_explicit(&something_broke, memory_order_relaxed) || !mpi->is_up())
    return;
  if (!may_hang_in_finalize() || !uni_pmi_leave())
    mpi->finalize();
}

static unisono_status start_here(const struct uni_engine_start *start, bool launched) {
  int fd = -1;
  bool *started = calloc(1, sizeof *started);
  unisono_status status = started ? UNISONO_OK : uni_fail(UNISONO_ERROR_MEMORY, "no memory for starting MPI");
  if (!status && mpi->needs_launcher && !launched)
    status =
        uni_fail(UNISONO_ERROR_UNSUPPORTED, "Open MPI connects only ranks that its own mpirun has started; "
                                            "use that, or MPICH or Intel MPI");
  set_default("FI_TCP_IFACE", start->iface);
  set_default("UCX_NET_DEVICES", start->iface);
  set_algorithm(start->algorithm);
  if (!status && !launched && !(status = uni_pmi_serve(start, &fd)))
    set_environment(start, fd);
  if (!status)
    status = uni_run_abandonable(
        &(struct uni_task){start_mpi, free, started, uni_pmi_has_failed, NULL, "MPI was started"},
        start->deadline);
  if (!launched)
    unset_environment();
  if (status)
    return status;
  if (!*started)
    status =
        uni_fail(UNISONO_ERROR_SYSTEM, "MPI_Init_thread failed, or this MPI does not serve several threads "
                                       "(MPI_THREAD_MULTIPLE)");
  free(started);
  starter = getpid();
  if (launched)
    atexit(finalize_at_exit);
  else
    our_session = start->session;
  return status;
}

static bool all_alike(const struct state *states, int n) {
  for (int r = 1; r < n; r++)
    if (states[r].is_up != states[0].is_up || states[r].launched != states[0].launched ||
        states[r].session != states[0].session || states[r].size != states[0].size)
      return false;
  return true;
}

static unisono_status connect_all(const struct uni_engine_start *start, struct state *states, void **world) {
  unisono_status status = exchange_states(start, states);
  if (!status && !states[0].is_up && all_alike(states, start->size)) {
    status = start_here(start, states[0].launched);
    if (!status)
      status = exchange_states(start, states);
  }
  if (status)
    return status;
  if (!all_alike(states, start->size) || !states[0].is_up || states[0].size < start->size)
    return uni_fail(
        UNISONO_ERROR_UNSUPPORTED,
        "the ranks are not in one MPI world: some were started by mpirun or had called MPI_Init, or had "
        "met with other ranks before; start all of them alike (a process can be in one such world only)");
  int *ranks = calloc((size_t)start->size, sizeof *ranks);
  if (!ranks)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a list of %d ranks", start->size);
  for (int r = 0; r < start->size; r++)
    ranks[r] = states[r].rank;
  status = mpi->use(ranks, start->size, world);
  free(ranks);
  return status;
}

static unisono_status open_world(const struct uni_engine_start *start, void **world) {
  struct state *states = calloc((size_t)start->size, sizeof *states);
  if (!states)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a list of %d ranks", start->size);
  pthread_mutex_lock(&lock);
  unisono_status status = connect_all(start, states, world);
  pthread_mutex_unlock(&lock);
  free(states);
  return status;
}

static void note_broken(void) {
  atomic_store_explicit(&something_broke, true, memory_order_relaxed);
}

unisono_status uni_mpi_load(const struct uni_engine **out) {
  pthread_mutex_lock(&lock);
  bool loaded = load();
  if (loaded && !engine.name) {
    engine = mpi->engine;
    engine.most_fitted = most_fitted();
    engine.open = open_world;
    engine.broken = note_broken;
  }
  pthread_mutex_unlock(&lock);
  *out = loaded ? &engine : NULL;
  return loaded ? UNISONO_OK
                : uni_fail(UNISONO_ERROR_UNSUPPORTED,
                           "the ranks are on several machines, and the engine mpi is %s", why_not);
}
