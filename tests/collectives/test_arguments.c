/* Every argument of every function wrong once: INVALID, words that name the argument and the rank, nothing
 * sent, and the communicator works as before. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/works.h"
#include "harness.h"
#include "sockets.h"

#define BAD_DTYPE ((unisono_dtype)99)
#define BAD_OP ((unisono_op)99)
#define F32 UNISONO_FLOAT32
#define SUM UNISONO_SUM

/* The call is INVALID, and its words have `words` in them. */
#define BAD(words, call)                                                                                     \
  do {                                                                                                       \
    CHECK_STATUS(UNISONO_ERROR_INVALID, call);                                                               \
    CHECK_WORDS(words);                                                                                      \
  } while (0)

/* The same for a call on a communicator: its rank is named too. */
#define BAD_HERE(words, call)                                                                                \
  do {                                                                                                       \
    BAD(words, call);                                                                                        \
    CHECK_WORDS(rank_words());                                                                               \
  } while (0)

static float a[256], b[256];
static size_t counts[TEST_MAX_RANKS], displs[TEST_MAX_RANKS], huge_counts[TEST_MAX_RANKS];

static const char *rank_words(void) {
  static _Thread_local char words[32];
  snprintf(words, sizeof words, "rank %d", test_self()->rank);
  return words;
}

static void reductions(unisono_comm *c) {
  int n = unisono_comm_size(c);
  size_t too_many = n > 1 ? SIZE_MAX / 4 : SIZE_MAX; /* times the ranks, and the size of a float */
  BAD_HERE("send", unisono_all_reduce(NULL, b, 4, F32, SUM, c));
  BAD_HERE("recv", unisono_all_reduce(a, NULL, 4, F32, SUM, c));
  BAD_HERE("count", unisono_all_reduce(a, b, SIZE_MAX / 2, F32, SUM, c));
  BAD_HERE("dtype", unisono_all_reduce(a, b, 4, BAD_DTYPE, SUM, c));
  BAD_HERE("dtype", unisono_all_reduce(a, b, 4, (unisono_dtype)-1, SUM, c));
  BAD_HERE("op", unisono_all_reduce(a, b, 4, F32, BAD_OP, c));
  BAD_HERE("op", unisono_all_reduce(a, b, 4, F32, UNISONO_BXOR, c));
  BAD_HERE("op", unisono_all_reduce(a, b, 4, UNISONO_INT32, UNISONO_AVG, c));
  BAD_HERE("recv", unisono_all_reduce(a, a + 1, 4, F32, SUM, c)); /* overlap */
  BAD("comm", unisono_all_reduce(a, b, 4, F32, SUM, NULL));
  BAD_HERE("send", unisono_reduce(NULL, b, 4, F32, SUM, 0, c));
  BAD_HERE("count", unisono_reduce(a, b, SIZE_MAX, F32, SUM, 0, c));
  BAD_HERE("dtype", unisono_reduce(a, b, 4, BAD_DTYPE, SUM, 0, c));
  BAD_HERE("op", unisono_reduce(a, b, 4, F32, BAD_OP, 0, c));
  BAD_HERE("root", unisono_reduce(a, b, 4, F32, SUM, n, c));
  BAD_HERE("root", unisono_reduce(a, b, 4, F32, SUM, -1, c));
  BAD("comm", unisono_reduce(a, b, 4, F32, SUM, 0, NULL));
  BAD_HERE("send", unisono_reduce_scatter(NULL, b, 4, F32, SUM, c));
  BAD_HERE("recv", unisono_reduce_scatter(a, NULL, 4, F32, SUM, c));
  BAD_HERE("count", unisono_reduce_scatter(a, b, too_many, F32, SUM, c));
  BAD_HERE("dtype", unisono_reduce_scatter(a, b, 4, BAD_DTYPE, SUM, c));
  BAD_HERE("op", unisono_reduce_scatter(a, b, 4, F32, BAD_OP, c));
  BAD("comm", unisono_reduce_scatter(a, b, 4, F32, SUM, NULL));
  BAD_HERE("match_id", unisono_all_reduce_cached(a, b, 4, F32, SUM, NULL, c));
  BAD_HERE("send", unisono_all_reduce_cached(NULL, b, 4, F32, SUM, "id", c));
  BAD_HERE("recv", unisono_all_reduce_cached(a, NULL, 4, F32, SUM, "id", c));
  BAD_HERE("dtype", unisono_all_reduce_cached(a, b, 4, BAD_DTYPE, SUM, "id", c));
  BAD_HERE("op", unisono_all_reduce_cached(a, b, 4, F32, BAD_OP, "id", c));
  BAD("comm", unisono_all_reduce_cached(a, b, 4, F32, SUM, "id", NULL));
}

/* Wrong only where the rank's role uses the argument. */
static void pointers_of_the_root(unisono_comm *c) {
  int me = unisono_comm_rank(c);
  BAD_HERE("recv", unisono_reduce(a, NULL, 4, F32, SUM, me, c));
  BAD_HERE("recv", unisono_gather(a, NULL, 4, F32, me, c));
  BAD_HERE("send", unisono_scatter(NULL, b, 4, F32, me, c));
}

static void exchanges(unisono_comm *c) {
  int n = unisono_comm_size(c);
  size_t too_many = n > 1 ? SIZE_MAX / 4 : SIZE_MAX; /* times the ranks, and the size of a float */
  BAD("comm", unisono_barrier(NULL));
  BAD_HERE("buffer", unisono_broadcast(NULL, 4, F32, 0, c));
  BAD_HERE("count", unisono_broadcast(a, SIZE_MAX, F32, 0, c));
  BAD_HERE("dtype", unisono_broadcast(a, 4, BAD_DTYPE, 0, c));
  BAD_HERE("root", unisono_broadcast(a, 4, F32, n, c));
  BAD_HERE("root", unisono_broadcast(a, 4, F32, -1, c));
  BAD("comm", unisono_broadcast(a, 4, F32, 0, NULL));
  BAD_HERE("send", unisono_all_gather(NULL, b, 4, F32, c));
  BAD_HERE("recv", unisono_all_gather(a, NULL, 4, F32, c));
  BAD_HERE("count", unisono_all_gather(a, b, too_many, F32, c));
  BAD_HERE("dtype", unisono_all_gather(a, b, 4, BAD_DTYPE, c));
  BAD("comm", unisono_all_gather(a, b, 4, F32, NULL));
  BAD_HERE("send", unisono_gather(NULL, b, 4, F32, 0, c));
  BAD_HERE("count", unisono_gather(a, b, too_many, F32, 0, c));
  BAD_HERE("dtype", unisono_gather(a, b, 4, BAD_DTYPE, 0, c));
  BAD_HERE("root", unisono_gather(a, b, 4, F32, n, c));
  BAD("comm", unisono_gather(a, b, 4, F32, 0, NULL));
  BAD_HERE("recv", unisono_scatter(a, NULL, 4, F32, 0, c));
  BAD_HERE("count", unisono_scatter(a, b, too_many, F32, 0, c));
  BAD_HERE("dtype", unisono_scatter(a, b, 4, BAD_DTYPE, 0, c));
  BAD_HERE("root", unisono_scatter(a, b, 4, F32, -1, c));
  BAD("comm", unisono_scatter(a, b, 4, F32, 0, NULL));
  BAD_HERE("send", unisono_all_to_all(NULL, b, 4, F32, c));
  BAD_HERE("recv", unisono_all_to_all(a, NULL, 4, F32, c));
  BAD_HERE("count", unisono_all_to_all(a, b, too_many, F32, c));
  BAD_HERE("dtype", unisono_all_to_all(a, b, 4, BAD_DTYPE, c));
  BAD("comm", unisono_all_to_all(a, b, 4, F32, NULL));
}

static void v_exchanges(unisono_comm *c) {
  BAD_HERE("send", unisono_all_to_allv(NULL, counts, displs, b, counts, displs, F32, c));
  BAD_HERE("send_counts", unisono_all_to_allv(a, NULL, displs, b, counts, displs, F32, c));
  BAD_HERE("send_displs", unisono_all_to_allv(a, counts, NULL, b, counts, displs, F32, c));
  BAD_HERE("recv", unisono_all_to_allv(a, counts, displs, NULL, counts, displs, F32, c));
  BAD_HERE("recv_counts", unisono_all_to_allv(a, counts, displs, b, NULL, displs, F32, c));
  BAD_HERE("recv_displs", unisono_all_to_allv(a, counts, displs, b, counts, NULL, F32, c));
  BAD_HERE("dtype", unisono_all_to_allv(a, counts, displs, b, counts, displs, BAD_DTYPE, c));
  BAD_HERE("send_counts", unisono_all_to_allv(a, huge_counts, displs, b, counts, displs, F32, c));
  BAD_HERE("recv_displs", unisono_all_to_allv(a, counts, displs, b, counts, huge_counts, F32, c));
  BAD("comm", unisono_all_to_allv(a, counts, displs, b, counts, displs, F32, NULL));
  BAD_HERE("send", unisono_all_gatherv(NULL, 1, b, counts, displs, F32, c));
  BAD_HERE("recv", unisono_all_gatherv(a, 1, NULL, counts, displs, F32, c));
  BAD_HERE("recv_counts", unisono_all_gatherv(a, 1, b, NULL, displs, F32, c));
  BAD_HERE("recv_displs", unisono_all_gatherv(a, 1, b, counts, NULL, F32, c));
  BAD_HERE("dtype", unisono_all_gatherv(a, 1, b, counts, displs, BAD_DTYPE, c));
  BAD_HERE("recv_displs", unisono_all_gatherv(a, 1, b, counts, huge_counts, F32, c));
  BAD("comm", unisono_all_gatherv(a, 1, b, counts, displs, F32, NULL));
}

static void messages(unisono_comm *c) {
  int n = unisono_comm_size(c);
  BAD_HERE("buffer", unisono_send(NULL, 4, F32, 0, 0, c));
  BAD_HERE("count", unisono_send(a, SIZE_MAX, F32, 0, 0, c));
  BAD_HERE("dtype", unisono_send(a, 4, BAD_DTYPE, 0, 0, c));
  BAD_HERE("peer", unisono_send(a, 4, F32, n, 0, c));
  BAD_HERE("peer", unisono_send(a, 4, F32, -1, 0, c));
  BAD_HERE("tag", unisono_send(a, 4, F32, 0, -1, c));
  BAD("comm", unisono_send(a, 4, F32, 0, 0, NULL));
  BAD_HERE("buffer", unisono_recv(NULL, 4, F32, 0, 0, c));
  BAD_HERE("count", unisono_recv(a, SIZE_MAX, F32, 0, 0, c));
  BAD_HERE("dtype", unisono_recv(a, 4, BAD_DTYPE, 0, 0, c));
  BAD_HERE("peer", unisono_recv(a, 4, F32, n, 0, c));
  BAD_HERE("peer", unisono_recv(a, 4, F32, -2, 0, c));
  BAD_HERE("tag", unisono_recv(a, 4, F32, 0, -2, c));
  BAD("comm", unisono_recv(a, 4, F32, 0, 0, NULL));
  BAD_HERE("peer", unisono_recv_message(a, 4, F32, n, 0, c, NULL));
}

static void started_forms(unisono_comm *c) {
  unisono_request *r = (unisono_request *)a;
  BAD("request", unisono_barrier_async(c, NULL));
  BAD("request", unisono_all_reduce_async(a, b, 4, F32, SUM, c, NULL));
  BAD("request", unisono_reduce_async(a, b, 4, F32, SUM, 0, c, NULL));
  BAD("request", unisono_reduce_scatter_async(a, b, 4, F32, SUM, c, NULL));
  BAD("request", unisono_broadcast_async(a, 4, F32, 0, c, NULL));
  BAD("request", unisono_all_gather_async(a, b, 4, F32, c, NULL));
  BAD("request", unisono_gather_async(a, b, 4, F32, 0, c, NULL));
  BAD("request", unisono_scatter_async(a, b, 4, F32, 0, c, NULL));
  BAD("request", unisono_all_to_all_async(a, b, 4, F32, c, NULL));
  BAD("request", unisono_all_to_allv_async(a, counts, displs, b, counts, displs, F32, c, NULL));
  BAD("request", unisono_all_gatherv_async(a, 1, b, counts, displs, F32, c, NULL));
  BAD("request", unisono_all_reduce_cached_async(a, b, 4, F32, SUM, "id", c, NULL));
  BAD("request", unisono_send_async(a, 4, F32, 0, 0, c, NULL));
  BAD("request", unisono_recv_async(a, 4, F32, 0, 0, c, NULL));
  BAD("request", unisono_recv_message_async(a, 4, F32, 0, 0, c, NULL, NULL));
  BAD_HERE("op", unisono_all_reduce_async(a, b, 4, F32, BAD_OP, c, &r));
  CHECK(!r); /* NULL when the start failed */
  BAD_HERE("peer", unisono_recv_async(a, 4, F32, 99, 0, c, &r));
  BAD("comm", unisono_barrier_async(NULL, &r));
}

static void requests(unisono_comm *c) {
  int done;
  unisono_request *none = NULL;
  unisono_message message;
  (void)c;
  CHECK_OK(unisono_wait(&none));
  BAD("request", unisono_wait(NULL));
  BAD("request", unisono_test(NULL, &done));
  BAD("request", unisono_request_message(NULL, &message));
}

static void communicators(unisono_comm *c) {
  unisono_comm *part;
  int n = unisono_comm_size(c), me = unisono_comm_rank(c);
  BAD_HERE("part", unisono_comm_split(c, 0, 0, NULL));
  BAD("comm", unisono_comm_split(NULL, 0, 0, &part));
  BAD("comm", unisono_comm_create(NULL, &me, 1, &part));
  BAD_HERE("ranks", unisono_comm_create(c, NULL, 1, &part));
  BAD_HERE("n", unisono_comm_create(c, &me, 0, &part));
  BAD_HERE("part", unisono_comm_create(c, &me, 1, NULL));
  BAD_HERE("ranks", unisono_comm_create(c, (int[]){me, n}, 2, &part));
  BAD_HERE("ranks", unisono_comm_create(c, (int[]){me, -1}, 2, &part));
  BAD_HERE("ranks", unisono_comm_create(c, (int[]){me, me}, 2, &part));
  if (n > 1)
    BAD_HERE("ranks", unisono_comm_create(c, (int[]){(me + 1) % n}, 1, &part));
  BAD("comm", unisono_comm_shrink(NULL, &part));
  BAD_HERE("survivors", unisono_comm_shrink(c, NULL));
  BAD("comm", unisono_comm_abort(NULL));
  BAD("comm", unisono_comm_set_timeout(NULL, 5));
  BAD_HERE("timeout", unisono_comm_set_timeout(c, -2));
  CHECK(unisono_comm_rank(NULL) == -1 && unisono_comm_size(NULL) == -1);
  CHECK_OK(unisono_comm_destroy(NULL));
}

static void meetings(unisono_comm *c) {
  unisono_comm *comm = c;
  unisono_unique_id id, garbage;
  unisono_config config = UNISONO_CONFIG_INIT;
  memset(&garbage, 0x5a, sizeof garbage);
  BAD("id", unisono_get_unique_id(NULL));
  CHECK_OK(unisono_get_unique_id(&id));
  BAD("comm", unisono_comm_init(NULL, 1, 0, &id, NULL));
  BAD("size", unisono_comm_init(&comm, 0, 0, &id, NULL));
  CHECK(!comm); /* NULL after a failure */
  BAD("rank", unisono_comm_init(&comm, 2, 2, &id, NULL));
  BAD("rank", unisono_comm_init(&comm, 2, -1, &id, NULL));
  BAD("id", unisono_comm_init(&comm, 1, 0, NULL, NULL));
  BAD("id", unisono_comm_init(&comm, 1, 0, &garbage, NULL));
  config.struct_size = 0;
  BAD("struct_size", unisono_comm_init(&comm, 1, 0, &id, &config));
  config = (unisono_config)UNISONO_CONFIG_INIT;
  config.timeout_ms = -2;
  BAD("timeout", unisono_comm_init(&comm, 1, 0, &id, &config));
  config = (unisono_config)UNISONO_CONFIG_INIT;
  config.threads = -1;
  BAD("threads", unisono_comm_init(&comm, 1, 0, &id, &config));
  BAD("comm", unisono_comm_init_env(NULL, NULL));
  CHECK_OK(unisono_comm_init(&comm, 1, 0, &id, NULL)); /* nothing of it has used the id up */
  CHECK_OK(unisono_comm_destroy(comm));
}

static void memory(unisono_comm *c) {
  void *p, *other = malloc(100000);
  BAD("comm", unisono_mem_alloc(NULL, 64, &p));
  BAD("ptr", unisono_mem_alloc(c, 64, NULL));
  BAD("ptr", unisono_mem_free(c, a));
  CHECK_OK(unisono_mem_free(c, NULL));
  CHECK_OK(unisono_mem_alloc(c, 100, &p));
  BAD("ptr", unisono_mem_free(c, (char *)p + 1));
  CHECK_OK(unisono_mem_free(c, p));
  BAD("ptr", unisono_mem_free(c, p)); /* twice */
  BAD("comm", unisono_mem_register(NULL, other, 100000));
  BAD("ptr", unisono_mem_register(c, NULL, 100));
  CHECK_OK(unisono_mem_register(c, other, 100000));
  BAD("regist",
      unisono_mem_register(c, (char *)other + 50000, 10000)); /* "overlaps what was registered" or the like */
  BAD("ptr", unisono_mem_deregister(c, (char *)other + 1));
  CHECK_OK(unisono_mem_deregister(c, other));
  BAD("ptr", unisono_mem_deregister(c, other)); /* twice */
  free(other);
}

static void words(unisono_comm *c) {
  unisono_info info = {.struct_size = 0};
  (void)c;
  CHECK(unisono_last_error());
  for (int s = -1; s < 12; s++)
    CHECK(unisono_status_string((unisono_status)s) && *unisono_status_string((unisono_status)s));
  CHECK(strlen(unisono_version()) >= 5);
  BAD("info", unisono_get_info(NULL));
  BAD("struct_size", unisono_get_info(&info));
}

static void engines(unisono_comm *c) {
  unisono_engine engine = sockets_engine;
  (void)c;
  BAD("engine", unisono_engine_register(NULL));
  BAD("sockets", unisono_engine_register(&engine)); /* twice */
  engine.name = "mpi";
  BAD("mpi", unisono_engine_register(&engine));
  engine.name = "";
  BAD("name", unisono_engine_register(&engine));
  engine.name = "incomplete";
  engine.test = NULL;
  BAD("function", unisono_engine_register(&engine));
}

static void (*const groups[])(unisono_comm *) = {
    reductions, pointers_of_the_root, exchanges, v_exchanges, messages, started_forms,
    requests,   communicators,        meetings,  memory,      words,    engines};
enum { GROUPS = sizeof groups / sizeof *groups };

static void prepare(void) {
  for (int r = 0; r < TEST_MAX_RANKS; r++) {
    counts[r] = 1;
    displs[r] = (size_t)r;
    huge_counts[r] = SIZE_MAX / 3;
  }
}

static void test_all(void) {
  for (int g = 0; g < GROUPS; g++) {
    test_at("group %d", g);
    groups[g](test_self()->comm);
    check_works(test_self()->comm);
  }
}

/* One rank after the other is wrong while its peers wait for its right call. */
static void test_one_by_one(void) {
  struct test_rank *self = test_self();
  for (int r = 0; r < self->size; r++) {
    for (int g = 0; g < GROUPS && r == self->rank; g++)
      groups[g](self->comm);
    check_works(self->comm);
  }
}

int main(int argc, char **argv) {
  const struct test tests[] = {
      {.name = "all ranks are wrong", .body = test_all, .ranks = {1, 2, 3}},
      {.name = "one rank is wrong", .body = test_one_by_one, .ranks = {2, 3}},
      {0},
  };
  prepare();
  return test_main(argc, argv, tests);
}
