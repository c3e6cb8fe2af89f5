#include "machines/span.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "collectives/match.h"
#include "env.h"
#include "error.h"
#include "hash.h"
#include "kernels/fpenv.h"
#include "log.h"
#include "machines/line.h"
#include "queue.h"
#include "rendezvous/identity.h"

enum {
  TESTS = 64, /* between two looks around */
  TESTS_TO_YIELD = 4,
  YIELD_US = 300,   /* test so long without sleeping */
  NAP_US = 50,      /* then sleep so long between two tests */
  GRACE_MS = 1000,  /* a rank that has left may have done its part before */
  VERDICT_MS = 1000 /* for rank 0 to say which cause was the first */
};

/* ---- the engine, shared by all communicators of a cluster */

static unisono_status exchange(void *cluster, const void *mine, size_t bytes, int64_t deadline,
                               unsigned char **all, size_t *all_bytes) {
  return uni_cluster_exchange(cluster, mine, bytes, deadline, all, all_bytes);
}

/* Rank 0's environment counts for all. */
static unisono_status agree(struct uni_carrier *c, int64_t deadline) {
  enum { WRONG = 2 };
  bool narrow;
  unsigned char *all, mine = uni_env_partials(&narrow) ? WRONG : narrow;
  size_t bytes;
  unisono_status status = uni_cluster_exchange(c->cluster, &mine, sizeof mine, deadline, &all, &bytes);
  if (status)
    return status;
  unsigned char said = bytes > sizeof(uint32_t) ? all[sizeof(uint32_t)] : WRONG; /* behind its length */
  free(all);
  c->narrow = said == 1;
  return said == WRONG
             ? uni_fail(UNISONO_ERROR_INVALID, "rank 0: UNISONO_PARTIALS is neither float32 nor 16bit")
             : UNISONO_OK;
}

static unisono_status open_carrier(struct uni_cluster *cluster, const char *name, int64_t deadline,
                                   struct uni_carrier **out) {
  struct uni_carrier *c = calloc(1, sizeof *c);
  struct uni_engine_start start = {.rank = cluster->roster.rank,
                                   .size = cluster->roster.size,
                                   .iface = cluster->roster.iface,
                                   .algorithm = uni_env_engine_algorithm(),
                                   .deadline = deadline,
                                   .exchange = exchange,
                                   .what = cluster};
  memcpy(&start.session, cluster->roster.session, sizeof start.session);
  unisono_status status = c ? uni_engine_find(name, &c->engine)
                            : uni_fail(UNISONO_ERROR_MEMORY, "no memory for connecting machines");
  start.engine = status ? NULL : c->engine;
  if (!status) {
    c->cluster = cluster;
    status = agree(c, deadline);
  }
  if (!status)
    status = c->engine->open(&start, &c->world);
  if (status) {
    free(c);
    return status;
  }
  c->link = uni_link_default;
  atomic_init(&c->uses, 1);
  *out = c;
  return UNISONO_OK;
}

void uni_carrier_use(struct uni_carrier *c) {
  atomic_fetch_add_explicit(&c->uses, 1, memory_order_relaxed);
}

void uni_carrier_put(struct uni_carrier *c) {
  /* acquire and release: what every user did with it is done before the last one closes it */
  if (!c || atomic_fetch_sub_explicit(&c->uses, 1, memory_order_acq_rel) != 1)
    return;
  c->engine->close(c->world);
  uni_cluster_put(c->cluster);
  free(c);
}

/* ---- failures */

static void on_break(void *what, unisono_status status, const char *text) {
  struct uni_span *span = what;
  uni_comm_break(span->local, status, "%s", text);
}

static unisono_status break_with(struct uni_span *span, unisono_status status, const char *text) {
  span->carrier->engine->broken();
  if (uni_cluster_break(span->carrier->cluster, span->listener.id, status, text))
    for (int64_t end = uni_now() + VERDICT_MS * UNI_MS; !uni_comm_is_broken(span->local) && uni_now() < end;)
      uni_sleep_ms(1);
  return uni_comm_is_broken(span->local) ? uni_comm_failure(span->local)
                                         : uni_comm_break(span->local, status, "%s", text);
}

unisono_status uni_span_break(struct uni_span *span, unisono_status status, const char *format, ...) {
  char text[UNI_BREAK_TEXT];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return break_with(span, status, text);
}

static int lost_member(struct uni_span *span) {
  uni_world_look(span->local->world, false);
  for (int r = 0; r < span->comm->size; r++)
    if (uni_span_is_gone(span, r) ||
        (span->machine_of[r] == span->machine && uni_comm_lost(span->local, span->local_of[r])))
      return r;
  return -1;
}

static unisono_status lose(struct uni_span *span, int lost, const char *what) {
  return uni_span_break(span, UNISONO_ERROR_PEER_LOST,
                        "rank %d died, left or was cut off: rank %d needed it for %s", lost, span->comm->rank,
                        what);
}

/* An engine moves what this rank has sent only while it is called: as by a look for a message. One that is
 * found is of no use any more. */
static void let_engine_move(struct uni_span *span) {
  const struct uni_engine *engine = span->carrier->engine;
  struct uni_engine_message message;
  bool found;
  if (span->whole)
    engine->match(span->whole, engine->most_tag - 2, &found, &message);
}

/* What an engine fails of (a call that differs, a rank that died), others can say in better words, and the
 * news. What they await of this rank has to get to them for that. */
static unisono_status engine_failed(struct uni_span *span, unisono_status status, const char *text) {
  for (int64_t end = uni_now() + VERDICT_MS * UNI_MS; !uni_comm_is_broken(span->local) && uni_now() < end;) {
    if (status == UNISONO_ERROR_MISMATCH) /* a peer's death may have left the engine in a bad state */
      let_engine_move(span);
    uni_sleep_ms(1);
  }
  if (uni_comm_is_broken(span->local))
    return uni_comm_failure(span->local);
  int lost = lost_member(span);
  return lost >= 0 ? lose(span, lost, "what was under way") : break_with(span, status, text);
}

unisono_status uni_span_failed(struct uni_span *span, unisono_status status) {
  char text[UNI_BREAK_TEXT];
  bool known = uni_comm_is_broken(span->local); /* on this machine */
  snprintf(text, sizeof text, "%s", unisono_last_error());
  return status == UNISONO_ERROR_SYSTEM && !known ? engine_failed(span, status, text)
                                                  : break_with(span, status, text);
}

unisono_status uni_span_check(struct uni_span *span, const char *what) {
  if (uni_comm_is_broken(span->local))
    return uni_comm_failure(span->local);
  int64_t now = uni_now();
  int lost = lost_member(span);
  if (lost >= 0 && !span->lost_at)
    span->lost_at = now;
  if (lost >= 0 && now - span->lost_at > GRACE_MS * UNI_MS)
    return lose(span, lost, what);
  if (now >= span->deadline)
    return uni_span_break(
        span, UNISONO_ERROR_TIMEOUT,
        "ranks of another machine did not arrive in time: rank %d waited for them in %s for %d ms",
        span->comm->rank, what, span->comm->timeout_ms);
  return UNISONO_OK;
}

unisono_status uni_span_wait(struct uni_span *span, uni_engine_request *request, const char *what) {
  const struct uni_engine *engine = span->carrier->engine;
  int64_t began = 0;
  uint64_t fpenv = uni_fpenv_enter(); /* the engine folds */
  unisono_status status = UNISONO_OK;
  bool done = false;
  for (unsigned tests = 1; !status && !(status = engine->test(request, &done)) && !done; tests++) {
    if (tests % TESTS_TO_YIELD == 0)
      sched_yield(); /* whom this rank waits for may need its processor */
    if (tests % TESTS)
      continue;
    int64_t now = uni_now();
    began = began ? began : now;
    if (now - began >= YIELD_US * 1000)
      usleep(NAP_US);
    uni_line_move_transfers(span);
    status = uni_span_check(span, what);
  }
  uni_fpenv_leave(fpenv);
  if (!status)
    return UNISONO_OK;
  char text[UNI_BREAK_TEXT];
  span->abandoned = true;
  snprintf(text, sizeof text, "%s", unisono_last_error());
  return engine_failed(span, status, text);
}

char *uni_span_bounce(struct uni_span *span, size_t bytes) {
  if (bytes <= span->bounce_bytes)
    return span->bounce;
  char *grown = aligned_alloc(64, (bytes + 4095) / 4096 * 4096);
  if (!grown) {
    uni_fail(UNISONO_ERROR_MEMORY, "no memory for %zu bytes on their way between machines", bytes);
    return NULL;
  }
  free(span->bounce);
  span->bounce = grown;
  span->bounce_bytes = bytes;
  return grown;
}

/* ---- birth */

static bool allocate(struct uni_span *span, int n) {
  size_t size = (size_t)n;
  span->cluster_ranks = calloc(size, sizeof(int));
  span->machine_of = calloc(size, sizeof(int));
  span->local_of = calloc(size, sizeof(int));
  span->first = calloc(size + 1, sizeof(int));
  span->order = calloc(size, sizeof(int));
  span->block_bytes = calloc(2 * size, sizeof(int));
  span->block_displs = span->block_bytes ? span->block_bytes + n : NULL;
  return span->cluster_ranks && span->machine_of && span->local_of && span->first && span->order &&
         span->block_bytes;
}

/* Machines are numbered in the order of their lowest ranks, and so are the ranks of each. */
static bool fill_tables(struct uni_span *span, int n) {
  const struct uni_roster *roster = &span->carrier->cluster->roster;
  int *number = calloc((size_t)roster->machines, sizeof *number); /* of the cluster's machine, plus one */
  if (!number)
    return false;
  for (int r = 0; r < n; r++) {
    int *here = &number[roster->machine[span->cluster_ranks[r]]];
    if (*here == 0)
      *here = ++span->machines;
    span->machine_of[r] = *here - 1;
    span->local_of[r] = span->first[*here]++; /* a count, up to here */
  }
  free(number);
  span->columns = n;
  for (int m = 0; m < span->machines; m++) {
    span->columns = span->first[m + 1] < span->columns ? span->first[m + 1] : span->columns;
    span->first[m + 1] += span->first[m];
  }
  for (int r = 0; r < n; r++)
    span->order[span->first[span->machine_of[r]] + span->local_of[r]] = r;
  return true;
}

/* A rank that has left may have done its part before, and what it sent may be on its way. */
static bool is_vain(void *what) {
  struct uni_span *span = what;
  bool lost = false;
  for (int r = 0; r < span->comm->size; r++)
    lost |= uni_span_is_gone(span, r);
  if (lost && !span->lost_at)
    span->lost_at = uni_now();
  return lost && uni_now() - span->lost_at > GRACE_MS * UNI_MS;
}

static unisono_status make_group(struct uni_span *span, const int *ranks, int n, int tag, void **group) {
  struct uni_patience patience = {span->deadline, is_vain, span};
  int *list = malloc((size_t)n * sizeof *list);
  if (!list)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a list of %d ranks", n);
  for (int i = 0; i < n; i++)
    list[i] = span->cluster_ranks[ranks[i]];
  unisono_status status = span->carrier->engine->group(span->carrier->world, list, n, tag, &patience, group);
  free(list);
  return status;
}

static unisono_status make_groups(struct uni_span *span) {
  int n = span->comm->size, mine = span->local_of[span->comm->rank],
      tag = (int)(span->listener.id % 0x3fff) * 2;
  int *ranks = malloc((size_t)n * sizeof *ranks);
  if (!ranks)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a list of %d ranks", n);
  for (int r = 0; r < n; r++)
    ranks[r] = r;
  unisono_status status = make_group(span, ranks, n, tag, &span->whole);
  for (int m = 0; m < span->machines && mine < span->columns; m++)
    ranks[m] = uni_span_rank(span, m, mine);
  if (!status && mine < span->columns)
    status = make_group(span, ranks, span->machines, tag + 1, &span->column);
  free(ranks);
  return status;
}

/* Keeps the words to what made it necessary. */
static void destroy_local(unisono_comm *local) {
  char text[512];
  snprintf(text, sizeof text, "%s", unisono_last_error());
  unisono_comm_destroy(local);
  uni_fail(UNISONO_OK, "%s", text);
}

static void free_span(struct uni_span *span) {
  if (span->line)
    uni_line_close(span);
  destroy_local(span->local);
  if (!span->abandoned) {
    free(span->bounce);
    free(span->block_bytes);
  }
  free(span->cluster_ranks);
  free(span->machine_of);
  free(span->local_of);
  free(span->first);
  free(span->order);
  uni_carrier_put(span->carrier);
  free(span);
}

static void discard(unisono_comm *comm) {
  free_span(comm->span);
  if (comm->queue)
    uni_queue_close(comm);
  uni_match_clear(comm);
  while (comm->births) {
    struct uni_births *first = comm->births;
    comm->births = first->next;
    free(first);
  }
  pthread_mutex_destroy(&comm->text_lock);
  free(comm);
}

/* A shell around the local communicator, which it takes over. */
static unisono_status make_shell(struct uni_carrier *carrier, unisono_comm *local, const int *cluster_ranks,
                                 int n, unisono_comm **out) {
  unisono_comm *comm = calloc(1, sizeof *comm);
  struct uni_span *span = calloc(1, sizeof *span);
  if (!comm || !span || !allocate(span, n)) {
    free(comm);
    if (span)
      free_span(span);
    destroy_local(local);
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a communicator of %d ranks", n);
  }
  uni_carrier_use(carrier);
  *comm = (unisono_comm){.span = span,
                         .world = local->world,
                         .size = n,
                         .fork_generation = local->fork_generation,
                         .timeout_ms = local->timeout_ms,
                         .parallel_for = local->parallel_for,
                         .pool = local->pool,
                         .header = local->header,
                         .places = local->places,
                         .kernels = local->kernels};
  pthread_mutex_init(&comm->text_lock, NULL);
  span->carrier = carrier;
  span->link = carrier->link;
  span->comm = comm;
  span->local = local;
  memcpy(span->cluster_ranks, cluster_ranks, (size_t)n * sizeof *cluster_ranks);
  if (uni_queue_open(comm) || !fill_tables(span, n)) {
    discard(comm);
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a communicator of %d ranks", n);
  }
  /* never empty: its operations go to the line, by the way of those that have to wait for others */
  atomic_init(&comm->queue->collectives, 1);
  for (int r = 0; r < n; r++)
    if (cluster_ranks[r] == carrier->cluster->roster.rank)
      comm->rank = r;
  span->machine = span->machine_of[comm->rank];
  local->names = span->order + span->first[span->machine];
  *out = comm;
  return UNISONO_OK;
}

static unisono_status begin(struct uni_carrier *carrier, unisono_comm *local, const int *cluster_ranks, int n,
                            uint64_t id, unisono_comm **out) {
  unisono_comm *comm = NULL;
  unisono_status status = make_shell(carrier, local, cluster_ranks, n, &comm);
  if (status)
    return status;
  struct uni_span *span = comm->span;
  comm->id = id;
  span->listener = (struct uni_listener){.id = id, .on_break = on_break, .what = span};
  span->deadline = uni_deadline(comm->timeout_ms);
  status = make_groups(span);
  if (!status)
    status = uni_line_open(span);
  if (status) {
    discard(comm);
    return status;
  }
  uni_cluster_listen(carrier->cluster, &span->listener);
  *out = comm;
  return UNISONO_OK;
}

unisono_status uni_span_open(struct uni_world *world, struct uni_roster *roster, const char *engine,
                             const struct uni_birth *birth, unisono_comm **comm) {
  struct uni_cluster *cluster;
  struct uni_carrier *carrier;
  unisono_comm *local;
  uint64_t id;
  memcpy(&id, roster->session, sizeof id);
  unisono_status status = uni_cluster_open(roster, &cluster);
  if (status)
    return status;
  int n = cluster->roster.size, *ranks = malloc((size_t)n * sizeof *ranks);
  status = ranks ? uni_comm_new(world, birth, &local)
                 : uni_fail(UNISONO_ERROR_MEMORY, "no memory for a list of %d ranks", n);
  if (!status && (status = open_carrier(cluster, engine, uni_deadline(birth->timeout_ms), &carrier)))
    destroy_local(local);
  if (status) {
    free(ranks);
    /* After these a thread may be left behind in the engine that still exchanges by the cluster. */
    if (status != UNISONO_ERROR_TIMEOUT && status != UNISONO_ERROR_PEER_LOST)
      uni_cluster_put(cluster);
    return status;
  }
  for (int r = 0; r < n; r++)
    ranks[r] = r;
  status = begin(carrier, local, ranks, n, id, comm);
  if (!status && (status = uni_span_measure((*comm)->span))) {
    uni_span_destroy(*comm);
    *comm = NULL;
  }
  uni_carrier_put(carrier); /* the communicator has its own use of it */
  free(ranks);
  return status;
}

unisono_status uni_span_part(unisono_comm *comm, const int *ranks, int n, uint32_t times,
                             unisono_comm **part) {
  struct uni_span *span = comm->span;
  unisono_comm *local;
  int *here = malloc((size_t)n * sizeof *here), *members = malloc((size_t)n * sizeof *members), count = 0;
  unisono_status status =
      here && members ? UNISONO_OK : uni_fail(UNISONO_ERROR_MEMORY, "no memory for a list of %d ranks", n);
  for (int i = 0; i < n && !status; i++) {
    members[i] = span->cluster_ranks[ranks[i]];
    if (span->machine_of[ranks[i]] == span->machine)
      here[count++] = span->local_of[ranks[i]];
  }
  span->local->timeout_ms = comm->timeout_ms;
  if (!status)
    status = unisono_comm_create(span->local, here, count, &local);
  uint64_t key[2] = {comm->id, times};
  if (!status)
    local->timeout_ms = comm->timeout_ms;
  if (!status && count == n)
    *part = local;
  else if (!status)
    status = begin(span->carrier, local, members, n,
                   uni_hash(members, (size_t)n * sizeof *members, uni_hash(key, sizeof key, 1)), part);
  free(here);
  free(members);
  return status;
}

unisono_status uni_span_destroy(unisono_comm *comm) {
  uni_cluster_forget(comm->span->carrier->cluster, &comm->span->listener);
  discard(comm);
  return UNISONO_OK;
}
