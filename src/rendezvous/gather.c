#include "rendezvous/gather.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "clock.h"
#include "error.h"
#include "log.h"
#include "rendezvous/demand.h"
#include "rendezvous/letter.h"
#include "rendezvous/seal.h"

enum {
  PROTOCOL = 2,
  WAITING_ROOM = 128, /* connections that have not shown the secret yet */
  SILENCE_MS = 2000,  /* that one of them may keep when others want in */
  PATIENCE_MS = 5000, /* for one frame to a rank that is there */
  GREETING_MS = 1000,
  GRACE_MS = 1000, /* rank 0 says at its time limit who is missing */
  TEXT = 400
};

struct resident {
  uint64_t kernel, place;
  struct uni_demand demand;
};

struct hello {
  uint32_t protocol, rank, size, unused;
  uint64_t left_ms;
  struct resident who;
};

struct refusal {
  uint32_t status;
  char text[TEXT];
};

static unisono_status register_here(int threads, struct resident *who) {
  uni_demand_here(threads, &who->demand);
  return uni_identity_place(&who->kernel, &who->place);
}

void uni_roster_free(struct uni_roster *roster) {
  for (int r = 0; roster->wires && r < roster->size; r++)
    uni_wire_close(roster->wires[r]);
  free(roster->wires);
  free(roster->machine);
  free(roster->crowded);
  *roster = (struct uni_roster){0};
}

int uni_roster_local(const struct uni_roster *roster, int *local_rank) {
  int n = 0;
  for (int r = 0; r < roster->size; r++) {
    if (r == roster->rank)
      *local_rank = n;
    n += roster->machine[r] == roster->machine[roster->rank];
  }
  return n;
}

static unisono_status roster_new(int size, int rank, struct uni_roster *roster) {
  *roster = (struct uni_roster){.size = size, .rank = rank};
  roster->machine = calloc((size_t)size, sizeof *roster->machine);
  roster->crowded = calloc((size_t)size, sizeof *roster->crowded);
  roster->wires = calloc((size_t)size, sizeof *roster->wires);
  if (roster->machine && roster->crowded && roster->wires)
    return UNISONO_OK;
  uni_roster_free(roster);
  return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a list of %d ranks", size);
}

/* ---- rank 0 */

struct stranger { /* connected, and has not said yet who it is */
  struct uni_wire *wire;
  int64_t came;
};

struct uni_gathering {
  int listener, epoll, size, present;
  int door; /* where ranks of this machine look for rank 0 first; -1: somebody else attends to it */
  unsigned char key[UNI_WIRE_SECRET];
  int64_t deadline; /* the first of all present ranks' */
  struct uni_wire **wires;
  struct resident *residents; /* the ranks */
  struct stranger room[WAITING_ROOM];
  int waiting;
  unisono_status status; /* what is wrong with the ranks */
  char text[TEXT];
};

/* A connection to each rank, beside what the application needs. */
static void need_descriptors(int size) {
  enum { BESIDE = 512 };
  struct rlimit limit;
  rlim_t wanted = (rlim_t)size + BESIDE;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
    return;
  limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit); /* where that fails, the connection that is too many does */
}

unisono_status uni_gathering_open(const struct uni_identity *identity, int size, int threads,
                                  int64_t deadline, struct uni_gathering **out) {
  *out = NULL;
  unisono_status status = uni_seal_start();
  if (status)
    return status;
  struct uni_gathering *g = calloc(1, sizeof *g);
  if (!g)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for meeting %d ranks", size);
  need_descriptors(size);
  g->listener = g->door = -1;
  g->size = size;
  g->deadline = deadline;
  g->wires = calloc((size_t)size, sizeof *g->wires);
  g->residents = calloc((size_t)size, sizeof *g->residents);
  g->epoll = epoll_create1(EPOLL_CLOEXEC);
  uni_identity_key(identity, g->key, sizeof g->key);
  status = !g->wires || !g->residents ? uni_fail(UNISONO_ERROR_MEMORY, "no memory for meeting %d ranks", size)
           : g->epoll < 0             ? uni_fail_errno("epoll_create1")
                                      : register_here(threads, &g->residents[0]);
  if (!status)
    status = uni_listen(&identity->addresses, &g->listener);
  struct epoll_event event = {.events = EPOLLIN};
  if (!status && epoll_ctl(g->epoll, EPOLL_CTL_ADD, g->listener, &event) != 0)
    status = uni_fail_errno("waiting for ranks");
  if (status)
    uni_gathering_close(g);
  else
    *out = g;
  return status;
}

void uni_gathering_close(struct uni_gathering *g) {
  if (!g)
    return;
  for (int i = 0; i < g->waiting; i++)
    uni_wire_close(g->room[i].wire);
  for (int r = 0; g->wires && r < g->size; r++)
    uni_wire_close(g->wires[r]);
  if (g->listener >= 0)
    close(g->listener);
  if (g->door >= 0)
    close(g->door);
  if (g->epoll >= 0)
    close(g->epoll);
  free(g->wires);
  free(g->residents);
  uni_seal_forget(g, sizeof *g);
  free(g);
}

int uni_gathering_fd(const struct uni_gathering *g) {
  return g->epoll;
}

bool uni_gathering_has_begun(const struct uni_gathering *g) {
  return g->present > 0 || g->status;
}

static void leave_room(struct uni_gathering *g, int i) {
  memmove(&g->room[i], &g->room[i + 1], (size_t)(g->waiting - i - 1) * sizeof *g->room);
  g->waiting--;
}

static void send_away(struct uni_gathering *g, int i, const char *why) {
  uni_log(UNI_LOG_WARN, "somebody at the port where ranks meet was sent away: %s", why);
  uni_wire_close(g->room[i].wire);
  leave_room(g, i);
}

static void accept_all(struct uni_gathering *g) {
  for (;;) {
    if (g->waiting == WAITING_ROOM && uni_now() - g->room[0].came < SILENCE_MS * UNI_MS)
      return; /* who cannot be let in waits in the system's queue */
    if (g->waiting == WAITING_ROOM)
      send_away(g, 0, "it was silent");
    int fd = accept4(g->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
      return;
    struct stranger s = {.came = uni_now()};
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP};
    if (uni_wire_open(fd, true, g->key, &s.wire))
      continue;
    epoll_ctl(g->epoll, EPOLL_CTL_ADD, fd, &event);
    g->room[g->waiting++] = s;
  }
}

static void refuse(struct uni_wire *wire, unisono_status status, const char *text) {
  struct refusal refusal = {.status = (uint32_t)status};
  snprintf(refusal.text, sizeof refusal.text, "%s", text);
  uni_wire_send(wire, UNI_FRAME_REFUSED, &refusal, sizeof refusal, uni_deadline(PATIENCE_MS));
}

static void object(struct uni_gathering *g, unisono_status status) {
  if (g->status)
    return;
  g->status = status;
  snprintf(g->text, sizeof g->text, "%s", unisono_last_error());
}

/* A rank that knows the secret: may it sit down? What is wrong here is wrong for all. */
static void seat(struct uni_gathering *g, struct uni_wire *wire, const struct hello *hello) {
  if (hello->protocol != PROTOCOL)
    object(g, uni_fail(UNISONO_ERROR_MISMATCH, "rank %u runs another version of unisono than rank 0",
                       hello->rank));
  else if (hello->size != (uint32_t)g->size)
    object(g, uni_fail(UNISONO_ERROR_MISMATCH,
                       "rank %u was told that there are %u ranks, rank 0 that there are %d", hello->rank,
                       hello->size, g->size));
  else if (hello->rank < 1 || hello->rank >= (uint32_t)g->size || g->wires[hello->rank])
    object(g,
           uni_fail(UNISONO_ERROR_INVALID, "rank %u was given to two processes; ranks are 0 to %d, each once",
                    hello->rank, g->size - 1));
  if (g->status) {
    refuse(wire, g->status, g->text);
    uni_wire_close(wire);
    return;
  }
  g->wires[hello->rank] = wire;
  g->residents[hello->rank] = hello->who;
  g->present++;
  int64_t deadline = hello->left_ms > INT32_MAX ? UNI_NEVER : uni_deadline((int)hello->left_ms);
  g->deadline = deadline < g->deadline ? deadline : g->deadline;
}

static void hear(struct uni_gathering *g, int i) {
  struct uni_frame frame;
  struct uni_wire *wire = g->room[i].wire;
  enum uni_wire_event e = uni_wire_next(wire, &frame);
  if (e == UNI_WIRE_NOTHING)
    return;
  if (e != UNI_WIRE_FRAME || frame.kind != UNI_FRAME_HELLO || frame.bytes != sizeof(struct hello)) {
    send_away(g, i, e == UNI_WIRE_CLOSED ? "it hung up" : "it does not know the secret");
    return;
  }
  struct hello hello;
  memcpy(&hello, frame.body, sizeof hello);
  leave_room(g, i);
  seat(g, wire, &hello);
}

/* A rank that is here already must not hang up while the others are awaited. */
static void check_present(struct uni_gathering *g) {
  struct uni_frame frame;
  for (int r = 1; r < g->size; r++)
    if (g->wires[r] && uni_wire_next(g->wires[r], &frame) != UNI_WIRE_NOTHING) {
      object(g, uni_fail(UNISONO_ERROR_PEER_LOST, "rank %d died or gave up while the ranks were meeting", r));
      uni_wire_close(g->wires[r]);
      g->wires[r] = NULL;
    }
}

void uni_gathering_attend(struct uni_gathering *g, int door) {
  struct epoll_event event = {.events = EPOLLIN};
  g->door = door;
  epoll_ctl(g->epoll, EPOLL_CTL_ADD, door, &event); /* where that fails, it is looked at now and then */
}

static void send_here(struct uni_gathering *g) {
  struct uni_letter letter;
  uni_letter_init(&letter, UNI_ELSEWHERE);
  for (int fd; (fd = accept4(g->door, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0; close(fd))
    uni_letter_send(fd, &letter);
}

void uni_gathering_step(struct uni_gathering *g) {
  accept_all(g);
  if (g->door >= 0)
    send_here(g);
  for (int i = g->waiting - 1; i >= 0; i--)
    hear(g, i);
  check_present(g);
}

static unisono_status name_missing(const struct uni_gathering *g) {
  char list[160] = "";
  size_t used = 0;
  for (int r = 1; r < g->size && used < sizeof list - 16; r++)
    if (!g->wires[r])
      used += (size_t)snprintf(list + used, sizeof list - used, "%s%d", used ? ", " : "", r);
  return uni_fail(UNISONO_ERROR_TIMEOUT, "%d of %d ranks did not come to the meeting in time: %s%s",
                  g->size - 1 - g->present, g->size, list, used >= sizeof list - 16 ? ", ..." : "");
}

static void number_machines(const struct uni_gathering *g, struct uni_roster *roster) {
  for (int r = 0; r < g->size; r++) {
    const struct resident *who = g->residents;
    int same = r && who[r].place == who[r - 1].place ? r - 1 : 0; /* mostly, neighbours share a machine */
    while (who[same].place != who[r].place)
      same++;
    roster->machine[r] = same < r ? roster->machine[same] : roster->machines++;
  }
}

/* Takes together the ranks of a kernel, whatever their machines. */
static void mark_crowd(const struct uni_gathering *g, uint64_t kernel, struct uni_demand *room,
                       struct uni_roster *roster) {
  int n = 0;
  for (int r = 0; r < g->size; r++)
    if (g->residents[r].kernel == kernel) {
      room[n] = g->residents[r].demand;
      room[n++].processors = 0; /* a quota is each container's own, and looked at when its ranks meet */
    }
  bool crowded = uni_demands_crowd(room, n);
  for (int r = 0; r < g->size; r++)
    if (g->residents[r].kernel == kernel)
      roster->crowded[r] = crowded;
}

static unisono_status mark_crowds(const struct uni_gathering *g, struct uni_roster *roster) {
  struct uni_demand *room = calloc((size_t)g->size, sizeof *room);
  if (!room)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for a list of %d ranks", g->size);
  for (int r = 0, machines = 0; r < g->size; r++) {
    if (roster->machine[r] < machines)
      continue;
    machines++; /* r is the first rank of a machine */
    mark_crowd(g, g->residents[r].kernel, room, roster);
  }
  free(room);
  return UNISONO_OK;
}

static unisono_status send_roster(struct uni_gathering *g, const struct uni_roster *roster) {
  size_t n = (size_t)g->size, numbers = n * sizeof *roster->machine, flags = n * sizeof *roster->crowded;
  size_t bytes = UNI_SESSION + numbers + flags;
  unsigned char *body = malloc(bytes);
  if (!body)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for the list of ranks");
  memcpy(body, roster->session, UNI_SESSION);
  memcpy(body + UNI_SESSION, roster->machine, numbers);
  memcpy(body + UNI_SESSION + numbers, roster->crowded, flags);
  unisono_status status = UNISONO_OK;
  for (int r = 1; r < g->size && !status; r++)
    if (!uni_wire_send(g->wires[r], UNI_FRAME_ROSTER, body, bytes, uni_deadline(PATIENCE_MS)))
      status =
          uni_fail(UNISONO_ERROR_PEER_LOST, "rank %d died or was cut off while the ranks were meeting", r);
  free(body);
  return status;
}

static unisono_status gather_all(struct uni_gathering *g) {
  for (;;) {
    uni_gathering_step(g);
    if (g->status)
      return uni_fail(g->status, "%s", g->text);
    if (g->present == g->size - 1)
      return UNISONO_OK;
    if (uni_now() >= g->deadline)
      return name_missing(g);
    struct pollfd p = {.fd = g->epoll, .events = POLLIN};
    poll(&p, 1, uni_ms_until(g->deadline, 100));
  }
}

/* Tells all who are there, and those who come in the next moments. */
static void refuse_all(struct uni_gathering *g, unisono_status status) {
  char text[TEXT];
  snprintf(text, sizeof text, "%s", unisono_last_error());
  for (int r = 1; r < g->size; r++)
    if (g->wires[r])
      refuse(g->wires[r], status, text);
  g->status = status;
  memcpy(g->text, text, sizeof text);
  bool linger = status == UNISONO_ERROR_MISMATCH || status == UNISONO_ERROR_INVALID;
  for (int64_t end = uni_now() + GRACE_MS * UNI_MS; linger && uni_now() < end; uni_sleep_ms(10))
    uni_gathering_step(g);
  uni_fail(status, "%s", text);
}

unisono_status uni_gathering_finish(struct uni_gathering *g, struct uni_roster *roster) {
  unisono_status status = roster_new(g->size, 0, roster);
  if (!status)
    status = gather_all(g);
  if (!status) {
    uni_seal_random(roster->session, sizeof roster->session);
    number_machines(g, roster);
    status = mark_crowds(g, roster);
  }
  if (!status)
    status = send_roster(g, roster);
  if (status) {
    refuse_all(g, status);
    uni_roster_free(roster);
    return status;
  }
  memcpy(roster->wires, g->wires, (size_t)g->size * sizeof *g->wires);
  memset(g->wires, 0, (size_t)g->size * sizeof *g->wires);
  if (g->size > 1)
    uni_iface_of(uni_wire_socket(roster->wires[g->size - 1]), roster->iface);
  return UNISONO_OK;
}

/* ---- the others */

unisono_status uni_gather_connect(const struct uni_identity *identity, unsigned attempt, int patience_ms,
                                  int64_t deadline, struct uni_wire **wire) {
  unsigned char key[UNI_WIRE_SECRET];
  int fd;
  *wire = NULL;
  unisono_status status =
      uni_connect(&identity->addresses, attempt, uni_ms_until(deadline, patience_ms), &fd);
  if (status || fd < 0)
    return status;
  uni_identity_key(identity, key, sizeof key);
  status = uni_wire_open(fd, false, key, wire);
  int64_t patience = uni_deadline(GREETING_MS);
  if (!status && uni_wire_greet(*wire, patience < deadline ? patience : deadline) != UNI_WIRE_FRAME) {
    uni_wire_close(*wire); /* somebody else's port */
    *wire = NULL;
  }
  return status;
}

static unisono_status read_roster(const struct uni_frame *frame, struct uni_roster *roster) {
  size_t numbers = (size_t)roster->size * sizeof *roster->machine;
  size_t flags = (size_t)roster->size * sizeof *roster->crowded;
  struct refusal refusal;
  if (frame->kind == UNI_FRAME_REFUSED && frame->bytes == sizeof refusal) {
    memcpy(&refusal, frame->body, sizeof refusal);
    refusal.text[TEXT - 1] = 0;
    return uni_fail((unisono_status)refusal.status, "%s", refusal.text);
  }
  if (frame->kind != UNI_FRAME_ROSTER || frame->bytes != UNI_SESSION + numbers + flags)
    return uni_fail(UNISONO_ERROR_SYSTEM, "rank 0 sent something out of order while meeting");
  memcpy(roster->session, frame->body, UNI_SESSION);
  memcpy(roster->machine, frame->body + UNI_SESSION, numbers);
  for (int r = 0; r < roster->size; r++)
    if (roster->machine[r] >= roster->machines)
      roster->machines = roster->machine[r] + 1;
  const unsigned char *flag = frame->body + UNI_SESSION + numbers;
  for (int r = 0; r < roster->size; r++)
    roster->crowded[r] = flag[r] != 0;
  return UNISONO_OK;
}

static unisono_status await_roster(struct uni_wire *wire, int64_t deadline, struct uni_roster *roster) {
  struct uni_frame frame;
  switch (uni_wire_await(wire, &frame, deadline == UNI_NEVER ? deadline : deadline + GRACE_MS * UNI_MS)) {
  case UNI_WIRE_FRAME:
    return read_roster(&frame, roster);
  case UNI_WIRE_NOTHING:
    return uni_fail(UNISONO_ERROR_TIMEOUT, "not all ranks came to the meeting in time: rank 0 still waits");
  case UNI_WIRE_STRANGER:
    return uni_fail(UNISONO_ERROR_INVALID,
                    "rank 0 has another secret than rank %d; start all ranks with the "
                    "same unique id or UNISONO_SECRET",
                    roster->rank);
  case UNI_WIRE_CLOSED:
    break;
  }
  return uni_fail(UNISONO_ERROR_PEER_LOST,
                  "rank 0 died, was cut off or refused rank %d while the ranks were meeting "
                  "(is UNISONO_SECRET the same on all ranks?)",
                  roster->rank);
}

unisono_status uni_gather_join(struct uni_wire *wire, int size, int rank, int threads, int64_t deadline,
                               struct uni_roster *roster) {
  struct hello hello = {.protocol = PROTOCOL, .rank = (uint32_t)rank, .size = (uint32_t)size};
  hello.left_ms = deadline == UNI_NEVER ? UINT64_MAX : (uint64_t)uni_ms_until(deadline, INT32_MAX);
  unisono_status status = roster_new(size, rank, roster);
  if (status) {
    uni_wire_close(wire);
    return status;
  }
  roster->wires[0] = wire;
  status = register_here(threads, &hello.who);
  if (!status) {
    uni_wire_send(wire, UNI_FRAME_HELLO, &hello, sizeof hello, deadline);
    status = await_roster(wire, deadline, roster);
  }
  if (status)
    uni_roster_free(roster);
  else
    uni_iface_of(uni_wire_socket(wire), roster->iface);
  return status;
}
