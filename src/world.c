#include "world.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "clock.h"
#include "error.h"
#include "log.h"
#include "shm/memory.h"

enum { LOOK_EVERY_MS = 20, AWAIT_SLICE_MS = 10, MAX_SEGMENTS = 1 << 20 };

unisono_status uni_world_new(int size, int rank, struct uni_world **world) {
  struct uni_world *w = calloc(1, sizeof *w);
  struct uni_peer *peers = calloc((size_t)size, sizeof *peers);
  if (!w || !peers) {
    free(w);
    free(peers);
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for the table of %d ranks", size);
  }
  w->size = size;
  w->rank = rank;
  w->peers = peers;
  w->epoll = -1;
  w->next_comm_id = (uint64_t)rank << 32 | 1;
  atomic_init(&w->uses, 1);
  pthread_mutex_init(&w->lock, NULL);
  for (int i = 0; i < size; i++)
    peers[i].socket = peers[i].pidfd = -1;
  *world = w;
  return UNISONO_OK;
}

static unisono_status watch(struct uni_world *world, int fd, int peer, uint32_t events) {
  struct epoll_event event = {.events = events, .data.u32 = (uint32_t)peer};
  if (fd >= 0 && epoll_ctl(world->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
    return uni_fail_errno("watching rank %d", peer);
  return UNISONO_OK;
}

unisono_status uni_world_start(struct uni_world *world) {
  unisono_status status = uni_memory_open(world);
  if (status || world->size == 1)
    return status;
  world->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (world->epoll < 0)
    return uni_fail_errno("epoll_create1");
  for (int i = 0; i < world->size && !status; i++) {
    status = watch(world, world->peers[i].socket, i, EPOLLIN | EPOLLRDHUP);
    if (!status)
      status = watch(world, world->peers[i].pidfd, i, EPOLLIN);
  }
  return status;
}

void uni_world_use(struct uni_world *world) {
  atomic_fetch_add_explicit(&world->uses, 1, memory_order_relaxed);
}

static void close_peer(struct uni_peer *peer) {
  if (peer->socket >= 0)
    close(peer->socket);
  if (peer->pidfd >= 0)
    close(peer->pidfd);
  for (size_t i = 0; i < peer->memory_count; i++)
    uni_segment_put(peer->memory[i]);
  free(peer->memory);
}

static void empty_inbox(struct uni_world *world) {
  while (world->inbox) {
    struct uni_inbox_entry *first = world->inbox;
    world->inbox = first->next;
    uni_letter_close_fds(&first->letter);
    free(first);
  }
}

void uni_world_put(struct uni_world *world) {
  /* acquire and release: what every user did to the world is done before the last one closes it */
  if (!world || atomic_fetch_sub_explicit(&world->uses, 1, memory_order_acq_rel) != 1)
    return;
  uni_memory_close(world);
  for (int i = 0; i < world->size; i++)
    close_peer(&world->peers[i]);
  if (world->epoll >= 0)
    close(world->epoll);
  empty_inbox(world);
  free(world->spare);
  pthread_mutex_destroy(&world->lock);
  free(world->peers);
  free(world);
}

static bool grow_memory_table(struct uni_peer *peer, size_t count) {
  if (count <= peer->memory_count)
    return true;
  struct uni_segment **grown = realloc(peer->memory, count * sizeof *grown);
  if (!grown)
    return false;
  memset(grown + peer->memory_count, 0, (count - peer->memory_count) * sizeof *grown);
  peer->memory = grown;
  peer->memory_count = count;
  return true;
}

/* A peer tells of a segment: map it at once, so that no descriptors pile up. What cannot be mapped now is
 * missed later, by who needs it. */
static void take_segment(struct uni_world *world, int from, struct uni_letter *letter) {
  struct uni_peer *peer = &world->peers[from];
  uint64_t id = letter->words[0];
  struct uni_segment *segment = NULL;
  if (id < MAX_SEGMENTS && letter->fds[0] >= 0 && grow_memory_table(peer, (size_t)id + 1) &&
      !peer->memory[id] &&
      uni_segment_map(letter->fds[0], (size_t)letter->words[1], !world->settings.guard, UNI_PEERS,
                      &segment) == UNISONO_OK)
    peer->memory[id] = segment;
  else
    uni_log(UNI_LOG_WARN, "segment %llu of rank %d cannot be mapped: %s", (unsigned long long)id, from,
            unisono_last_error());
  uni_letter_close_fds(letter);
}

static void post_to_inbox(struct uni_world *world, int from) {
  struct uni_inbox_entry **end = &world->inbox;
  while (*end)
    end = &(*end)->next;
  world->spare->from = from;
  world->spare->next = NULL;
  *end = world->spare;
  world->spare = NULL;
}

static void close_socket(struct uni_world *world, struct uni_peer *peer) {
  epoll_ctl(world->epoll, EPOLL_CTL_DEL, peer->socket, NULL);
  close(peer->socket);
  peer->socket = -1;
  /* release: whoever sees `gone` also sees the letters read before it */
  atomic_store_explicit(&peer->gone, true, memory_order_release);
}

/* Reads all that `from` has sent; with the lock held. A letter that finds no memory stays in the socket. */
static void drain(struct uni_world *world, int from) {
  struct uni_peer *peer = &world->peers[from];
  while (peer->socket >= 0 && (world->spare || (world->spare = malloc(sizeof *world->spare)))) {
    struct uni_letter *letter = &world->spare->letter;
    enum uni_delivery d = uni_letter_receive(peer->socket, letter);
    if (d == UNI_NOT_YET)
      return;
    if (d != UNI_DELIVERED)
      close_socket(world, peer);
    else if (letter->kind == UNI_SEGMENT)
      take_segment(world, from, letter);
    else
      post_to_inbox(world, from);
  }
}

static bool has_exited(const struct uni_peer *peer) {
  struct pollfd p = {.fd = peer->pidfd, .events = POLLIN};
  return peer->pidfd >= 0 && poll(&p, 1, 0) == 1;
}

static void look_at(struct uni_world *world, int peer) {
  struct uni_peer *p = &world->peers[peer];
  drain(world, peer);
  if (!has_exited(p))
    return;
  epoll_ctl(world->epoll, EPOLL_CTL_DEL, p->pidfd, NULL);
  close(p->pidfd);
  p->pidfd = -1;
  atomic_store_explicit(&p->gone, true, memory_order_release); /* as in drain */
}

void uni_world_look(struct uni_world *world, bool now) {
  int64_t time = uni_now();
  if (world->epoll < 0 || (!now && time < atomic_load_explicit(&world->next_look, memory_order_relaxed)))
    return;
  atomic_store_explicit(&world->next_look, time + LOOK_EVERY_MS * UNI_MS, memory_order_relaxed);
  struct epoll_event events[16];
  pthread_mutex_lock(&world->lock);
  for (int round = 0; round <= world->size / 16; round++) {
    int n = epoll_wait(world->epoll, events, 16, 0);
    for (int i = 0; i < n; i++)
      look_at(world, (int)events[i].data.u32);
    if (n < 16)
      break;
  }
  pthread_mutex_unlock(&world->lock);
}

bool uni_world_is_gone(struct uni_world *world, int peer) {
  /* acquire: all that the peer had sent before it went is in the inbox */
  return atomic_load_explicit(&world->peers[peer].gone, memory_order_acquire);
}

bool uni_world_take(struct uni_world *world, int from, bool (*match)(const struct uni_letter *, const void *),
                    const void *what, struct uni_letter *letter) {
  bool found = false;
  pthread_mutex_lock(&world->lock);
  drain(world, from);
  for (struct uni_inbox_entry **e = &world->inbox; *e && !found; e = found ? e : &(*e)->next)
    if ((*e)->from == from && match(&(*e)->letter, what)) {
      struct uni_inbox_entry *taken = *e;
      *letter = taken->letter;
      *e = taken->next;
      free(taken);
      found = true;
    }
  pthread_mutex_unlock(&world->lock);
  return found;
}

static int socket_of(struct uni_world *world, int peer) {
  pthread_mutex_lock(&world->lock);
  int socket = world->peers[peer].socket;
  pthread_mutex_unlock(&world->lock);
  return socket;
}

unisono_status uni_world_await(struct uni_world *world, int from,
                               bool (*match)(const struct uni_letter *, const void *), const void *what,
                               int64_t deadline, struct uni_letter *letter) {
  for (;;) {
    uni_world_look(world, false);
    bool gone = uni_world_is_gone(world, from);
    if (uni_world_take(world, from, match, what, letter))
      return UNISONO_OK;
    if (gone)
      return UNISONO_ERROR_PEER_LOST;
    if (uni_now() >= deadline)
      return UNISONO_ERROR_TIMEOUT;
    struct pollfd p = {.fd = socket_of(world, from), .events = POLLIN};
    poll(&p, 1, uni_ms_until(deadline, AWAIT_SLICE_MS));
  }
}

static struct uni_segment *known_segment(struct uni_world *world, int peer, uint32_t id) {
  struct uni_peer *p = &world->peers[peer];
  return id < p->memory_count ? p->memory[id] : NULL;
}

struct uni_segment *uni_world_segment(struct uni_world *world, int peer, uint32_t id) {
  pthread_mutex_lock(&world->lock);
  struct uni_segment *segment = known_segment(world, peer, id);
  if (!segment) { /* its letter was sent before its id was published */
    drain(world, peer);
    segment = known_segment(world, peer, id);
  }
  pthread_mutex_unlock(&world->lock);
  if (!segment)
    uni_fail(UNISONO_ERROR_SYSTEM, "segment %u of rank %d cannot be mapped here", id, peer);
  return segment;
}
