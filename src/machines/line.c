#include "machines/line.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "error.h"
#include "log.h"
#include "machines/across.h"
#include "machines/parcels.h"
#include "queue.h"

enum {
  YIELDS = 100, /* between looks, before naps */
  NAP_US = 50,
  WORKERS_NAP_US = 200,
  GRACE_MS = 1000,
  EAGER = 16 << 10 /* a longer message waits for its receive */
};

/* What a message begins with. All have one tag of the engine's, whose tags need not be as large as ours. */
struct label {
  uint64_t bytes;
  uint32_t dtype;
  int32_t tag;
};

/* A message that has come, in the order of coming; kept until somebody asks for it. */
struct arrival {
  struct uni_engine_message message;
  uni_engine_request under_way;
  bool complete;
  char *buffer; /* label and payload; the engine's until it is complete */
  struct arrival *next;
};

/* A send or a receive under way. */
struct passage {
  struct uni_transfer transfer;
  unisono_request *request; /* NULL: a blocking one */
  int64_t deadline, lost_at;
  char *buffer; /* of a send: label and payload; the engine's until its request is done */
  uni_engine_request under_way;
  bool is_under_way, done;
  unisono_status status;
  char text[UNI_TEXT];
  struct passage *next;
};

struct uni_line {
  pthread_mutex_t lock; /* guards the list of collectives */
  pthread_cond_t changed;
  pthread_mutex_t running; /* held by who runs a collective */
  pthread_t worker;
  bool has_worker, stop;
  unisono_request *first, *last; /* the first one may be under way */
  _Atomic bool is_open;          /* there are sends or receives to be moved on */
  pthread_mutex_t moving;        /* guards the passages; taken before `lock` */
  struct passage *passages;
  struct arrival *arrivals;
  struct uni_parcel *sent;
};

unisono_status uni_line_open(struct uni_span *span) {
  struct uni_line *line = calloc(1, sizeof *line);
  if (!line)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a queue of operations");
  pthread_mutex_init(&line->lock, NULL);
  pthread_cond_init(&line->changed, NULL);
  pthread_mutex_init(&line->running, NULL);
  pthread_mutex_init(&line->moving, NULL);
  span->line = line;
  return UNISONO_OK;
}

/* Between two looks. */
static void rest(unsigned looks) {
  if (looks < YIELDS)
    sched_yield();
  else
    usleep(NAP_US);
}

static void finish(unisono_request *request, unisono_status status, const char *text) {
  request->status = status;
  if (status)
    snprintf(request->text, sizeof request->text, "%s", text);
  /* release: the buffers, status and text are there for who sees it done */
  atomic_store_explicit(&request->done, true, memory_order_release);
}

/* ---- collectives */

static unisono_status run(struct uni_span *span, const struct uni_call *call) {
  pthread_mutex_lock(&span->line->running);
  unisono_status status = uni_across(span, call);
  pthread_mutex_unlock(&span->line->running);
  return status;
}

/* With the lock held. What was sent or is awaited moves on while the caller is elsewhere. */
static void idle(struct uni_span *span) {
  struct uni_line *line = span->line;
  if (!atomic_load_explicit(&line->is_open, memory_order_relaxed)) {
    pthread_cond_wait(&line->changed, &line->lock);
    return;
  }
  pthread_mutex_unlock(&line->lock);
  uni_line_move_transfers(span);
  usleep(WORKERS_NAP_US);
  pthread_mutex_lock(&line->lock);
}

static void *work(void *argument) {
  struct uni_span *span = argument;
  struct uni_line *line = span->line;
  uni_log_set_rank(span->comm->rank);
  pthread_mutex_lock(&line->lock);
  while (!line->stop) {
    unisono_request *first = line->first;
    if (!first) {
      idle(span);
      continue;
    }
    pthread_mutex_unlock(&line->lock);
    unisono_status status = run(span, &first->call);
    pthread_mutex_lock(&line->lock);
    line->first = first->next;
    if (!line->first)
      line->last = NULL;
    finish(first, status, unisono_last_error());
    pthread_cond_broadcast(&line->changed);
  }
  pthread_mutex_unlock(&line->lock);
  return NULL;
}

/* With the lock held. */
static unisono_status need_worker(struct uni_span *span) {
  struct uni_line *line = span->line;
  if (line->has_worker)
    return UNISONO_OK;
  sigset_t all, before; /* signals are for the application's threads */
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  errno = pthread_create(&line->worker, NULL, work, span);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (errno)
    return uni_fail_errno("starting a thread for operations between machines");
  line->has_worker = true;
  return UNISONO_OK;
}

static unisono_status append(struct uni_span *span, unisono_request *request) {
  struct uni_line *line = span->line;
  pthread_mutex_lock(&line->lock);
  unisono_status status = need_worker(span);
  if (!status) {
    if (line->last)
      line->last->next = request;
    else
      line->first = request;
    line->last = request;
    pthread_cond_broadcast(&line->changed);
  }
  pthread_mutex_unlock(&line->lock);
  return status;
}

unisono_status uni_line_submit(struct uni_span *span, const struct uni_call *call, unisono_request *started) {
  if (started)
    return append(span, started);
  pthread_mutex_lock(&span->line->lock);
  bool behind = span->line->first != NULL;
  pthread_mutex_unlock(&span->line->lock);
  if (!behind)
    return run(span, call);
  unisono_request here = {.comm = span->comm, .call = *call};
  unisono_status status = append(span, &here);
  if (status)
    return status;
  uni_line_attend(span, &here);
  return here.status ? uni_fail(here.status, "%s", here.text) : UNISONO_OK;
}

/* ---- sends and receives; with `moving` held */

static int message_tag(const struct uni_span *span) {
  return span->carrier->engine->most_tag - 1; /* the last one is that of collectives */
}

static unisono_status send_now(struct uni_span *span, struct passage *p) {
  struct uni_transfer *t = &p->transfer;
  struct label label = {.bytes = t->count * t->element, .dtype = t->dtype, .tag = t->tag};
  p->buffer = malloc(sizeof label + label.bytes);
  if (!p->buffer)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a message of %llu bytes",
                    (unsigned long long)label.bytes);
  memcpy(p->buffer, &label, sizeof label);
  if (label.bytes)
    memcpy(p->buffer + sizeof label, t->buffer, label.bytes);
  p->is_under_way = true;
  return span->carrier->engine->send(span->whole, p->buffer, sizeof label + label.bytes, t->peer,
                                     message_tag(span), true, &p->under_way);
}

/* The sender goes on; the message stays until it was taken in. */
static unisono_status let_go(struct uni_line *line, struct passage *p) {
  struct uni_parcel *parcel = malloc(sizeof *parcel);
  if (!parcel)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a message");
  *parcel = (struct uni_parcel){p->buffer, p->under_way, line->sent};
  line->sent = parcel;
  p->done = true;
  return UNISONO_OK;
}

static unisono_status move_send(struct uni_span *span, struct passage *p) {
  bool is_short = p->transfer.count * p->transfer.element <= EAGER;
  unisono_status status = p->is_under_way ? UNISONO_OK : send_now(span, p);
  if (!status)
    status = span->carrier->engine->test(&p->under_way, &p->done);
  if (!status && p->done)
    free(p->buffer);
  else if (!status && is_short)
    status = let_go(span->line, p);
  return status;
}

/* Takes one message in. */
static unisono_status take_in(struct uni_span *span, bool *found) {
  const struct uni_engine *engine = span->carrier->engine;
  struct arrival **end = &span->line->arrivals, *a = calloc(1, sizeof *a);
  unisono_status status = a ? engine->match(span->whole, message_tag(span), found, &a->message)
                            : uni_fail(UNISONO_ERROR_MEMORY, "no memory for a message");
  if (status || !*found) {
    free(a);
    return status;
  }
  while (*end)
    end = &(*end)->next;
  *end = a;
  a->buffer = malloc(a->message.bytes + sizeof(struct label));
  if (!a->buffer)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a message of %zu bytes", a->message.bytes);
  return engine->recv_matched(&a->message, a->buffer, &a->under_way);
}

static unisono_status take_in_all(struct uni_span *span) {
  bool found = true;
  unisono_status status = UNISONO_OK;
  while (found && !status) {
    found = false;
    status = take_in(span, &found);
  }
  for (struct arrival *a = span->line->arrivals; a && !status; a = a->next)
    if (!a->complete)
      status = span->carrier->engine->test(&a->under_way, &a->complete);
  return status;
}

/* The first message that the receive may take; NULL: it is not there, or not yet known which one it is. */
static struct arrival **find_message(struct uni_line *line, const struct uni_transfer *t) {
  for (struct arrival **at = &line->arrivals, *a; (a = *at); at = &a->next) {
    struct label label;
    if (t->peer != UNI_ANY && t->peer != a->message.peer)
      continue;
    if (!a->complete)
      return NULL;
    memcpy(&label, a->buffer, sizeof label);
    if (t->tag == UNI_ANY || t->tag == label.tag)
      return at;
  }
  return NULL;
}

static unisono_status deliver(struct uni_span *span, struct passage *p, const struct arrival *a) {
  struct uni_transfer *t = &p->transfer;
  struct label label;
  memcpy(&label, a->buffer, sizeof label);
  p->done = true;
  if (a->message.bytes != sizeof label + label.bytes || label.dtype != (uint32_t)t->dtype ||
      label.bytes > t->count * t->element)
    return uni_span_break(
        span, UNISONO_ERROR_MISMATCH,
        "rank %d received from rank %d, under tag %d, a message of another type or longer than the "
        "%zu elements that it asked for",
        span->comm->rank, a->message.peer, label.tag, t->count);
  if (label.bytes)
    memcpy(t->buffer, a->buffer + sizeof label, label.bytes);
  t->got = (unisono_message){a->message.peer, label.tag, label.bytes / t->element};
  return UNISONO_OK;
}

/* Receives take messages in the order in which they were posted. */
static unisono_status move_receive(struct uni_span *span, struct passage *p) {
  struct arrival **at = find_message(span->line, &p->transfer);
  if (!at)
    return UNISONO_OK;
  struct arrival *a = *at;
  *at = a->next;
  unisono_status status = deliver(span, p, a);
  free(a->buffer);
  free(a);
  return status;
}

/* Is a rank lost that the transfer cannot do without? */
static bool is_lost(const struct uni_span *span, const struct passage *p) {
  bool any_left = false;
  const struct uni_cluster *cluster = span->carrier->cluster;
  if (p->transfer.peer != UNI_ANY)
    return uni_cluster_is_gone(cluster, span->cluster_ranks[p->transfer.peer]);
  for (int r = 0; r < span->comm->size; r++)
    any_left |= r != span->comm->rank && !uni_cluster_is_gone(cluster, span->cluster_ranks[r]);
  return !any_left;
}

static unisono_status check(struct uni_span *span, struct passage *p) {
  const char *name = p->transfer.is_send ? "send" : "recv";
  int rank = span->comm->rank;
  if (uni_comm_is_broken(span->local))
    return uni_comm_failure(span->local);
  int64_t now = uni_now();
  if (!is_lost(span, p))
    p->lost_at = 0;
  else if (!p->lost_at)
    p->lost_at = now;
  else if (now - p->lost_at > GRACE_MS * UNI_MS)
    return uni_span_break(span, UNISONO_ERROR_PEER_LOST,
                          "rank %d died, left or was cut off: rank %d needed it for %s", p->transfer.peer,
                          rank, name);
  if (now >= p->deadline)
    return uni_span_break(span, UNISONO_ERROR_TIMEOUT,
                          "rank %d did not arrive in time: rank %d waited for it in %s for %d ms",
                          p->transfer.peer, rank, name, span->comm->timeout_ms);
  return UNISONO_OK;
}

static void end_passage(struct passage *p, unisono_status status) {
  p->done = true; /* a buffer still under way is the engine's for ever */
  p->status = status;
  snprintf(p->text, sizeof p->text, "%s", status ? unisono_last_error() : "");
}

static bool some_receive(const struct uni_line *line) {
  for (const struct passage *p = line->passages; p; p = p->next)
    if (!p->done && !p->transfer.is_send)
      return true;
  return false;
}

/* Where the caller goes on, the worker moves what is left; without one the next call does. With `moving`
 * held. */
static void leave_to_worker(struct uni_span *span) {
  struct uni_line *line = span->line;
  if (!line->passages && !line->sent)
    return;
  pthread_mutex_lock(&line->lock);
  atomic_store_explicit(&line->is_open, true, memory_order_relaxed);
  if (!need_worker(span))
    pthread_cond_broadcast(&line->changed);
  pthread_mutex_unlock(&line->lock);
}

static void move(struct uni_span *span) {
  struct uni_line *line = span->line;
  /* before the walk: what comes during it is for the receive that was posted first */
  unisono_status taken = some_receive(line) ? take_in_all(span) : UNISONO_OK;
  if (!taken)
    taken = uni_parcels_move(&line->sent, span->carrier->engine);
  for (struct passage **at = &line->passages, *p; (p = *at);) {
    if (p->done) { /* its owner takes it out */
      at = &p->next;
      continue;
    }
    unisono_status status = taken ? taken : p->transfer.is_send ? move_send(span, p) : move_receive(span, p);
    if (status && !uni_comm_is_broken(span->local) && status != UNISONO_ERROR_MEMORY)
      status = uni_span_failed(span, status);
    if (!status && !p->done)
      status = check(span, p);
    if (status || p->done)
      end_passage(p, status);
    if (!p->done || !p->request) {
      at = &p->next;
      continue;
    }
    *at = p->next;
    p->request->transfer.got = p->transfer.got;
    if (!p->status && p->request->message)
      *p->request->message = p->transfer.got;
    finish(p->request, p->status, p->text);
    free(p);
  }
  if (!line->passages && !line->sent)
    atomic_store_explicit(&line->is_open, false, memory_order_relaxed);
}

void uni_line_move_transfers(struct uni_span *span) {
  if (pthread_mutex_trylock(&span->line->moving) != 0)
    return;
  move(span);
  pthread_mutex_unlock(&span->line->moving);
}

static void enlist(struct uni_span *span, struct passage *p) {
  pthread_mutex_lock(&span->line->moving);
  struct passage **end = &span->line->passages;
  while (*end)
    end = &(*end)->next;
  *end = p;
  bool stays = p->request != NULL; /* which is gone when the passage is */
  move(span);
  if (stays)
    leave_to_worker(span);
  pthread_mutex_unlock(&span->line->moving);
}

/* True: it is done, and out of the list. */
static bool delist(struct uni_span *span, struct passage *p) {
  pthread_mutex_lock(&span->line->moving);
  move(span);
  bool done = p->done;
  for (struct passage **at = &span->line->passages; done && *at; at = &(*at)->next)
    if (*at == p) {
      *at = p->next;
      break;
    }
  if (done)
    leave_to_worker(span);
  pthread_mutex_unlock(&span->line->moving);
  return done;
}

unisono_status uni_line_transfer(struct uni_span *span, const struct uni_transfer *transfer,
                                 unisono_message *message, unisono_request *started) {
  const struct uni_engine *engine = span->carrier->engine;
  if (uni_comm_is_broken(span->local))
    return uni_comm_failure(span->local);
  if (transfer->count > (engine->most_bytes - sizeof(struct label)) / transfer->element)
    return uni_fail(UNISONO_ERROR_UNSUPPORTED,
                    "between machines a message is shorter than %zu bytes (engine %s)", engine->most_bytes,
                    engine->name);
  struct passage *p = calloc(1, sizeof *p);
  if (!p)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a message");
  p->transfer = *transfer;
  p->request = started;
  p->deadline = uni_deadline(span->comm->timeout_ms);
  enlist(span, p);
  if (started)
    return UNISONO_OK;
  for (unsigned looks = 0; !delist(span, p); looks++)
    rest(looks);
  unisono_status status = p->status ? uni_fail(p->status, "%s", p->text) : UNISONO_OK;
  if (!status && message)
    *message = p->transfer.got;
  free(p);
  return status;
}

/* ---- both */

void uni_line_attend(struct uni_span *span, unisono_request *request) {
  for (unsigned looks = 0; !atomic_load_explicit(&request->done, memory_order_acquire); looks++) {
    uni_line_move_transfers(span); /* acquire: as finish() says */
    rest(looks);
  }
}

/* What the engine may still read or write stays. */
static void free_messages(struct uni_span *span) {
  struct uni_line *line = span->line;
  while (line->arrivals) {
    struct arrival *a = line->arrivals;
    line->arrivals = a->next;
    if (a->complete)
      free(a->buffer);
    free(a);
  }
  if (!uni_comm_is_broken(span->local))
    uni_parcels_outlive(line->sent, span->carrier);
}

static void fail_passages(struct uni_span *span) {
  pthread_mutex_lock(&span->line->moving);
  free_messages(span);
  while (span->line->passages) {
    struct passage *p = span->line->passages;
    span->line->passages = p->next;
    if (p->request)
      finish(p->request, UNISONO_ERROR_PEER_LOST,
             "the communicator was destroyed before the operation was done");
    free(p);
  }
  pthread_mutex_unlock(&span->line->moving);
}

void uni_line_close(struct uni_span *span) {
  struct uni_line *line = span->line;
  pthread_mutex_lock(&line->moving);
  pthread_mutex_lock(&line->lock);
  bool busy = line->first || line->passages;
  line->stop = true;
  pthread_cond_broadcast(&line->changed);
  pthread_mutex_unlock(&line->lock);
  pthread_mutex_unlock(&line->moving);
  if (busy)
    uni_span_break(span, UNISONO_ERROR_PEER_LOST,
                   "rank %d destroyed the communicator before its operations were done", span->comm->rank);
  if (line->has_worker)
    pthread_join(line->worker, NULL);
  while (line->first) {
    finish(line->first, UNISONO_ERROR_PEER_LOST,
           "the communicator was destroyed before the operation was done");
    line->first = line->first->next;
  }
  fail_passages(span);
  pthread_mutex_destroy(&line->lock);
  pthread_cond_destroy(&line->changed);
  pthread_mutex_destroy(&line->running);
  pthread_mutex_destroy(&line->moving);
  free(line);
}
