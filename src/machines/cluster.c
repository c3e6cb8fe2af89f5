#include "machines/cluster.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "error.h"
#include "log.h"
#include "rendezvous/frames.h"

enum { FRAME_GONE = UNI_CLUSTER_FRAMES, FRAME_BREAK, FRAME_MINE, FRAME_ALL, FRAME_COMER };
enum { SEND_MS = 2000, GRACE_MS = 1000, SLICE_MS = 100 };

struct uni_break {
  uint64_t id;
  uint32_t status;
  char text[UNI_BREAK_TEXT];
  struct uni_break *next; /* not sent */
};
#define BREAK_BYTES offsetof(struct uni_break, next)
#define COMER_BYTES offsetof(struct uni_comer, next)

struct uni_round { /* who has given what */
  int given;
  unsigned char **bytes; /* by rank */
  uint32_t *lengths;
};

/* ---- all clusters of the process: a forked child must not keep connections open */

static pthread_mutex_t clusters_lock = PTHREAD_MUTEX_INITIALIZER;
static struct uni_cluster *clusters;
static pthread_once_t fork_handlers = PTHREAD_ONCE_INIT;

static void lock_clusters(void) {
  pthread_mutex_lock(&clusters_lock);
}
static void unlock_clusters(void) {
  pthread_mutex_unlock(&clusters_lock);
}

static void begin_childhood(void) {
  for (struct uni_cluster *c = clusters; c; c = c->next)
    for (int r = 0; r < c->roster.size; r++)
      if (c->roster.wires[r])
        close(uni_wire_socket(c->roster.wires[r]));
  clusters = NULL;
  unlock_clusters();
}

static void install_fork_handlers(void) {
  pthread_atfork(lock_clusters, unlock_clusters, begin_childhood);
}

/* ---- news */

static void send_to(struct uni_cluster *c, int rank, uint32_t kind, const void *body, size_t bytes) {
  struct uni_wire *wire = c->roster.wires[rank];
  if (wire && !uni_cluster_is_gone(c, rank) && !uni_wire_send(wire, kind, body, bytes, uni_deadline(SEND_MS)))
    uni_log(UNI_LOG_INFO, "rank %d cannot be told what happened: its connection is gone", rank);
}

static void send_to_all(struct uni_cluster *c, uint32_t kind, const void *body, size_t bytes) {
  for (int r = 1; r < c->roster.size; r++)
    send_to(c, r, kind, body, bytes);
}

static void set_gone(struct uni_cluster *c, int rank) {
  uni_log(UNI_LOG_INFO, "rank %d is gone", rank);
  atomic_store_explicit(&c->gone[rank], true, memory_order_release); /* behind what was heard before */
  pthread_mutex_lock(&c->lock);
  pthread_cond_broadcast(&c->changed);
  pthread_mutex_unlock(&c->lock);
}

/* The first news of this communicator's end; false: it is known. With the lock held. */
static bool note_break(struct uni_cluster *c, const struct uni_break *news) {
  for (struct uni_break *b = c->breaks; b; b = b->next)
    if (b->id == news->id)
      return false;
  struct uni_break *b = malloc(sizeof *b);
  if (b) {
    *b = *news;
    b->text[UNI_BREAK_TEXT - 1] = 0;
    b->next = c->breaks;
    c->breaks = b;
  }
  return true;
}

static void hear_break(struct uni_cluster *c, const struct uni_break *news) {
  pthread_mutex_lock(&c->lock);
  bool first = note_break(c, news);
  for (struct uni_listener *l = c->listeners; l && first; l = l->next)
    if (l->id == news->id)
      l->on_break(l->what, (unisono_status)news->status, news->text);
  pthread_mutex_unlock(&c->lock);
  if (first && c->roster.rank == 0)
    send_to_all(c, FRAME_BREAK, news, BREAK_BYTES);
}

bool uni_cluster_break(struct uni_cluster *c, uint64_t id, unisono_status status, const char *text) {
  struct uni_break news = {.id = id, .status = (uint32_t)status};
  snprintf(news.text, sizeof news.text, "%s", text);
  if (c->roster.rank == 0) {
    hear_break(c, &news);
    return true;
  }
  return !uni_cluster_is_gone(c, 0) &&
         uni_wire_send(c->roster.wires[0], FRAME_BREAK, &news, BREAK_BYTES, uni_deadline(SEND_MS));
}

void uni_cluster_listen(struct uni_cluster *c, struct uni_listener *listener) {
  pthread_mutex_lock(&c->lock);
  listener->next = c->listeners;
  c->listeners = listener;
  for (struct uni_break *b = c->breaks; b; b = b->next)
    if (b->id == listener->id)
      listener->on_break(listener->what, (unisono_status)b->status, b->text);
  pthread_mutex_unlock(&c->lock);
}

void uni_cluster_forget(struct uni_cluster *c, struct uni_listener *listener) {
  pthread_mutex_lock(&c->lock);
  for (struct uni_listener **l = &c->listeners; *l; l = &(*l)->next)
    if (*l == listener) {
      *l = listener->next;
      break;
    }
  pthread_mutex_unlock(&c->lock);
}

/* ---- who comes to shrink */

static void note_comer(struct uni_cluster *c, const struct uni_comer *news) {
  const int *machine = c->roster.machine;
  struct uni_comer *comer = malloc(sizeof *comer);
  if (!comer || news->rank >= (uint32_t)c->roster.size || machine[news->rank] == machine[c->roster.rank]) {
    free(comer);
    return;
  }
  pthread_mutex_lock(&c->lock);
  *comer = *news;
  comer->next = c->comers;
  c->comers = comer;
  pthread_mutex_unlock(&c->lock);
}

void uni_cluster_come(struct uni_cluster *c, uint64_t id, uint32_t attempt) {
  struct uni_comer me = {.id = id, .rank = (uint32_t)c->roster.rank, .attempt = attempt};
  if (c->roster.rank == 0)
    send_to_all(c, FRAME_COMER, &me, COMER_BYTES);
  else
    send_to(c, 0, FRAME_COMER, &me, COMER_BYTES);
}

bool uni_cluster_has_comers(struct uni_cluster *c, uint64_t id, uint32_t attempt) {
  bool found = false;
  pthread_mutex_lock(&c->lock);
  for (const struct uni_comer *other = c->comers; other && !found; other = other->next)
    found = other->id == id && other->attempt >= attempt;
  pthread_mutex_unlock(&c->lock);
  return found;
}

/* ---- exchange */

static void end_round(struct uni_cluster *c, const unsigned char *all, size_t bytes) {
  unsigned char *copy = malloc(bytes ? bytes : 1);
  if (copy)
    memcpy(copy, all, bytes);
  pthread_mutex_lock(&c->lock);
  free(c->exchanged);
  c->exchanged = copy;
  c->exchanged_bytes = bytes;
  pthread_cond_broadcast(&c->changed);
  pthread_mutex_unlock(&c->lock);
}

static unsigned char *join_round(struct uni_round *round, int size, size_t *bytes) {
  *bytes = 0;
  for (int r = 0; r < size; r++)
    *bytes += sizeof(uint32_t) + round->lengths[r];
  unsigned char *all = malloc(*bytes), *at = all;
  for (int r = 0; r < size; r++) {
    if (all) {
      memcpy(at, &round->lengths[r], sizeof(uint32_t));
      memcpy(at + sizeof(uint32_t), round->bytes[r], round->lengths[r]);
      at += sizeof(uint32_t) + round->lengths[r];
    }
    free(round->bytes[r]);
    round->bytes[r] = NULL;
  }
  round->given = 0;
  return all;
}

/* At rank 0. */
static void give(struct uni_cluster *c, int rank, const void *bytes, size_t n) {
  pthread_mutex_lock(&c->lock);
  struct uni_round *round = c->round;
  if (!round->bytes[rank] && (round->bytes[rank] = malloc(n ? n : 1))) {
    memcpy(round->bytes[rank], bytes, n);
    round->lengths[rank] = (uint32_t)n;
    round->given++;
  }
  size_t all_bytes = 0;
  unsigned char *all = round->given == c->roster.size ? join_round(round, c->roster.size, &all_bytes) : NULL;
  pthread_mutex_unlock(&c->lock);
  if (!all)
    return;
  send_to_all(c, FRAME_ALL, all, all_bytes);
  end_round(c, all, all_bytes);
  free(all);
}

static int first_gone(const struct uni_cluster *c) {
  for (int r = 0; r < c->roster.size; r++)
    if (uni_cluster_is_gone(c, r))
      return r;
  return -1;
}

/* Who has left may have done its part before, and what it made complete be on its way. */
static unisono_status await_round(struct uni_cluster *c, int64_t deadline, unsigned char **all,
                                  size_t *bytes) {
  unisono_status status = UNISONO_OK;
  int64_t lost_at = 0;
  pthread_mutex_lock(&c->lock);
  while (!c->exchanged && !status) {
    int gone = first_gone(c), ms = uni_ms_until(deadline, SLICE_MS);
    if (gone >= 0 && !lost_at)
      lost_at = uni_now();
    if (gone >= 0 && uni_now() - lost_at > GRACE_MS * UNI_MS)
      status = uni_fail(UNISONO_ERROR_PEER_LOST,
                        "rank %d died or was cut off while the machines were connected", gone);
    else if (uni_now() >= deadline)
      status = uni_fail(UNISONO_ERROR_TIMEOUT, "the ranks of other machines did not get ready in time");
    else
      uni_cond_wait(&c->changed, &c->lock, ms);
  }
  *all = c->exchanged;
  *bytes = c->exchanged_bytes;
  c->exchanged = NULL;
  pthread_mutex_unlock(&c->lock);
  return status;
}

unisono_status uni_cluster_exchange(struct uni_cluster *c, const void *mine, size_t bytes, int64_t deadline,
                                    unsigned char **all, size_t *all_bytes) {
  if (c->roster.rank == 0)
    give(c, 0, mine, bytes);
  else if (!uni_wire_send(c->roster.wires[0], FRAME_MINE, mine, bytes, deadline))
    return uni_fail(UNISONO_ERROR_PEER_LOST, "rank 0 died or was cut off while the machines were connected");
  return await_round(c, deadline, all, all_bytes);
}

/* ---- the keeper */

static void handle(struct uni_cluster *c, int from, const struct uni_frame *frame) {
  struct uni_break news = {0};
  struct uni_comer comer = {0};
  uint32_t rank;
  if (frame->kind == FRAME_BREAK && frame->bytes == BREAK_BYTES) {
    memcpy(&news, frame->body, BREAK_BYTES);
    hear_break(c, &news);
  } else if (frame->kind == FRAME_GONE && from == 0 && frame->bytes == sizeof rank) {
    memcpy(&rank, frame->body, sizeof rank);
    if (rank < (uint32_t)c->roster.size)
      set_gone(c, (int)rank);
  } else if (frame->kind == FRAME_COMER && frame->bytes == COMER_BYTES) {
    memcpy(&comer, frame->body, COMER_BYTES);
    note_comer(c, &comer);
    if (c->roster.rank == 0)
      send_to_all(c, FRAME_COMER, &comer, COMER_BYTES);
  } else if (frame->kind == FRAME_MINE && c->roster.rank == 0) {
    give(c, from, frame->body, frame->bytes);
  } else if (frame->kind == FRAME_ALL && from == 0) {
    end_round(c, frame->body, frame->bytes);
  }
}

/* False: the connection is at its end. */
static bool read_all(struct uni_cluster *c, int from) {
  for (;;) {
    struct uni_frame frame;
    enum uni_wire_event e = uni_wire_next(c->roster.wires[from], &frame);
    if (e == UNI_WIRE_NOTHING)
      return true;
    if (e != UNI_WIRE_FRAME)
      return false;
    handle(c, from, &frame);
  }
}

static void lose(struct uni_cluster *c, int rank) {
  uint32_t gone = (uint32_t)rank;
  set_gone(c, rank);
  if (c->roster.rank == 0)
    send_to_all(c, FRAME_GONE, &gone, sizeof gone);
}

static void *keep(void *argument) {
  struct uni_cluster *c = argument;
  int n = c->roster.size;
  struct pollfd *polled = calloc((size_t)n + 1, sizeof *polled);
  uni_log_set_rank(c->roster.rank);
  for (int r = 0; polled && r < n; r++)
    polled[r] = (struct pollfd){.fd = c->roster.wires[r] ? uni_wire_socket(c->roster.wires[r]) : -1,
                                .events = POLLIN};
  if (polled)
    polled[n] = (struct pollfd){.fd = c->wake, .events = POLLIN};
  bool first = true; /* frames may have come with the roster */
  while (polled && !polled[n].revents && (first || poll(polled, (nfds_t)n + 1, -1) >= 0 || errno == EINTR)) {
    for (int r = 0; r < n; r++)
      if (polled[r].fd >= 0 && (first || polled[r].revents) && !read_all(c, r)) {
        polled[r].fd = -1;
        lose(c, r);
      }
    first = false;
  }
  free(polled);
  return NULL;
}

static unisono_status start_keeper(struct uni_cluster *c) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  errno = pthread_create(&c->keeper, NULL, keep, c);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (errno)
    return uni_fail_errno("starting the thread that watches other machines");
  c->keeper_runs = true;
  return UNISONO_OK;
}

/* ---- the whole */

static void free_all(struct uni_cluster *c) {
  while (c->breaks) {
    struct uni_break *first = c->breaks;
    c->breaks = first->next;
    free(first);
  }
  while (c->comers) {
    struct uni_comer *first = c->comers;
    c->comers = first->next;
    free(first);
  }
  for (int r = 0; c->round && r < c->roster.size; r++)
    free(c->round->bytes[r]);
  if (c->round) {
    free(c->round->bytes);
    free(c->round->lengths);
  }
  free(c->round);
  free(c->exchanged);
  uni_roster_free(&c->roster);
  free((void *)c->gone);
  if (c->wake >= 0)
    close(c->wake);
  pthread_mutex_destroy(&c->lock);
  pthread_cond_destroy(&c->changed);
  free(c);
}

static bool make_round(struct uni_cluster *c) {
  size_t n = (size_t)c->roster.size;
  c->round = calloc(1, sizeof *c->round);
  if (c->round) {
    c->round->bytes = calloc(n, sizeof *c->round->bytes);
    c->round->lengths = calloc(n, sizeof *c->round->lengths);
  }
  return c->round && c->round->bytes && c->round->lengths;
}

unisono_status uni_cluster_open(struct uni_roster *roster, struct uni_cluster **out) {
  struct uni_cluster *c = calloc(1, sizeof *c);
  if (!c) {
    uni_roster_free(roster);
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a cluster");
  }
  c->roster = *roster;
  *roster = (struct uni_roster){0};
  atomic_init(&c->uses, 1);
  pthread_mutex_init(&c->lock, NULL);
  uni_cond_init(&c->changed);
  c->gone = calloc((size_t)c->roster.size, sizeof *c->gone);
  c->wake = eventfd(0, EFD_CLOEXEC);
  unisono_status status = UNISONO_OK;
  if (!c->gone || !make_round(c))
    status = uni_fail(UNISONO_ERROR_MEMORY, "no memory for a cluster");
  else if (c->wake < 0)
    status = uni_fail_errno("eventfd");
  if (!status)
    status = start_keeper(c);
  if (status) {
    free_all(c);
    return status;
  }
  pthread_once(&fork_handlers, install_fork_handlers);
  lock_clusters();
  c->next = clusters;
  clusters = c;
  unlock_clusters();
  *out = c;
  return UNISONO_OK;
}

void uni_cluster_use(struct uni_cluster *c) {
  atomic_fetch_add_explicit(&c->uses, 1, memory_order_relaxed);
}

void uni_cluster_put(struct uni_cluster *c) {
  /* acquire and release: what every user did to the cluster is done before the last one closes it */
  if (!c || atomic_fetch_sub_explicit(&c->uses, 1, memory_order_acq_rel) != 1)
    return;
  uint64_t one = 1;
  if (write(c->wake, &one, sizeof one) == sizeof one)
    pthread_join(c->keeper, NULL);
  lock_clusters();
  for (struct uni_cluster **at = &clusters; *at; at = &(*at)->next)
    if (*at == c) {
      *at = c->next;
      break;
    }
  unlock_clusters();
  free_all(c);
}
