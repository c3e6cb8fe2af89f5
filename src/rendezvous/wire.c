#include "rendezvous/wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "error.h"
#include "rendezvous/seal.h"

enum {
  NONCE = 32,
  MOST_AT_FIRST = 4096, /* bytes of a frame from somebody who has not shown the secret */
  MOST = 64 << 20,
  KEEPALIVES = 4
};

static const unsigned char magic[8] = {'U', 'N', 'I', 'W', 'I', 'R', 'E', '1'};

struct greeting {
  unsigned char magic[8], nonce[NONCE];
};

struct way { /* one direction */
  unsigned char key[UNI_SEAL_KEY];
  uint64_t frames;
};

struct uni_wire {
  int socket;
  bool host, proven;    /* proven: a frame of the other side was genuine */
  _Atomic bool greeted; /* the other side's greeting is there, and with it the keys */
  unsigned char secret[UNI_WIRE_SECRET];
  struct greeting mine;
  struct way in, out;
  unsigned char *read; /* what has come */
  size_t have, room, taken;
  pthread_mutex_t sending; /* guards `out` */
  bool torn;
};

/* ---- opening */

/* Finds out within seconds that nobody is there any more, the stopped process of a living machine excepted:
 * its kernel answers. */
static void keep_alive(int socket) {
  int on = 1, idle = 1, interval = 1, probes = KEEPALIVES, silence = UNI_WIRE_SILENCE_MS;
  setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
  setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence, sizeof silence);
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

unisono_status uni_wire_open(int socket, bool host, const unsigned char secret[UNI_WIRE_SECRET],
                             struct uni_wire **out) {
  struct uni_wire *wire = calloc(1, sizeof *wire);
  *out = NULL;
  unisono_status status = uni_seal_start();
  if (!wire || status) {
    free(wire);
    close(socket);
    return status ? status : uni_fail(UNISONO_ERROR_MEMORY, "no memory for a connection to another machine");
  }
  wire->socket = socket;
  wire->host = host;
  memcpy(wire->secret, secret, sizeof wire->secret);
  memcpy(wire->mine.magic, magic, sizeof magic);
  uni_seal_random(wire->mine.nonce, sizeof wire->mine.nonce);
  pthread_mutex_init(&wire->sending, NULL);
  keep_alive(socket);
  /* fits into the empty buffer of a new socket; where not, the other side misses it and hangs up */
  ssize_t sent = send(socket, &wire->mine, sizeof wire->mine, MSG_NOSIGNAL | MSG_DONTWAIT);
  wire->torn = sent != (ssize_t)sizeof wire->mine;
  *out = wire;
  return UNISONO_OK;
}

void uni_wire_close(struct uni_wire *wire) {
  if (!wire)
    return;
  close(wire->socket);
  free(wire->read);
  pthread_mutex_destroy(&wire->sending);
  uni_seal_forget(wire, sizeof *wire);
  free(wire);
}

int uni_wire_socket(const struct uni_wire *wire) {
  return wire->socket;
}

/* ---- keys */

static void make_key(const struct uni_wire *wire, const struct greeting *theirs, bool from_host,
                     struct way *way) {
  unsigned char direction = from_host;
  const struct greeting *host = wire->host ? &wire->mine : theirs, *guest = wire->host ? theirs : &wire->mine;
  const struct uni_bytes parts[] = {{magic, sizeof magic},
                                    {host->nonce, sizeof host->nonce},
                                    {guest->nonce, sizeof guest->nonce},
                                    {&direction, sizeof direction}};
  uni_seal_hash(way->key, sizeof way->key, (struct uni_bytes){wire->secret, sizeof wire->secret}, parts, 4);
}

static bool take_greeting(struct uni_wire *wire) {
  struct greeting theirs;
  memcpy(&theirs, wire->read + wire->taken, sizeof theirs);
  wire->taken += sizeof theirs;
  if (memcmp(theirs.magic, magic, sizeof magic) != 0)
    return false;
  make_key(wire, &theirs, !wire->host, &wire->in);
  make_key(wire, &theirs, wire->host, &wire->out);
  /* release: a sender that sees it has the key */
  atomic_store_explicit(&wire->greeted, true, memory_order_release);
  return true;
}

/* ---- reading */

static bool make_room(struct uni_wire *wire, size_t bytes) {
  if (wire->taken) {
    memmove(wire->read, wire->read + wire->taken, wire->have - wire->taken);
    wire->have -= wire->taken;
    wire->taken = 0;
  }
  if (bytes <= wire->room)
    return true;
  unsigned char *grown = realloc(wire->read, bytes);
  if (!grown)
    return false;
  wire->read = grown;
  wire->room = bytes;
  return true;
}

/* Has `bytes` of what is not taken yet, or reads more. */
static enum uni_wire_event need(struct uni_wire *wire, size_t bytes) {
  while (wire->have - wire->taken < bytes) {
    if (!make_room(wire, bytes))
      return UNI_WIRE_CLOSED;
    ssize_t got = recv(wire->socket, wire->read + wire->have, wire->room - wire->have, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
      return UNI_WIRE_NOTHING;
    if (got <= 0)
      return UNI_WIRE_CLOSED;
    wire->have += (size_t)got;
  }
  return UNI_WIRE_FRAME;
}

static uint32_t length_at(const struct uni_wire *wire) {
  uint32_t length;
  memcpy(&length, wire->read + wire->taken, sizeof length);
  return length;
}

static enum uni_wire_event read_greeting(struct uni_wire *wire) {
  if (atomic_load_explicit(&wire->greeted, memory_order_relaxed))
    return UNI_WIRE_FRAME;
  enum uni_wire_event e = need(wire, sizeof(struct greeting));
  if (e == UNI_WIRE_FRAME && !take_greeting(wire))
    return UNI_WIRE_STRANGER;
  return e;
}

/* A frame: its length (4 bytes), then the seal around kind and body. */
enum uni_wire_event uni_wire_next(struct uni_wire *wire, struct uni_frame *frame) {
  enum uni_wire_event e = read_greeting(wire);
  if (e == UNI_WIRE_FRAME)
    e = need(wire, sizeof(uint32_t));
  if (e != UNI_WIRE_FRAME)
    return e;
  uint32_t length = length_at(wire);
  if (length < UNI_SEAL_BYTES + sizeof(uint32_t) || length > (uint32_t)(wire->proven ? MOST : MOST_AT_FIRST))
    return UNI_WIRE_STRANGER;
  e = need(wire, sizeof length + length);
  if (e != UNI_WIRE_FRAME)
    return e;
  unsigned char *sealed = wire->read + wire->taken + sizeof length;
  if (!uni_seal_open(sealed, length, wire->in.frames++, wire->in.key))
    return UNI_WIRE_STRANGER;
  wire->proven = true;
  memcpy(&frame->kind, sealed, sizeof frame->kind);
  frame->body = sealed + sizeof frame->kind;
  frame->bytes = length - UNI_SEAL_BYTES - sizeof frame->kind;
  wire->taken += sizeof length + length;
  return UNI_WIRE_FRAME;
}

enum uni_wire_event uni_wire_await(struct uni_wire *wire, struct uni_frame *frame, int64_t deadline) {
  for (;;) {
    enum uni_wire_event e = uni_wire_next(wire, frame);
    if (e != UNI_WIRE_NOTHING || uni_now() >= deadline)
      return e;
    struct pollfd p = {.fd = wire->socket, .events = POLLIN};
    poll(&p, 1, uni_ms_until(deadline, 1000));
  }
}

enum uni_wire_event uni_wire_greet(struct uni_wire *wire, int64_t deadline) {
  for (;;) {
    enum uni_wire_event e = read_greeting(wire);
    if (e != UNI_WIRE_NOTHING || uni_now() >= deadline)
      return e;
    struct pollfd p = {.fd = wire->socket, .events = POLLIN};
    poll(&p, 1, uni_ms_until(deadline, 1000));
  }
}

/* ---- sending */

static bool send_all(struct uni_wire *wire, const unsigned char *data, size_t bytes, int64_t deadline) {
  while (bytes) {
    ssize_t sent = send(wire->socket, data, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN && errno != EINTR)
      return false;
    if (sent > 0) {
      data += sent;
      bytes -= (size_t)sent;
      continue;
    }
    if (uni_now() >= deadline)
      return false;
    struct pollfd p = {.fd = wire->socket, .events = POLLOUT};
    poll(&p, 1, uni_ms_until(deadline, 100));
  }
  return true;
}

bool uni_wire_send(struct uni_wire *wire, uint32_t kind, const void *body, size_t bytes, int64_t deadline) {
  uint32_t length = (uint32_t)(UNI_SEAL_BYTES + sizeof kind + bytes);
  unsigned char *frame = malloc(sizeof length + length);
  if (!frame || bytes > MOST / 2 ||
      !atomic_load_explicit(&wire->greeted, memory_order_acquire)) { /* as take_greeting says */
    free(frame);
    return false;
  }
  memcpy(frame, &length, sizeof length);
  unsigned char *sealed = frame + sizeof length;
  memcpy(sealed, &kind, sizeof kind);
  if (bytes)
    memcpy(sealed + sizeof kind, body, bytes);
  pthread_mutex_lock(&wire->sending);
  uni_seal_close(sealed, sizeof kind + bytes, wire->out.frames++, wire->out.key);
  bool sent = !wire->torn && send_all(wire, frame, sizeof length + length, deadline);
  wire->torn = !sent;
  pthread_mutex_unlock(&wire->sending);
  free(frame);
  return sent;
}
