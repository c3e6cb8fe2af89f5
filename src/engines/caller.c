#include "engines/caller.h"

#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engines/abandon.h"
#include "error.h"

/* Messages that a receiver has to look for go with a label before them, their length, which is received in
 * advance; the receiver answers with a receipt. */
enum { LABEL_TAG, RECEIPT_TAG, MESSAGE_TAG, EXCHANGE_TAG };

struct caller {
  struct uni_engine engine; /* what the library sees */
  unisono_engine theirs;
  struct caller *next;
};

struct world {
  const unisono_engine *theirs;
  void *world;
  int rank;
  pthread_mutex_t lock; /* guards the groups */
  struct group *groups; /* which last as long as it does */
};

/* From one peer. */
struct awaited {
  uint64_t bytes;
  void *request;
  bool is_posted;
};

/* To oneself. */
struct note {
  size_t bytes;
  struct note *next;
  char payload[];
};

struct group {
  const unisono_engine *theirs;
  void *group;
  int n, rank;
  struct awaited *labels;
  pthread_mutex_t lock; /* guards the notes */
  struct note *notes;
  struct group *next;
};

struct request {
  const unisono_engine *theirs;
  void *parts[3];
  int n;
  uint64_t label, receipt;
};

/* ---- registering */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct caller *callers;

static const struct caller *find(const char *name) {
  const struct caller *c = callers;
  while (c && strcmp(c->theirs.name, name) != 0)
    c = c->next;
  return c;
}

const struct uni_engine *uni_caller_engine(const char *name) {
  pthread_mutex_lock(&lock);
  const struct caller *c = find(name);
  pthread_mutex_unlock(&lock);
  return c ? &c->engine : NULL;
}

/* ---- connecting: in a thread that can be left behind */

static const char *words_of(const unisono_engine *theirs, unisono_status status) {
  const char *words = theirs->last_error ? theirs->last_error(theirs->self) : NULL;
  return words && *words ? words : unisono_status_string(status);
}

static unisono_status failed(const unisono_engine *theirs, unisono_status status, const char *what) {
  return uni_fail(status, "engine %s: %s failed: %s", theirs->name, what, words_of(theirs, status));
}

/* In a thread of its own, whose last error is that of the exchange, if there is one. */
static void note_failure(const unisono_engine *theirs, unisono_status status, char *text, size_t n) {
  const char *words = status ? words_of(theirs, status) : "";
  bool says_more = words != unisono_status_string(status) || !*unisono_last_error();
  snprintf(text, n, "%s", says_more ? words : unisono_last_error());
}

static unisono_status failed_there(const unisono_engine *theirs, unisono_status status, const char *what,
                                   const char *text) {
  return uni_fail(status, "engine %s: %s failed: %s", theirs->name, what, text);
}

struct opening {
  const struct caller *caller;
  struct uni_engine_start start;
  void *world;
  unisono_status status;
  char text[256];
};

static unisono_status exchange(void *what, const void *mine, size_t bytes, void *all) {
  const struct uni_engine_start *start = what;
  unsigned char *labelled = NULL;
  size_t n = 0, step = sizeof(uint32_t) + bytes;
  unisono_status status = start->exchange(start->what, mine, bytes, start->deadline, &labelled, &n);
  if (!status && n != step * (size_t)start->size)
    status = uni_fail(UNISONO_ERROR_MISMATCH, "the ranks exchange different numbers of bytes");
  for (int r = 0; r < start->size && !status; r++)
    memcpy((char *)all + (size_t)r * bytes, labelled + (size_t)r * step + sizeof(uint32_t), bytes);
  free(labelled);
  return status;
}

static void do_open(void *argument) {
  struct opening *o = argument;
  const unisono_engine *e = &o->caller->theirs;
  o->status = e->open(e->self, o->start.rank, o->start.size, exchange, &o->start, &o->world);
  note_failure(e, o->status, o->text, sizeof o->text);
}

static unisono_status open_world(const struct uni_engine_start *start, void **world) {
  const struct caller *c = (const struct caller *)(const void *)start->engine; /* its first member */
  struct opening *o = calloc(1, sizeof *o);
  struct world *w = calloc(1, sizeof *w);
  if (!o || !w) {
    free(o);
    free(w);
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for engine %s", c->theirs.name);
  }
  *o = (struct opening){.caller = c, .start = *start};
  unisono_status status = uni_run_abandonable(
      &(struct uni_task){do_open, free, o, NULL, NULL, "the engine connected all ranks"}, start->deadline);
  if (!status) {
    *w = (struct world){.theirs = &c->theirs, .world = o->world, .rank = start->rank};
    pthread_mutex_init(&w->lock, NULL);
    status = o->status ? failed_there(&c->theirs, o->status, "open", o->text) : UNISONO_OK;
    free(o);
  }
  if (status)
    free(w);
  else
    *world = w;
  return status;
}

static void free_group(struct group *g) {
  while (g->notes) {
    struct note *first = g->notes;
    g->notes = first->next;
    free(first);
  }
  pthread_mutex_destroy(&g->lock);
  free(g->labels);
  free(g);
}

static void close_world(void *world) {
  struct world *w = world;
  w->theirs->close(w->world); /* from here on nothing is received into the labels */
  while (w->groups) {
    struct group *first = w->groups;
    w->groups = first->next;
    free_group(first);
  }
  pthread_mutex_destroy(&w->lock);
  free(w);
}

struct grouping {
  struct world *world;
  int *ranks, n, tag;
  void *group;
  unisono_status status;
  char text[256];
};

static void do_group(void *argument) {
  struct grouping *g = argument;
  const unisono_engine *e = g->world->theirs;
  g->status = e->group(g->world->world, g->ranks, g->n, g->tag, &g->group);
  note_failure(e, g->status, g->text, sizeof g->text);
}

static void free_grouping(void *argument) {
  struct grouping *g = argument;
  free(g->ranks);
  free(g);
}

static unisono_status wrap_group(const struct grouping *done, void **out) {
  struct group *g = calloc(1, sizeof *g);
  struct awaited *labels = calloc((size_t)done->n, sizeof *labels);
  if (!g || !labels) {
    free(g);
    free(labels);
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a group of %d ranks", done->n);
  }
  *g = (struct group){.theirs = done->world->theirs, .group = done->group, .n = done->n, .labels = labels};
  pthread_mutex_init(&g->lock, NULL);
  for (int i = 0; i < done->n; i++)
    if (done->ranks[i] == done->world->rank)
      g->rank = i;
  pthread_mutex_lock(&done->world->lock);
  g->next = done->world->groups;
  done->world->groups = g;
  pthread_mutex_unlock(&done->world->lock);
  *out = g;
  return UNISONO_OK;
}

static unisono_status new_group(void *world, const int *ranks, int n, int tag,
                                const struct uni_patience *patience, void **group) {
  struct grouping *g = calloc(1, sizeof *g);
  int *list = malloc((size_t)n * sizeof *list);
  if (!g || !list) {
    free(g);
    free(list);
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a list of %d ranks", n);
  }
  memcpy(list, ranks, (size_t)n * sizeof *list);
  *g = (struct grouping){.world = world, .ranks = list, .n = n, .tag = tag};
  unisono_status status =
      uni_run_abandonable(&(struct uni_task){do_group, free_grouping, g, patience->is_vain, patience->what,
                                             "the engine made a group"},
                          patience->deadline);
  if (status)
    return status;
  status = g->status ? failed_there(g->world->theirs, g->status, "group", g->text) : wrap_group(g, group);
  free_grouping(g);
  return status;
}

static void ignore(void) {}

/* ---- operations */

static unisono_status begin(const struct group *g, struct request **request) {
  *request = calloc(1, sizeof **request);
  if (!*request)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a request");
  (*request)->theirs = g->theirs;
  (*request)->n = 1;
  return UNISONO_OK;
}

static unisono_status begun(struct request *r, unisono_status status, const char *what,
                            uni_engine_request *request) {
  *request = r;
  return status ? failed(r->theirs, status, what) : UNISONO_OK;
}

static unisono_status all_reduce(void *group, void *buffer, size_t count, unisono_dtype dtype, unisono_op op,
                                 uni_engine_request *request) {
  const struct group *g = group;
  struct request *r;
  unisono_status status = begin(g, &r);
  return status ? status
                : begun(r, g->theirs->all_reduce(g->group, buffer, count, dtype, op, &r->parts[0]),
                        "all_reduce", request);
}

static unisono_status broadcast(void *group, void *buffer, size_t bytes, int root,
                                uni_engine_request *request) {
  const struct group *g = group;
  struct request *r;
  unisono_status status = begin(g, &r);
  return status ? status
                : begun(r, g->theirs->broadcast(g->group, buffer, bytes, root, &r->parts[0]), "broadcast",
                        request);
}

static unisono_status all_gather(void *group, void *buffer, const int *bytes, const int *displs,
                                 uni_engine_request *request) {
  const struct group *g = group;
  struct request *r;
  size_t n = (size_t)g->n, *wide = malloc(2 * n * sizeof *wide);
  unisono_status status =
      wide ? begin(g, &r) : uni_fail(UNISONO_ERROR_MEMORY, "no memory for %d counts", g->n);
  for (size_t i = 0; i < n && !status; i++) {
    wide[i] = (size_t)bytes[i];
    wide[n + i] = (size_t)displs[i];
  }
  if (!status)
    status = begun(r, g->theirs->all_gather(g->group, buffer, wide, wide + n, &r->parts[0]), "all_gather",
                   request);
  free(wide);
  return status;
}

static unisono_status keep_note(struct group *g, const void *buffer, size_t bytes, struct request *r) {
  struct note **end = &g->notes, *note = malloc(sizeof *note + bytes);
  if (!note)
    return UNISONO_ERROR_MEMORY;
  *note = (struct note){.bytes = bytes};
  memcpy(note->payload, buffer, bytes);
  pthread_mutex_lock(&g->lock);
  while (*end)
    end = &(*end)->next;
  *end = note;
  pthread_mutex_unlock(&g->lock);
  r->n = 0;
  return UNISONO_OK;
}

static unisono_status announce(struct group *g, struct request *r, size_t bytes, int peer) {
  r->n = 3;
  r->label = bytes;
  unisono_status status =
      g->theirs->recv(g->group, &r->receipt, sizeof r->receipt, peer, RECEIPT_TAG, &r->parts[1]);
  return status ? status
                : g->theirs->send(g->group, &r->label, sizeof r->label, peer, LABEL_TAG, &r->parts[2]);
}

static unisono_status send_bytes(void *group, const void *buffer, size_t bytes, int peer, int tag,
                                 bool synchronous, uni_engine_request *request) {
  struct group *g = group;
  struct request *r;
  unisono_status status = begin(g, &r);
  (void)synchronous; /* a message always is */
  if (status)
    return status;
  if (peer == g->rank)
    return begun(r, keep_note(g, buffer, bytes, r), "send", request);
  if (tag == MESSAGE_TAG)
    status = announce(g, r, bytes, peer);
  if (!status)
    status = g->theirs->send(g->group, buffer, bytes, peer, tag, &r->parts[0]);
  return begun(r, status, "send", request);
}

static unisono_status receive_bytes(void *group, void *buffer, size_t bytes, int peer, int tag,
                                    uni_engine_request *request) {
  const struct group *g = group;
  struct request *r;
  unisono_status status = begin(g, &r);
  return status
             ? status
             : begun(r, g->theirs->recv(g->group, buffer, bytes, peer, tag, &r->parts[0]), "recv", request);
}

/* ---- messages that are looked for */

struct found {
  struct group *group;
  struct note *note; /* NULL: a peer's */
  int peer;
};

static unisono_status find_label(struct group *g, int peer, bool *is_there) {
  struct awaited *a = &g->labels[peer];
  unisono_status status = UNISONO_OK;
  int done = 0;
  if (!a->is_posted) {
    status = g->theirs->recv(g->group, &a->bytes, sizeof a->bytes, peer, LABEL_TAG, &a->request);
    a->is_posted = !status;
  }
  if (!status)
    status = g->theirs->test(a->request, &done);
  a->is_posted = !done;
  *is_there = done != 0;
  return status ? failed(g->theirs, status, "recv") : UNISONO_OK;
}

static struct note *take_note(struct group *g) {
  pthread_mutex_lock(&g->lock);
  struct note *note = g->notes;
  if (note)
    g->notes = note->next;
  pthread_mutex_unlock(&g->lock);
  return note;
}

static unisono_status match(void *group, int tag, bool *is_found, struct uni_engine_message *message) {
  struct group *g = group;
  struct found found = {.group = g, .note = take_note(g), .peer = g->rank};
  unisono_status status = UNISONO_OK;
  (void)tag; /* there is one */
  *is_found = found.note != NULL;
  for (int peer = 0; peer < g->n && !*is_found && !status; peer++) {
    found.peer = peer;
    if (peer != g->rank)
      status = find_label(g, peer, is_found);
  }
  if (!*is_found)
    return status;
  struct found *kept = malloc(sizeof *kept);
  if (!kept)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a message");
  *kept = found;
  *message = (struct uni_engine_message){
      kept, found.peer, found.note ? found.note->bytes : (size_t)g->labels[found.peer].bytes};
  return UNISONO_OK;
}

static unisono_status receive_matched(struct uni_engine_message *message, void *buffer,
                                      uni_engine_request *request) {
  struct found *found = message->handle;
  struct group *g = found->group;
  struct note *note = found->note;
  struct request *r;
  free(found);
  unisono_status status = begin(g, &r);
  if (status)
    return status;
  if (!note) {
    r->n = 2;
    status =
        g->theirs->send(g->group, &r->receipt, sizeof r->receipt, message->peer, RECEIPT_TAG, &r->parts[1]);
    if (!status)
      status = g->theirs->recv(g->group, buffer, message->bytes, message->peer, MESSAGE_TAG, &r->parts[0]);
    return begun(r, status, "recv", request);
  }
  r->n = 0;
  memcpy(buffer, note->payload, note->bytes);
  free(note);
  *request = r;
  return UNISONO_OK;
}

static unisono_status test(uni_engine_request *request, bool *done) {
  struct request *r = *request;
  unisono_status status = UNISONO_OK;
  while (r->n > 0 && !status) {
    int over = 0;
    status = r->theirs->test(r->parts[r->n - 1], &over);
    if (!over)
      break;
    r->n--;
  }
  *done = r->n == 0;
  if (status)
    return failed(r->theirs, status, "an operation");
  if (*done)
    free(r);
  return UNISONO_OK;
}

static const struct uni_engine table = {.most_tag = EXCHANGE_TAG,
                                        .most_bytes = INT32_MAX,
                                        .open = open_world,
                                        .close = close_world,
                                        .broken = ignore,
                                        .group = new_group,
                                        .all_reduce = all_reduce,
                                        .broadcast = broadcast,
                                        .all_gather = all_gather,
                                        .send = send_bytes,
                                        .recv = receive_bytes,
                                        .match = match,
                                        .recv_matched = receive_matched,
                                        .test = test};

/* ---- public */

static bool is_whole(const unisono_engine *e) {
  return e && e->struct_size >= offsetof(unisono_engine, last_error) && e->name && *e->name && e->open &&
         e->close && e->group && e->all_reduce && e->broadcast && e->all_gather && e->send && e->recv &&
         e->test;
}

static struct caller *wrap(const unisono_engine *theirs) {
  struct caller *c = calloc(1, sizeof *c);
  char *name = strdup(theirs->name);
  if (!c || !name) {
    free(c);
    free(name);
    return NULL;
  }
  /* an older header's table is shorter: what it lacks stays NULL */
  memcpy(&c->theirs, theirs, theirs->struct_size < sizeof c->theirs ? theirs->struct_size : sizeof c->theirs);
  c->theirs.name = name;
  c->engine = table;
  c->engine.name = name;
  return c;
}

const struct uni_engine *uni_caller_wrap(const unisono_engine *theirs) {
  const struct caller *c = wrap(theirs);
  return c ? &c->engine : NULL;
}

static bool is_ours(const char *name) {
  return strcmp(name, "mpi") == 0 || strcmp(name, "oneccl") == 0;
}

unisono_status unisono_engine_register(const unisono_engine *engine) {
  if (!is_whole(engine))
    return uni_fail(UNISONO_ERROR_INVALID,
                    "unisono_engine_register: engine is NULL, or its struct_size, its name "
                    "or a function is not set");
  pthread_mutex_lock(&lock);
  bool is_new = !is_ours(engine->name) && !find(engine->name);
  struct caller *c = is_new ? wrap(engine) : NULL;
  if (c) {
    c->next = callers;
    callers = c;
  }
  pthread_mutex_unlock(&lock);
  if (c)
    return UNISONO_OK;
  return is_new ? uni_fail(UNISONO_ERROR_MEMORY, "no memory for engine %s", engine->name)
                : uni_fail(UNISONO_ERROR_INVALID,
                           "unisono_engine_register: there is an engine %s already; give it "
                           "another name",
                           engine->name);
}
