/* The peer is what anybody would write over sockets: a ring all-reduce of float32 over loopback TCP. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "paired.h"

static int to_next, from_previous;
static float *arrived; /* a block on its way in */
static size_t room;

static void must(const struct world *world, const char *what, bool fine) {
  if (!fine)
    fail(world, what, strerror(errno));
}

static int new_socket(const struct world *world) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  must(world, "socket", fd >= 0);
  return fd;
}

static struct sockaddr_in loopback(uint16_t port) {
  return (struct sockaddr_in){
      .sin_family = AF_INET, .sin_port = port, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
}

static void at_once(int fd) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void peer_start(const struct world *world) {
  struct sockaddr_in address = loopback(0);
  socklen_t length = sizeof address;
  int listener = new_socket(world);
  must(world, "bind", bind(listener, (struct sockaddr *)&address, length) == 0 && listen(listener, 1) == 0);
  must(world, "getsockname", getsockname(listener, (struct sockaddr *)&address, &length) == 0);
  uint16_t *ports = calloc((size_t)world->size, sizeof *ports);
  must(world, "calloc", ports != NULL);
  if (unisono_all_gather(&address.sin_port, ports, 1, UNISONO_UINT16, world->comm) != UNISONO_OK)
    fail(world, "all_gather", unisono_last_error());
  address = loopback(ports[(world->rank + 1) % world->size]);
  to_next = new_socket(world);
  must(world, "connect", connect(to_next, (struct sockaddr *)&address, sizeof address) == 0);
  from_previous = accept(listener, NULL, NULL);
  must(world, "accept", from_previous >= 0);
  at_once(to_next);
  at_once(from_previous);
  close(listener);
  free(ports);
}

bool peer_can(enum operation operation, unisono_dtype dtype) {
  return operation == ALL_REDUCE && dtype == UNISONO_FLOAT32;
}

static size_t moved(const struct world *world, ssize_t n) {
  must(world, "send or recv", n > 0 || (n < 0 && errno == EAGAIN));
  return n > 0 ? (size_t)n : 0;
}

/* Sends and receives at the same time; sleeps when neither moves. */
static void exchange(const struct world *world, const float *out, size_t out_count, float *in,
                     size_t in_count) {
  size_t to_send = out_count * sizeof *out, to_receive = in_count * sizeof *in;
  const char *o = (const char *)out;
  char *i = (char *)in;
  while (to_send || to_receive) {
    size_t sent = to_send ? moved(world, send(to_next, o, to_send, MSG_DONTWAIT | MSG_NOSIGNAL)) : 0;
    size_t received = to_receive ? moved(world, recv(from_previous, i, to_receive, MSG_DONTWAIT)) : 0;
    o += sent;
    i += received;
    to_send -= sent;
    to_receive -= received;
    if (sent == 0 && received == 0) {
      struct pollfd ends[2] = {{.fd = to_send ? to_next : -1, .events = POLLOUT},
                               {.fd = to_receive ? from_previous : -1, .events = POLLIN}};
      poll(ends, 2, -1);
    }
  }
}

/* Block b of the n that `count` elements are divided into begins here. */
static size_t begin_of(size_t count, int b, int n) {
  return count * (size_t)b / (size_t)n;
}

static void make_room(const struct world *world, size_t count) {
  if (count <= room)
    return;
  free(arrived);
  arrived = malloc(count * sizeof *arrived);
  must(world, "malloc", arrived != NULL);
  room = count;
}

/* One step round the ring: a block goes on to the next rank, another comes in. */
static void step(const struct call *c, int out, bool adds) {
  int n = c->world->size, in = (out + n - 1) % n;
  float *x = c->recv;
  size_t from = begin_of(c->count, out, n), to = begin_of(c->count, out + 1, n);
  size_t at = begin_of(c->count, in, n), count = begin_of(c->count, in + 1, n) - at;
  exchange(c->world, x + from, to - from, adds ? arrived : x + at, count);
  for (size_t i = 0; adds && i < count; i++)
    x[at + i] += arrived[i];
}

void peer_run(const struct call *c) {
  int n = c->world->size, rank = c->world->rank;
  make_room(c->world, c->count / (size_t)n + 1);
  if (c->send != c->recv)
    memcpy(c->recv, c->send, c->count * sizeof(float));
  for (int s = 0; s < n - 1; s++) /* reduce-scatter */
    step(c, (rank - s + n) % n, true);
  for (int s = 0; s < n - 1; s++) /* all-gather */
    step(c, (rank + 1 - s + n) % n, false);
}

void peer_stop(void) {
  close(to_next);
  close(from_previous);
  free(arrived);
}
