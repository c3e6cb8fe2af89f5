/* Communicators made of communicators: split, create, nested, many at once, destroyed in any order. */
#include "collectives/works.h"
#include "harness.h"

static void check_is(unisono_comm *comm, int rank, int size) {
  CHECK(comm && unisono_comm_rank(comm) == rank && unisono_comm_size(comm) == size);
  check_works(comm);
}

/* The rank of the parent's rank `from` in a communicator. */
static int rank_of(unisono_comm *comm, int from) {
  int parents[TEST_MAX_RANKS] = {0}, mine = test_self()->rank;
  CHECK_OK(unisono_all_gather(&mine, parents, 1, UNISONO_INT32, comm));
  for (int r = 0; r < unisono_comm_size(comm); r++)
    if (parents[r] == from)
      return r;
  return -1;
}

static void test_split(void) {
  struct test_rank *self = test_self();
  int rank = self->rank, size = self->size;
  unisono_comm *part;
  CHECK_OK(unisono_comm_split(self->comm, 5, 0, &part)); /* equal keys: the same order */
  check_is(part, rank, size);
  CHECK_OK(unisono_comm_destroy(part));
  CHECK_OK(unisono_comm_split(self->comm, 5, -rank, &part)); /* turned round */
  check_is(part, size - 1 - rank, size);
  CHECK(rank_of(part, 0) == size - 1);
  CHECK_OK(unisono_comm_destroy(part));
  CHECK_OK(unisono_comm_split(self->comm, 2147483647 - rank % 2, 1, &part));
  check_is(part, rank / 2, (size + 1 - rank % 2) / 2);
  CHECK_OK(unisono_comm_destroy(part));
}

static void test_split_without(void) {
  struct test_rank *self = test_self();
  unisono_comm *part = (unisono_comm *)&part;
  bool is_in = self->rank != 1;
  CHECK_OK(unisono_comm_split(self->comm, is_in ? 0 : -1, 0, &part));
  if (is_in)
    check_is(part, self->rank - (self->rank > 1), self->size - 1);
  else
    CHECK(!part);
  CHECK_OK(unisono_comm_destroy(part));
  CHECK_OK(unisono_comm_split(self->comm, -1, 0, &part)); /* nobody */
  CHECK(!part);
}

/* By the listed ranks only: the others do something else meanwhile, and come back to the parent. */
static void test_create(void) {
  struct test_rank *self = test_self();
  int last = self->size - 1, pair[2] = {last, 0};
  unisono_comm *part;
  if (self->rank == 0 || self->rank == last) {
    CHECK_OK(unisono_comm_create(self->comm, pair, 2, &part));
    check_is(part, self->rank == 0, 2);
    CHECK_OK(unisono_comm_destroy(part));
  }
  check_works(self->comm);
  CHECK_OK(unisono_comm_create(self->comm, &self->rank, 1, &part)); /* each alone */
  check_is(part, 0, 1);
  CHECK_OK(unisono_comm_destroy(part));
}

/* Overlapping pairs around a ring, made by their members in one order of the pairs; each twice with one list.
 */
static void test_create_overlapping(void) {
  struct test_rank *self = test_self();
  unisono_comm *parts[2 * TEST_MAX_RANKS] = {NULL};
  for (int i = 0; i < 2 * self->size; i++) {
    int left = i % self->size, pair[2] = {left, (left + 1) % self->size};
    if (self->rank == pair[0] || self->rank == pair[1])
      CHECK_OK(unisono_comm_create(self->comm, pair, 2, &parts[i]));
  }
  for (int i = 0; i < 2 * self->size; i++)
    if (parts[i])
      check_is(parts[i], self->rank != i % self->size, 2);
  for (int i = 0; i < 2 * self->size; i++)
    CHECK_OK(unisono_comm_destroy(parts[i]));
}

/* Halves of halves until everybody is alone; the older ones go first, the younger ones still work. */
static void test_nested(void) {
  struct test_rank *self = test_self();
  unisono_comm *chain[8] = {self->comm};
  int n = 0;
  while (unisono_comm_size(chain[n]) > 1) {
    int rank = unisono_comm_rank(chain[n]), half = (unisono_comm_size(chain[n]) + 1) / 2;
    CHECK_OK(unisono_comm_split(chain[n], rank / half, rank, &chain[n + 1]));
    n++;
  }
  for (int i = 0; i < n; i++) {
    CHECK_OK(unisono_comm_destroy(chain[i]));
    check_works(chain[i + 1]);
  }
  CHECK_OK(unisono_comm_destroy(chain[n]));
  self->comm = NULL;
}

static void test_many_at_once(void) {
  enum { N = 150 };
  struct test_rank *self = test_self();
  static unisono_comm *parts[8][N];
  for (int i = 0; i < N; i++)
    CHECK_OK(unisono_comm_split(i % 2 ? parts[self->rank][i - 1] : self->comm, 0, 0, &parts[self->rank][i]));
  for (int i = 0; i < N; i++) {
    int64_t one = 1;
    CHECK_OK(unisono_all_reduce(&one, &one, 1, UNISONO_INT64, UNISONO_SUM, parts[self->rank][N - 1 - i]));
    CHECK(one == self->size);
  }
  for (int i = 0; i < N; i++)
    CHECK_OK(unisono_comm_destroy(parts[self->rank][i * 7 % N]));
  check_works(self->comm);
}

/* A failure of the child is not one of the parent, nor of its other children. */
static void test_failure_stays(void) {
  struct test_rank *self = test_self();
  unisono_comm *one, *other;
  CHECK_OK(unisono_comm_split(self->comm, 0, 0, &one));
  CHECK_OK(unisono_comm_split(self->comm, 0, 0, &other));
  if (self->rank == 0)
    CHECK_OK(unisono_comm_abort(one));
  else
    CHECK_STATUS(UNISONO_ERROR_PEER_LOST, unisono_barrier(one));
  check_works(other);
  check_works(self->comm);
  CHECK_OK(unisono_comm_destroy(one));
  CHECK_OK(unisono_comm_destroy(other));
}

/* One of the list does not come: no hang. */
static void test_create_alone(void) {
  struct test_rank *self = test_self();
  unisono_comm *part = NULL;
  CHECK_OK(unisono_comm_set_timeout(self->comm, test_slow_ms(300)));
  if (self->rank == 0) {
    CHECK_STATUS(UNISONO_ERROR_TIMEOUT, unisono_comm_create(self->comm, (int[]){0, 1}, 2, &part));
    CHECK_WORDS("rank 1");
    CHECK(!part);
  }
  test_meet();
}

#define RANKS                                                                                                \
  { 1, 2, 3, 8 }

int main(int argc, char **argv) {
  const struct test tests[] = {
      {.name = "split", .body = test_split, .ranks = RANKS},
      {.name = "split without some", .body = test_split_without, .ranks = {2, 3, 8}},
      {.name = "create", .body = test_create, .ranks = {2, 3, 8}},
      {.name = "create overlapping ones", .body = test_create_overlapping, .ranks = {3, 5, 8}},
      {.name = "nested", .body = test_nested, .ranks = RANKS},
      {.name = "many at once", .body = test_many_at_once, .ranks = {1, 2, 5}},
      {.name = "a failure stays where it is", .body = test_failure_stays, .ranks = {2, 3}},
      {.name = "create alone", .body = test_create_alone, .ranks = {2, 3}},
      {0},
  };
  return test_main(argc, argv, tests);
}
