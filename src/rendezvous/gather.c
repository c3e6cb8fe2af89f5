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
#include "rendezvous/frames.h"
#include "rendezvous/letter.h"
#include "rendezvous/seal.h"

enum {
  WAITING_ROOM = 128, /* connections that have not shown the secret yet */
  SILENCE_MS = 2000,  /* that one of them may keep when others want in */
  PATIENCE_MS = 5000, /* for one frame to a rank that is there */
  LINGER_MS = 1000    /* to tell those who come too late what is wrong */
};

unisono_status uni_resident_here(int threads, struct uni_resident *who) {
  uni_demand_here(threads, &who->demand);
  return uni_identity_place(&who->kernel, &who->place);
}

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
  struct uni_resident *residents; /* the ranks */
  struct stranger room[WAITING_ROOM];
  int waiting;
  unisono_status status; /* what is wrong with the ranks */
  char text[UNI_REFUSAL_TEXT];
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
                                      : uni_resident_here(threads, &g->residents[0]);
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
  struct uni_refusal refusal = {.status = (uint32_t)status};
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
static void seat(struct uni_gathering *g, struct uni_wire *wire, const struct uni_card *card) {
  if (card->version != UNI_FRAMES_VERSION)
    object(g, uni_fail(UNISONO_ERROR_MISMATCH, "rank %u runs another version of unisono than rank 0",
                       card->rank));
  else if (card->size != (uint32_t)g->size)
    object(g, uni_fail(UNISONO_ERROR_MISMATCH,
                       "rank %u was told that there are %u ranks, rank 0 that there are %d", card->rank,
                       card->size, g->size));
  else if (card->rank < 1 || card->rank >= (uint32_t)g->size || g->wires[card->rank])
    object(g,
           uni_fail(UNISONO_ERROR_INVALID, "rank %u was given to two processes; ranks are 0 to %d, each once",
                    card->rank, g->size - 1));
  if (g->status) {
    refuse(wire, g->status, g->text);
    uni_wire_close(wire);
    return;
  }
  g->wires[card->rank] = wire;
  g->residents[card->rank] = card->who;
  g->present++;
  int64_t deadline = card->left_ms > INT32_MAX ? UNI_NEVER : uni_deadline((int)card->left_ms);
  g->deadline = deadline < g->deadline ? deadline : g->deadline;
}

static void hear(struct uni_gathering *g, int i) {
  struct uni_frame frame;
  struct uni_wire *wire = g->room[i].wire;
  enum uni_wire_event e = uni_wire_next(wire, &frame);
  if (e == UNI_WIRE_NOTHING)
    return;
  if (e != UNI_WIRE_FRAME || frame.kind != UNI_FRAME_CARD || frame.bytes != sizeof(struct uni_card)) {
    send_away(g, i, e == UNI_WIRE_CLOSED ? "it hung up" : "it does not know the secret");
    return;
  }
  struct uni_card card;
  memcpy(&card, frame.body, sizeof card);
  leave_room(g, i);
  seat(g, wire, &card);
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
    const struct uni_resident *who = g->residents;
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
  size_t bytes;
  unsigned char *packed = uni_roster_pack(roster, &bytes);
  if (!packed)
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for the list of ranks");
  unisono_status status = UNISONO_OK;
  for (int r = 1; r < g->size && !status; r++)
    if (!uni_wire_send(g->wires[r], UNI_FRAME_ROSTER, packed, bytes, uni_deadline(PATIENCE_MS)))
      status =
          uni_fail(UNISONO_ERROR_PEER_LOST, "rank %d died or was cut off while the ranks were meeting", r);
  free(packed);
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
  char text[UNI_REFUSAL_TEXT];
  snprintf(text, sizeof text, "%s", unisono_last_error());
  for (int r = 1; r < g->size; r++)
    if (g->wires[r])
      refuse(g->wires[r], status, text);
  g->status = status;
  memcpy(g->text, text, sizeof text);
  bool linger = status == UNISONO_ERROR_MISMATCH || status == UNISONO_ERROR_INVALID;
  for (int64_t end = uni_now() + LINGER_MS * UNI_MS; linger && uni_now() < end; uni_sleep_ms(10))
    uni_gathering_step(g);
  uni_fail(status, "%s", text);
}

unisono_status uni_gathering_finish(struct uni_gathering *g, struct uni_roster *roster) {
  unisono_status status = uni_roster_new(g->size, 0, roster);
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
