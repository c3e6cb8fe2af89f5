#include "sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"
#include "machines.h"
#include "reference.h"

enum { COLLECTIVES = 1000 /* tags from here on */ };

struct head {
  uint64_t group;
  uint32_t tag, bytes;
};

struct letter { /* on its way out, or come and not yet asked for */
  struct head head;
  size_t done; /* bytes of head and payload together */
  struct letter *next;
  char *payload;
};

struct peer {
  int fd;
  bool ended; /* as far as is seen */
  struct letter *out, *in, *coming;
};

struct world {
  int rank, size;
  pthread_mutex_t lock;
  struct peer *peers;
};

struct group {
  struct world *world;
  uint64_t id;
  int *ranks, n, rank;
  uint32_t sequence;
};

struct request {
  struct group *group;
  enum { SENT, RECEIVE, REDUCE, GATHER } kind;
  uint32_t tag;
  int peer;
  char *buffer;
  size_t bytes, *counts, *displs;
  unisono_dtype dtype;
  unisono_op op;
};

/* ---- letters */

static struct letter *new_letter(struct head head, const void *payload) {
  struct letter *l = calloc(1, sizeof *l);
  l->head = head;
  l->payload = malloc(head.bytes + 1);
  if (payload)
    memcpy(l->payload, payload, head.bytes);
  return l;
}

static void free_letter(struct letter *l) {
  free(l->payload);
  free(l);
}

static void append(struct letter **list, struct letter *l) {
  while (*list)
    list = &(*list)->next;
  *list = l;
}

static char *place(struct letter *l, size_t *left) {
  bool in_head = l->done < sizeof l->head;
  *left = in_head ? sizeof l->head - l->done : sizeof l->head + l->head.bytes - l->done;
  return in_head ? (char *)&l->head + l->done : l->payload + (l->done - sizeof l->head);
}

/* False: nothing more goes now. */
static bool write_some(struct peer *p) {
  struct letter *l = p->out;
  size_t left;
  char *at = l ? place(l, &left) : NULL;
  ssize_t n = l ? send(p->fd, at, left, MSG_NOSIGNAL | MSG_DONTWAIT) : -1;
  if (n <= 0)
    return false;
  l->done += (size_t)n;
  if (l->done == sizeof l->head + l->head.bytes) {
    p->out = l->next;
    free_letter(l);
  }
  return true;
}

static bool read_some(struct peer *p) {
  size_t left;
  if (!p->coming)
    p->coming = new_letter((struct head){0}, NULL);
  struct letter *l = p->coming;
  char *at = place(l, &left);
  ssize_t n = left ? recv(p->fd, at, left, MSG_DONTWAIT) : 0;
  p->ended |= left && (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR));
  if (n <= 0 && left)
    return false;
  l->done += (size_t)n;
  if (l->done == sizeof l->head)
    l->payload = realloc(l->payload, l->head.bytes + 1);
  if (l->done == sizeof l->head + l->head.bytes) {
    p->coming = NULL;
    append(&p->in, l);
  }
  return true;
}

static void move(struct world *w) {
  for (int r = 0; r < w->size; r++) {
    while (r != w->rank && write_some(&w->peers[r])) {
    }
    while (r != w->rank && read_some(&w->peers[r])) {
    }
  }
}

static struct letter **find(struct group *g, int peer, uint32_t tag) {
  struct letter **l = &g->world->peers[g->ranks[peer]].in;
  while (*l && ((*l)->head.group != g->id || (*l)->head.tag != tag))
    l = &(*l)->next;
  return l;
}

static void post(struct group *g, int peer, uint32_t tag, const void *buffer, size_t bytes) {
  struct peer *p = &g->world->peers[g->ranks[peer]];
  append(&p->out, new_letter((struct head){g->id, tag, (uint32_t)bytes}, buffer));
}

/* ---- connecting */

struct address {
  char text[32];
  uint16_t port;
};

static int machine_here(void) {
  char name[64] = "";
  gethostname(name, sizeof name - 1);
  return atoi(name + strlen("machine"));
}

static int open_listener(struct address *address) {
  struct sockaddr_in any = {.sin_family = AF_INET};
  socklen_t n = sizeof any;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&any, n) != 0 || listen(fd, 64) != 0)
    return -1;
  getsockname(fd, (struct sockaddr *)&any, &n);
  strcpy(address->text, machines_address(machine_here()));
  address->port = any.sin_port;
  return fd;
}

static int connect_to(const struct address *address, int rank) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = address->port};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  inet_pton(AF_INET, address->text, &to.sin_addr);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 || write(fd, &rank, sizeof rank) != sizeof rank)
    return -1;
  return fd;
}

static bool connect_all(struct world *w, int listener, const struct address *all) {
  int on = 1, rank;
  for (int r = 0; r < w->rank; r++)
    if ((w->peers[r].fd = connect_to(&all[r], w->rank)) < 0)
      return false;
  for (int r = w->rank + 1; r < w->size; r++) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0 || read(fd, &rank, sizeof rank) != sizeof rank)
      return false;
    w->peers[rank].fd = fd;
  }
  for (int r = 0; r < w->size; r++)
    if (r != w->rank)
      setsockopt(w->peers[r].fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return true;
}

static unisono_status open_world(void *self, int rank, int size, unisono_exchange exchange, void *what,
                                 void **world) {
  struct world *w = calloc(1, sizeof *w);
  struct address mine = {0}, *all = calloc((size_t)size, sizeof *all);
  int listener = open_listener(&mine);
  (void)self;
  w->rank = rank;
  w->size = size;
  w->peers = calloc((size_t)size, sizeof *w->peers);
  pthread_mutex_init(&w->lock, NULL);
  unisono_status status = exchange(what, &mine, sizeof mine, all);
  if (!status && (listener < 0 || !connect_all(w, listener, all)))
    status = UNISONO_ERROR_SYSTEM;
  close(listener);
  free(all);
  *world = w;
  return status;
}

static void close_world(void *world) {
  struct world *w = world;
  for (int r = 0; r < w->size; r++)
    if (r != w->rank)
      close(w->peers[r].fd);
}

static unisono_status make_group(void *world, const int *ranks, int n, int tag, void **group) {
  struct group *g = calloc(1, sizeof *g);
  *g =
      (struct group){.world = world, .n = n, .ranks = malloc((size_t)n * sizeof *ranks), .id = (uint64_t)tag};
  memcpy(g->ranks, ranks, (size_t)n * sizeof *ranks);
  for (int i = 0; i < n; i++) {
    g->id = (g->id ^ (uint64_t)ranks[i]) * UINT64_C(0x100000001b3);
    if (ranks[i] == g->world->rank)
      g->rank = i;
  }
  *group = g;
  return UNISONO_OK;
}

/* ---- operations */

static bool has_ended(struct group *g, int peer) {
  pthread_mutex_lock(&g->world->lock);
  bool ended = g->world->peers[g->ranks[peer]].ended;
  pthread_mutex_unlock(&g->world->lock);
  return ended;
}

static void *begin(struct request r, void **request) {
  struct request *new = malloc(sizeof *new);
  *new = r;
  pthread_mutex_lock(&r.group->world->lock);
  *request = new;
  return new;
}

static unisono_status begun(struct group *g) {
  move(g->world);
  pthread_mutex_unlock(&g->world->lock);
  return UNISONO_OK;
}

static void post_to_all(struct group *g, uint32_t tag, const void *buffer, size_t bytes) {
  for (int i = 0; i < g->n; i++)
    if (i != g->rank)
      post(g, i, tag, buffer, bytes);
}

static unisono_status all_reduce(void *group, void *buffer, size_t count, unisono_dtype dtype, unisono_op op,
                                 void **request) {
  struct group *g = group;
  struct request *r = begin((struct request){.group = g, .kind = REDUCE, .buffer = buffer}, request);
  r->bytes = count;
  r->dtype = dtype;
  r->op = op;
  r->tag = COLLECTIVES + g->sequence++;
  post_to_all(g, r->tag, buffer, count * reference_size(dtype));
  return begun(g);
}

static unisono_status broadcast(void *group, void *buffer, size_t bytes, int root, void **request) {
  struct group *g = group;
  struct request *r = begin((struct request){.group = g, .buffer = buffer, .bytes = bytes}, request);
  r->kind = g->rank == root ? SENT : RECEIVE;
  r->peer = root;
  r->tag = COLLECTIVES + g->sequence++;
  if (g->rank == root)
    post_to_all(g, r->tag, buffer, bytes);
  return begun(g);
}

static unisono_status all_gather(void *group, void *buffer, const size_t *bytes, const size_t *displs,
                                 void **request) {
  struct group *g = group;
  struct request *r = begin((struct request){.group = g, .kind = GATHER, .buffer = buffer}, request);
  size_t n = (size_t)g->n;
  r->counts = malloc(2 * n * sizeof *bytes);
  r->displs = r->counts + n;
  memcpy(r->counts, bytes, n * sizeof *bytes);
  memcpy(r->displs, displs, n * sizeof *bytes);
  r->tag = COLLECTIVES + g->sequence++;
  post_to_all(g, r->tag, r->buffer + displs[g->rank], bytes[g->rank]);
  return begun(g);
}

static unisono_status send_to(void *group, const void *buffer, size_t bytes, int peer, int tag,
                              void **request) {
  struct group *g = group;
  if (has_ended(g, peer)) /* as with MPICH 4 */
    return UNISONO_ERROR_SYSTEM;
  begin((struct request){.group = g, .kind = SENT}, request);
  post(g, peer, (uint32_t)tag, buffer, bytes);
  return begun(g);
}

static unisono_status recv_from(void *group, void *buffer, size_t bytes, int peer, int tag, void **request) {
  struct group *g = group;
  begin(
      (struct request){
          .group = g, .kind = RECEIVE, .buffer = buffer, .bytes = bytes, .peer = peer, .tag = (uint32_t)tag},
      request);
  return begun(g);
}

/* ---- progress: with the lock held */

static bool take(struct group *g, int peer, uint32_t tag, void *to, size_t bytes, unisono_status *status) {
  struct letter **at = find(g, peer, tag), *l = *at;
  if (!l)
    return false;
  *at = l->next;
  if (l->head.bytes != bytes)
    *status = UNISONO_ERROR_MISMATCH;
  else
    memcpy(to, l->payload, bytes);
  free_letter(l);
  return true;
}

static bool all_are_there(struct request *r) {
  for (int i = 0; i < r->group->n; i++)
    if (i != r->group->rank && !*find(r->group, i, r->tag))
      return false;
  return true;
}

static void fold(struct request *r, unisono_status *status) {
  struct group *g = r->group;
  size_t bytes = r->bytes * reference_size(r->dtype);
  char **in = calloc((size_t)g->n, sizeof *in);
  for (int i = 0; i < g->n; i++) {
    in[i] = malloc(bytes + 1);
    if (i == g->rank)
      memcpy(in[i], r->buffer, bytes);
    else
      take(g, i, r->tag, in[i], bytes, status);
  }
  if (!*status)
    reference_reduce(r->buffer, (const void *const *)in, g->n, r->bytes, r->dtype, r->op);
  for (int i = 0; i < g->n; i++)
    free(in[i]);
  free(in);
}

static bool finish(struct request *r, unisono_status *status) {
  struct group *g = r->group;
  if (r->kind == SENT)
    return true;
  if (r->kind == RECEIVE)
    return take(g, r->peer, r->tag, r->buffer, r->bytes, status);
  if (!all_are_there(r))
    return false;
  if (r->kind == REDUCE)
    fold(r, status);
  for (int i = 0; i < g->n && r->kind == GATHER; i++)
    if (i != g->rank)
      take(g, i, r->tag, r->buffer + r->displs[i], r->counts[i], status);
  return true;
}

/* Where something is sent, an operation is done when it has left this process. */
static bool has_left(struct world *w) {
  for (int r = 0; r < w->size; r++)
    if (w->peers[r].out)
      return false;
  return true;
}

static unisono_status test(void *request, int *done) {
  struct request *r = request;
  struct world *w = r->group->world;
  unisono_status status = UNISONO_OK;
  pthread_mutex_lock(&w->lock);
  move(w);
  *done = (r->kind == RECEIVE || has_left(w)) && finish(r, &status);
  pthread_mutex_unlock(&w->lock);
  if (*done) {
    free(r->counts);
    free(r);
  }
  return status;
}

const unisono_engine sockets_engine = {.struct_size = sizeof sockets_engine,
                                       .name = "sockets",
                                       .open = open_world,
                                       .close = close_world,
                                       .group = make_group,
                                       .all_reduce = all_reduce,
                                       .broadcast = broadcast,
                                       .all_gather = all_gather,
                                       .send = send_to,
                                       .recv = recv_from,
                                       .test = test};

void sockets_needed(void) {
  if (strcmp(getenv("UNISONO_ENGINE"), sockets_engine.name) != 0)
    test_skip("with an engine of the tests only");
}
