/* Meeting by environment, as each launcher sets it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collectives/works.h"
#include "harness.h"

/* Names of variables; those in `fixed` are set to the same word on all ranks. */
struct launcher {
  const char *rank, *size, *local_rank, *local_size;
  const char *fixed[4];
};

static const struct launcher torchrun = {
    "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", {"TORCHELASTIC_RUN_ID"}};
static const struct launcher deepspeed = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_SIZE", {NULL}};
static const struct launcher open_mpi = {"OMPI_COMM_WORLD_RANK",
                                         "OMPI_COMM_WORLD_SIZE",
                                         "OMPI_COMM_WORLD_LOCAL_RANK",
                                         "OMPI_COMM_WORLD_LOCAL_SIZE",
                                         {"PMIX_NAMESPACE"}};
static const struct launcher mpich = {"PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS", {NULL}};
static const struct launcher slurm = {
    "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", NULL, {"SLURM_JOB_ID", "SLURM_STEP_ID"}};

static void set_number(const char *name, long value) {
  char text[32];
  snprintf(text, sizeof text, "%ld", value);
  if (name)
    CHECK(setenv(name, text, 1) == 0);
}

/* What the tests themselves may have been started with. */
static void clear(void) {
  static const struct launcher *const all[] = {&torchrun, &deepspeed, &open_mpi, &mpich, &slurm};
  static const char *const others[] = {"MASTER_ADDR",         "MASTER_PORT",  "UNISONO_PORT",
                                       "UNISONO_SECRET",      "SLURM_NPROCS", "SLURM_NNODES",
                                       "SLURM_STEP_NUM_NODES"};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    const char *names[] = {all[i]->rank, all[i]->size, all[i]->local_rank, all[i]->local_size};
    for (int k = 0; k < 4; k++)
      if (names[k])
        unsetenv(names[k]);
  }
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    unsetenv(others[i]);
}

/* A port that tests on the same machine at the same time do not share. */
static long port(void) {
  return 20000 + getpgid(0) % 40000;
}

static void set_rank(const struct launcher *l, int rank, int size) {
  set_number(l->rank, rank);
  set_number(l->size, size);
  set_number(l->local_rank, rank);
  set_number(l->local_size, size);
}

static void meet_and_work(int rank, int size) {
  unisono_comm *comm;
  CHECK_OK(unisono_comm_init_env(&comm, NULL));
  CHECK(unisono_comm_rank(comm) == rank && unisono_comm_size(comm) == size);
  check_works(comm);
  CHECK_OK(unisono_comm_destroy(comm));
}

/* With and without an address, twice each. */
static void test_launcher(void) {
  struct test_rank *self = test_self();
  const struct launcher *l = self->arg;
  clear();
  set_rank(l, self->rank, self->size);
  for (int i = 0; i < 4 && l->fixed[i]; i++)
    set_number(l->fixed[i], port());
  if (l == &torchrun || l == &deepspeed) {
    setenv("MASTER_ADDR", "127.0.0.1", 1);
    set_number("MASTER_PORT", port());
  }
  meet_and_work(self->rank, self->size);
  meet_and_work(self->rank, self->size);
  setenv("MASTER_ADDR", "localhost", 1);
  set_number("MASTER_PORT", port());
  setenv("UNISONO_SECRET", "0123456789abcdef0123456789abcdef", 1);
  meet_and_work(self->rank, self->size);
}

static void test_nothing_set(void) {
  clear();
  meet_and_work(0, 1);
}

static void check_fails(unisono_status want, const char *words) {
  unisono_comm *comm = (unisono_comm *)&comm;
  CHECK_STATUS(want, unisono_comm_init_env(&comm, NULL));
  CHECK(!comm);
  CHECK_WORDS(words);
}

/* The words name the variable. */
static void test_nonsense(void) {
  clear();
  setenv("RANK", "0", 1);
  check_fails(UNISONO_ERROR_INVALID, "WORLD_SIZE");
  setenv("WORLD_SIZE", "two", 1);
  check_fails(UNISONO_ERROR_INVALID, "WORLD_SIZE");
  setenv("WORLD_SIZE", "0", 1);
  check_fails(UNISONO_ERROR_INVALID, "WORLD_SIZE");
  setenv("WORLD_SIZE", "99999999999999999999", 1);
  check_fails(UNISONO_ERROR_INVALID, "WORLD_SIZE");
  setenv("WORLD_SIZE", "2", 1);
  setenv("RANK", "2", 1);
  check_fails(UNISONO_ERROR_INVALID, "RANK");
  setenv("RANK", "-1", 1);
  check_fails(UNISONO_ERROR_INVALID, "RANK");
  setenv("RANK", "1x", 1);
  check_fails(UNISONO_ERROR_INVALID, "RANK");
}

static void test_several_machines(void) {
  clear();
  set_rank(&torchrun, 0, 4);
  set_number("LOCAL_WORLD_SIZE", 2);
  check_fails(UNISONO_ERROR_UNSUPPORTED, "MASTER_ADDR");
  setenv("MASTER_ADDR", "no-such-host.invalid", 1);
  set_number("MASTER_PORT", port());
  check_fails(UNISONO_ERROR_INVALID, "MASTER_ADDR");
  setenv("MASTER_ADDR", "127.0.0.1", 1);
  setenv("UNISONO_TIMEOUT", "1", 1);
  if (SEVERAL_MACHINES)
    check_fails(UNISONO_ERROR_TIMEOUT, "1, 2, 3");
  else
    check_fails(UNISONO_ERROR_UNSUPPORTED, "UNISONO_MACHINES");
  unsetenv("UNISONO_TIMEOUT");
  clear();
  set_rank(&slurm, 0, 4); /* which says how many machines there are, not how many ranks are on this one */
  set_number("SLURM_NNODES", 2);
  check_fails(UNISONO_ERROR_UNSUPPORTED, "2 machines");
}

/* Two jobs on one machine, told apart by their ports alone. */
static void test_two_jobs(void) {
  struct test_rank *self = test_self();
  clear();
  set_rank(&torchrun, self->rank / 2, self->size / 2);
  setenv("MASTER_ADDR", "127.0.0.1", 1);
  set_number("MASTER_PORT", port() + self->rank % 2 * 10);
  meet_and_work(self->rank / 2, self->size / 2);
}

/* Who has not the secret does not get in. */
static void test_other_secret(void) {
  struct test_rank *self = test_self();
  unisono_config config = UNISONO_CONFIG_INIT;
  unisono_comm *comm;
  config.timeout_ms = test_slow_ms(400);
  clear();
  set_rank(&torchrun, self->rank, self->size);
  setenv("MASTER_ADDR", "127.0.0.1", 1);
  set_number("MASTER_PORT", port());
  setenv("UNISONO_SECRET", self->rank ? "another secret" : "the secret", 1);
  CHECK(unisono_comm_init_env(&comm, &config) != UNISONO_OK);
}

#define LAUNCHER(title, which)                                                                               \
  {                                                                                                          \
    .name = title, .body = test_launcher, .ranks = {1, 2, 4}, .meets_itself = true, .needs_processes = true, \
    .arg = &which                                                                                            \
  }
#define OTHER(title, function, n)                                                                            \
  { .name = title, .body = function, .ranks = {n}, .meets_itself = true, .needs_processes = true }

int main(int argc, char **argv) {
  const struct test tests[] = {
      LAUNCHER("torchrun", torchrun),
      LAUNCHER("DeepSpeed", deepspeed),
      LAUNCHER("Open MPI", open_mpi),
      LAUNCHER("MPICH and Intel MPI", mpich),
      LAUNCHER("Slurm", slurm),
      OTHER("nothing set", test_nothing_set, 2),
      OTHER("nonsense", test_nonsense, 1),
      OTHER("several machines", test_several_machines, 1),
      OTHER("two jobs", test_two_jobs, 4),
      OTHER("other secret", test_other_secret, 2),
      {0},
  };
  return test_main(argc, argv, tests);
}
