/* Ranks with mount namespaces of their own, as containers on their host's network and services have: what
 * they share memory by is in none of them, so that they are on one machine, and no engine is asked for. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "collectives/works.h"
#include "harness.h"
#include "machines.h"

/* This rank's mounts become its own, on the machine of all. */
static void part_mounts(void) {
  machines_enter(0);
  CHECK(unshare(CLONE_NEWNS) == 0);
  setenv("UNISONO_ENGINE", "none", 1); /* whoever asks for it fails */
}

static void check_is_one_machine(unisono_comm *comm) {
  check_works(comm);
  CHECK_OK(unisono_comm_destroy(comm));
}

static void test_unique_id(void) {
  struct test_rank *self = test_self();
  unisono_unique_id *id = test_scratch();
  unisono_comm *comm;
  part_mounts();
  if (self->rank == 0)
    CHECK_OK(unisono_get_unique_id(id));
  test_meet();
  CHECK_OK(unisono_comm_init(&comm, self->size, self->rank, id, NULL));
  check_is_one_machine(comm);
}

/* As two nodes of torchrun: the ranks say over the network where they are. */
static void test_environment(void) {
  struct test_rank *self = test_self();
  unisono_comm *comm;
  part_mounts();
  test_set_number("RANK", self->rank);
  test_set_number("WORLD_SIZE", self->size);
  test_set_number("LOCAL_WORLD_SIZE", 1);
  test_set_number("MASTER_PORT", 29500);
  setenv("MASTER_ADDR", machines_address(0), 1);
  setenv("UNISONO_SECRET", "a secret", 1);
  CHECK_OK(unisono_comm_init_env(&comm, NULL));
  check_is_one_machine(comm);
}

#define RANKS                                                                                                \
  { 2, 4 }

int main(int argc, char **argv) {
  const struct test tests[] = {
      {.name = "unique id", .body = test_unique_id, .ranks = RANKS, .meets_itself = true},
      {.name = "environment", .body = test_environment, .ranks = RANKS, .meets_itself = true},
      {0},
  };
  if (machines_number() == 0) {
    printf("skipped: TEST_MACHINES is not set\n");
    return TEST_SKIPPED;
  }
  return test_main(argc, argv, tests);
}
