/* Hundreds of communicators made and destroyed leave nothing behind: no descriptor, mapping, thread or file.
 */
#include <stdlib.h>
#include <string.h>

#include "buffers.h"
#include "harness.h"
#include "traces.h"

/* Fewer where each meeting measures the machine. */
static int rounds(void) {
  const char *tune = getenv("UNISONO_TUNE");
  bool measures = !tune || strcmp(tune, "0") != 0;
  return test_is_long() ? 10000 : measures ? 250 : 1000;
}

static void use(unisono_comm *comm) {
  int64_t one = 1;
  unisono_request *request;
  CHECK_OK(unisono_all_reduce_async(&one, &one, 1, UNISONO_INT64, UNISONO_SUM, comm, &request));
  CHECK_OK(unisono_wait(&request));
  CHECK(one == unisono_comm_size(comm));
}

/* Every rank has to have a new id before the next round's first one is asked for: two places, by turns. */
static void meet_once(int round) {
  struct test_rank *self = test_self();
  unisono_unique_id *id = (unisono_unique_id *)test_scratch() + round % 2;
  unisono_comm *comm;
  if (self->rank == 0)
    CHECK_OK(unisono_get_unique_id(id));
  test_meet();
  CHECK_OK(unisono_comm_init(&comm, self->size, self->rank, id, NULL));
  use(comm);
  CHECK_OK(unisono_comm_destroy(comm));
}

static void split_once(int round) {
  struct test_rank *self = test_self();
  unisono_comm *part;
  if (round % 2)
    CHECK_OK(unisono_comm_split(self->comm, 0, round % 3 * self->rank, &part));
  else
    CHECK_OK(unisono_comm_create(self->comm, (int[]){1, 0}, 2, &part));
  use(part);
  CHECK_OK(unisono_comm_destroy(part));
}

/* Reached by the peers each time. */
static void use_memory_once(int round) {
  struct test_rank *self = test_self();
  enum memory kind = round % 2 ? MEMORY_SHARED : MEMORY_REGISTERED;
  struct buffer b = buffer_new(self->comm, kind, (size_t)(1 + round % 7) * 100000, 0);
  CHECK_OK(unisono_all_reduce(b.data, b.data, b.bytes, UNISONO_UINT8, UNISONO_MAX, self->comm));
  buffer_free(&b);
}

static void repeat(void (*once)(int round), int warm_up) {
  struct traces before = {0};
  for (int i = 0; i < rounds(); i++) {
    if (i == warm_up) {
      test_meet();
      before = traces_now();
    }
    test_at("round %d", i);
    once(i);
  }
  test_meet();
  traces_check(&before);
}

static void test_meet_1000(void) {
  repeat(meet_once, 30);
}
static void test_split_1000(void) {
  repeat(split_once, 30);
}
static void test_memory_1000(void) {
  repeat(use_memory_once, 300);
} /* until the heap's segments are settled */

/* From the first call to the last destroy. */
static void test_whole_life(void) {
  struct test_rank *self = test_self();
  struct traces before = traces_now();
  CHECK_OK(unisono_comm_init(&self->comm, self->size, self->rank, &self->id, NULL));
  use(self->comm);
  CHECK(traces_now().kept_by_exec == before.kept_by_exec);
  test_meet();
  CHECK_OK(unisono_comm_destroy(self->comm));
  self->comm = NULL;
  struct traces after = traces_now();
  CHECK(after.descriptors <= before.descriptors);
  CHECK(after.shm_files <= before.shm_files);
}

int main(int argc, char **argv) {
  const struct test tests[] = {
      {.name = "meetings", .body = test_meet_1000, .meets_itself = true, .needs_processes = true},
      {.name = "splits and creates", .body = test_split_1000, .needs_processes = true},
      {.name = "pieces of memory", .body = test_memory_1000, .needs_processes = true},
      {.name = "whole life", .body = test_whole_life, .meets_itself = true, .needs_processes = true},
      {0},
  };
  return test_main(argc, argv, tests);
}
