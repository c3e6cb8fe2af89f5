/* Ranks on several machines (TEST_MACHINES): an algorithm that is forced reaches the engine, which is asked
 * what it was told: MPICH by MPI's tool interface (MPI_T), the others by what they read it from. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/works.h"
#include "harness.h"
#include "machines.h"

struct told {
  const char *ours, *mpich, *intel, *oneccl;
};

static const struct told algorithms[] = {
    {"ring", "tsp_ring", "4", "ring"},
    {"recursive_doubling", "sched_recursive_doubling", "1", "recursive_doubling"},
    {"recursive_halving", "sched_reduce_scatter_allgather", "2", "rabenseifner"},
    {"tree", "tsp_tree", "3", "double_tree"},
};

static void check_variable(const char *name, const char *value) {
  const char *is = getenv(name);
  if (!is || strcmp(is, value) != 0)
    FAIL("%s is %s, should be %s", name, is ? is : "not set", value);
}

/* ---- MPI_T: variables of control */

#define FUNCTIONS(F)                                                                                         \
  F(init_thread, (int, int *))                                                                               \
  F(cvar_get_index, (const char *, int *))                                                                   \
  F(cvar_handle_alloc, (int, void *, void *, int *))                                                         \
  F(cvar_read, (void *, void *))

#define DECLARE(name, arguments) int(*name) arguments;
static struct { FUNCTIONS(DECLARE) } tool;

static bool bind_tool(void) {
  static const char *const files[] = {"libmpi_abi.so.1", "libmpi_abi.so.0", "libmpi.so.12", "libmpich.so.12"};
  void *library = NULL;
  for (size_t i = 0; i < sizeof files / sizeof *files && !library; i++)
    library = dlopen(files[i], RTLD_NOW | RTLD_NOLOAD);
#define BIND(name, arguments)                                                                                \
  *(void **)(void *)&tool.name = library ? dlsym(library, "MPI_T_" #name) : NULL;                            \
  if (!tool.name)                                                                                            \
    return false;
  FUNCTIONS(BIND)
  return true;
}

/* The number of an algorithm; 0 is automatic, also where MPICH did not know the word. */
static int read_variable(const char *name) {
  int level, index, count, value = -1;
  void *handle = NULL;
  CHECK(tool.init_thread(0, &level) == 0);
  CHECK(tool.cvar_get_index(name, &index) == 0);
  CHECK(tool.cvar_handle_alloc(index, NULL, &handle, &count) == 0 && count == 1);
  CHECK(tool.cvar_read(handle, &value) == 0);
  return value;
}

/* ---- the test */

static void check_told(const struct told *a) {
  if (strcmp(getenv("UNISONO_ENGINE"), "oneccl") == 0) {
    check_variable("CCL_ALLREDUCE", a->oneccl);
    return;
  }
  check_variable("I_MPI_ADJUST_IALLREDUCE", a->intel);
  check_variable("MPIR_CVAR_IALLREDUCE_INTRA_ALGORITHM", a->mpich);
  if (getenv("I_MPI_ROOT")) /* Intel's has no such variable */
    return;
  CHECK(bind_tool());
  if (read_variable("MPIR_CVAR_IALLREDUCE_INTRA_ALGORITHM") <= 0)
    FAIL("MPICH does not know %s", a->mpich);
}

static void test_forced(void) {
  struct test_rank *self = test_self();
  const struct told *a = self->arg;
  unisono_comm *comm;
  if (strcmp(getenv("UNISONO_ENGINE"), "sockets") == 0)
    test_skip("the tests' own engine has one algorithm");
  setenv("UNISONO_ALGORITHM", a->ours, 1);
  CHECK_OK(unisono_comm_init(&comm, self->size, self->rank, &self->id, NULL));
  check_works(comm);
  check_told(a);
  CHECK_OK(unisono_comm_destroy(comm));
}

static void test_unknown(void) {
  struct test_rank *self = test_self();
  unisono_comm *comm;
  setenv("UNISONO_ALGORITHM", "quickest", 1);
  CHECK_STATUS(UNISONO_ERROR_INVALID, unisono_comm_init(&comm, self->size, self->rank, &self->id, NULL));
  CHECK_WORDS("recursive_halving");
}

#define RANKS                                                                                                \
  { 2, 4 }
#define ENTRY(i)                                                                                             \
  { .body = test_forced, .ranks = RANKS, .meets_itself = true, .name = #i, .arg = &algorithms[i] }

int main(int argc, char **argv) {
  struct test tests[] = {
      ENTRY(0),
      ENTRY(1),
      ENTRY(2),
      ENTRY(3),
      {.name = "unknown", .body = test_unknown, .ranks = RANKS, .meets_itself = true},
      {0},
  };
  for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++)
    tests[i].name = algorithms[i].ours;
  if (machines_number() == 0) {
    printf("skipped: TEST_MACHINES is not set\n");
    return TEST_SKIPPED;
  }
  return test_main(argc, argv, tests);
}
