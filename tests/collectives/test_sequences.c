/* Random sequences of collectives and messages, started or blocking, on several communicators (the first one,
 * its parts by split and create, parts of parts), with ranks that come early and late by chance. */
#include "collectives/call.h"
#include "collectives/works.h"
#include "harness.h"

enum { GROUPS = 5, MOST_PENDING = 6, LIFETIME = 60 /* steps between two makings of the groups */ };

/* A communicator that this rank is in; `salt` makes its random choices differ from the others'. */
struct group {
  unisono_comm *comm;
  uint64_t salt;
};

struct pending {
  struct part part;
  unisono_request *request;
};

struct sequence {
  struct group groups[GROUPS];
  struct pending pending[MOST_PENDING];
  int n_pending;
  uint64_t own; /* random choices of this rank alone */
};

static void split(struct group *group, unisono_comm *parent, int color, int key) {
  CHECK_OK(unisono_comm_split(parent, color, key, &group->comm));
  group->salt = (uint64_t)color + 1;
}

/* Every other rank, the last one first. */
static void create_reversed(struct group *group, unisono_comm *parent) {
  int list[TEST_MAX_RANKS], n = 0, size = unisono_comm_size(parent), rank = unisono_comm_rank(parent);
  for (int r = size - 1; r >= 0; r -= 2)
    list[n++] = r;
  if ((size - 1 - rank) % 2)
    return;
  CHECK_OK(unisono_comm_create(parent, list, n, &group->comm));
  CHECK(unisono_comm_size(group->comm) == n && list[unisono_comm_rank(group->comm)] == rank);
}

static void make_groups(struct sequence *s) {
  struct test_rank *self = test_self();
  s->groups[0] = (struct group){self->comm, 0};
  split(&s->groups[1], self->comm, self->rank % 2, -self->rank);
  create_reversed(&s->groups[2], self->comm);
  split(&s->groups[3], s->groups[1].comm, self->rank / 2 % 2, self->rank);
  if (s->groups[2].comm)
    create_reversed(&s->groups[4], s->groups[2].comm);
}

static void destroy_groups(struct sequence *s) {
  for (int g = 1; g < GROUPS; g++)
    CHECK_OK(unisono_comm_destroy(s->groups[g].comm));
  for (int g = 0; g < GROUPS; g++)
    s->groups[g] = (struct group){0};
}

static void come_late(struct sequence *s) {
  uint64_t how = test_below(&s->own, 8);
  if (how == 0)
    test_sleep_us((int64_t)test_below(&s->own, 500));
  int64_t until = test_now_us() + (int64_t)test_below(&s->own, 100);
  while (how == 1 && test_now_us() < until)
    ;
}

static void finish(struct sequence *s, int i) {
  CHECK_OK(unisono_wait(&s->pending[i].request));
  CHECK(!s->pending[i].request);
  call_check(&s->pending[i].part);
  call_free(&s->pending[i].part);
  s->pending[i] = s->pending[--s->n_pending];
}

static void finish_all(struct sequence *s) {
  while (s->n_pending)
    finish(s, (int)test_below(&s->own, (uint64_t)s->n_pending));
}

static void start(struct sequence *s, const struct call *call, unisono_comm *comm) {
  if (s->n_pending == MOST_PENDING)
    finish(s, (int)test_below(&s->own, MOST_PENDING));
  struct pending *p = &s->pending[s->n_pending++];
  call_prepare(&p->part, call, comm);
  CHECK_OK(call_issue(&p->part, &p->request));
}

/* A message around the ring. */
static void pass_on(unisono_comm *comm, int tag, uint64_t random) {
  int rank = unisono_comm_rank(comm), size = unisono_comm_size(comm);
  size_t count = test_below(&random, 4) ? test_below(&random, 100) : test_below(&random, 50000);
  struct buffer out = buffer_new(comm, MEMORY_PRIVATE, count * 4, 0),
                in = buffer_new(comm, MEMORY_PRIVATE, count * 4, 0);
  unisono_request *request;
  reference_fill(out.data, 0, count, UNISONO_UINT32, random, rank);
  CHECK_OK(unisono_send_async(out.data, count, UNISONO_UINT32, (rank + 1) % size, tag, comm, &request));
  CHECK_OK(unisono_recv(in.data, count, UNISONO_UINT32, (rank + size - 1) % size, tag, comm));
  CHECK_OK(unisono_wait(&request));
  reference_fill(out.data, 0, count, UNISONO_UINT32, random, (rank + size - 1) % size);
  for (size_t i = 0; i < count * 4; i++)
    CHECK(in.data[i] == out.data[i]);
  buffer_check_guards(&in);
  buffer_free(&out);
  buffer_free(&in);
}

/* `random` is the same on all ranks of the group. */
static void step(struct sequence *s, const struct group *group, int number, uint64_t random) {
  come_late(s);
  if (test_below(&random, 8) == 0) {
    pass_on(group->comm, number, random);
    return;
  }
  enum collective what = (enum collective)test_below(&random, COLLECTIVES);
  size_t most_work = test_below(&random, 16) ? 1 << 14 : 1 << 20;
  struct call call = call_random(what, unisono_comm_size(group->comm), most_work, &random);
  if (test_below(&random, 3) == 0)
    start(s, &call, group->comm);
  else
    call_run(&call, group->comm);
}

static void test_sequence(void) {
  struct test_rank *self = test_self();
  struct sequence s = {.own = test_hash(self->seed, (uint64_t)self->rank, 1, 1)};
  int steps = test_is_long() ? 5000 : 720;
  for (int i = 0; i < steps; i++) {
    if (i % LIFETIME == 0) {
      finish_all(&s);
      if (i)
        destroy_groups(&s);
      make_groups(&s);
    }
    const struct group *group = &s.groups[test_hash(self->seed, (uint64_t)i, 2, 2) % GROUPS];
    if (group->comm)
      step(&s, group, i, test_hash(self->seed, (uint64_t)i, group->salt, 3));
  }
  finish_all(&s);
  destroy_groups(&s);
  check_works(self->comm);
}

int main(int argc, char **argv) {
  const struct test tests[] = {
      {.name = "sequence", .body = test_sequence, .ranks = {1, 2, 3, 4, 7, 8}, .rounds = 2, .long_rounds = 4},
      {0},
  };
  return test_main(argc, argv, tests);
}
