/* How ranks meet through a unique id, and what they are told when they do not. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collectives/works.h"
#include "harness.h"

enum { PATIENCE_MS = 400 };

/* Joins under the run's id with a short time limit, which is the meeting's only. */
static unisono_status meet(int size, int rank, unisono_comm **comm) {
  unisono_config config = UNISONO_CONFIG_INIT;
  config.timeout_ms = test_slow_ms(PATIENCE_MS);
  unisono_status status = unisono_comm_init(comm, size, rank, &test_self()->id, &config);
  if (status == UNISONO_OK)
    CHECK_OK(unisono_comm_set_timeout(*comm, test_slow_ms(30000)));
  return status;
}

/* NULL after a failure, and for destroy. */
static void check_fails(unisono_status want, const char *words, int size, int rank) {
  unisono_comm *comm = (unisono_comm *)&comm;
  CHECK_STATUS(want, meet(size, rank, &comm));
  CHECK(!comm);
  CHECK_WORDS(words);
}

/* Made by a rank and handed on as plain bytes; the ranks come in any order. */
static void test_id_of_a_rank(void) {
  struct test_rank *self = test_self();
  unisono_unique_id *id = test_scratch();
  if (self->rank == self->size - 1)
    CHECK_OK(unisono_get_unique_id(id));
  test_meet();
  test_sleep_us((int64_t)(test_hash(self->seed, (uint64_t)self->rank, 0, 0) % 30000));
  CHECK_OK(unisono_comm_init(&self->comm, self->size, self->rank, id, NULL));
  CHECK(unisono_comm_rank(self->comm) == self->rank && unisono_comm_size(self->comm) == self->size);
  check_works(self->comm);
}

static void test_several_at_once(void) {
  struct test_rank *self = test_self();
  unisono_unique_id *ids = test_scratch();
  unisono_comm *comms[5];
  for (int i = 0; i < 5 && self->rank == 0; i++)
    CHECK_OK(unisono_get_unique_id(&ids[i]));
  test_meet();
  for (int i = 0; i < 5; i++) /* turned round: a rank has another number in each */
    CHECK_OK(unisono_comm_init(&comms[i], self->size, (self->rank + i) % self->size, &ids[i], NULL));
  for (int i = 0; i < 5; i++)
    check_works(comms[i]);
  for (int i = 0; i < 5; i++)
    CHECK_OK(unisono_comm_destroy(comms[i]));
}

static void test_sizes_differ(void) {
  struct test_rank *self = test_self();
  check_fails(UNISONO_ERROR_MISMATCH, "rank", self->rank == 1 ? self->size + 1 : self->size, self->rank);
}

/* The last process says it is rank 1, too. Rank 0 and the two are told so; who comes later may find nobody.
 */
static void test_rank_twice(void) {
  struct test_rank *self = test_self();
  bool is_last = self->rank == self->size - 1;
  unisono_comm *comm;
  unisono_status status = meet(self->size, is_last ? 1 : self->rank, &comm);
  if (self->rank < 2 || is_last || status == UNISONO_ERROR_INVALID) {
    CHECK_STATUS(UNISONO_ERROR_INVALID, status);
    CHECK_WORDS("rank 1");
  }
  CHECK(status && !comm);
}

static void test_id_twice(void) {
  struct test_rank *self = test_self();
  CHECK_OK(meet(self->size, self->rank, &self->comm));
  check_fails(UNISONO_ERROR_INVALID, "id", self->size, self->rank);
  check_works(self->comm);
  CHECK_OK(unisono_comm_destroy(self->comm));
  self->comm = NULL;
  check_fails(UNISONO_ERROR_INVALID, "id", self->size, self->rank);
}

static void test_rank_missing(void) {
  struct test_rank *self = test_self();
  char missing[16];
  snprintf(missing, sizeof missing, "%d", self->size - 1);
  if (self->rank != self->size - 1)
    check_fails(UNISONO_ERROR_TIMEOUT, missing, self->size, self->rank);
}

static void test_rank_0_missing(void) {
  struct test_rank *self = test_self();
  int64_t start = test_now_us();
  if (self->rank != 0) {
    check_fails(UNISONO_ERROR_TIMEOUT, "rank 0", self->size, self->rank);
    CHECK(test_now_us() - start < (int64_t)test_slow_ms(PATIENCE_MS + 1500) * 1000);
  }
}

/* The time limit where the configuration has none. */
static void test_time_limit_of_environment(void) {
  struct test_rank *self = test_self();
  CHECK(setenv("UNISONO_TIMEOUT", "1", 1) == 0);
  if (self->rank == 0)
    CHECK_STATUS(UNISONO_ERROR_TIMEOUT, unisono_comm_init(&self->comm, self->size, 0, &self->id, NULL));
}

/* Rank 1 has come, and dies before the last rank does come. */
static bool sleeps(int rank) {
  char path[64], text[256] = "";
  snprintf(path, sizeof path, "/proc/%d/stat", (int)test_pid(rank));
  FILE *file = fopen(path, "r");
  size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;
  const char *name_end = n ? strrchr(text, ')') : NULL;
  if (file)
    fclose(file);
  return name_end && name_end[1] == ' ' && name_end[2] == 'S';
}

/* Until they wait for others, however late they got a processor: both asleep whenever looked at, for longer
 * than somebody sleeps who looks for rank 0 again and again. */
static void await_asleep(int one, int another) {
  for (int looks = 0; looks < 60; looks = sleeps(one) && sleeps(another) ? looks + 1 : 0)
    test_sleep_us(5000);
}

static void test_death_while_meeting(void) {
  struct test_rank *self = test_self();
  unisono_config config = UNISONO_CONFIG_INIT;
  config.timeout_ms = test_slow_ms(5000);
  if (self->rank == self->size - 1) {
    test_await(0, 1);
    test_await(1, 1);
    await_asleep(0, 1);
    kill(test_pid(1), SIGKILL);
    return;
  }
  if (self->rank == 1)
    test_may_die();
  test_post(self->rank, 1);
  CHECK_STATUS(UNISONO_ERROR_PEER_LOST,
               unisono_comm_init(&self->comm, self->size, self->rank, &self->id, &config));
  CHECK_WORDS("rank 1");
}

int main(int argc, char **argv) {
  const struct test tests[] = {
      {.name = "id of a rank", .body = test_id_of_a_rank, .ranks = {1, 2, 3, 8, 16}, .meets_itself = true},
      {.name = "several at once", .body = test_several_at_once, .ranks = {1, 2, 5}, .meets_itself = true},
      {.name = "sizes differ", .body = test_sizes_differ, .ranks = {2, 3}, .meets_itself = true},
      {.name = "rank given twice",
       .body = test_rank_twice,
       .ranks = {3, 5},
       .meets_itself = true,
       .needs_processes = true},
      {.name = "id used twice", .body = test_id_twice, .ranks = {1, 2, 3}, .meets_itself = true},
      {.name = "rank missing", .body = test_rank_missing, .ranks = {2, 3}, .meets_itself = true},
      {.name = "rank 0 missing", .body = test_rank_0_missing, .ranks = {2, 3}, .meets_itself = true},
      {.name = "time limit of the environment",
       .body = test_time_limit_of_environment,
       .ranks = {2},
       .meets_itself = true,
       .needs_processes = true},
      {.name = "death while meeting",
       .body = test_death_while_meeting,
       .ranks = {3, 4},
       .meets_itself = true,
       .needs_processes = true},
      {0},
  };
  return test_main(argc, argv, tests);
}
