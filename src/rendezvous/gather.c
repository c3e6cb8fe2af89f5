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

/* A rank's. Each is in the end SETTLED, and may be AWAY before, at any time. */
struct seat {
  enum { EMPTY, AWAY, HERE, TOLD /* the list was sent */, SETTLED /* and it has it */ } state;
  struct uni_wire *wire; /* from HERE on */
  uint64_t process;
  int64_t left; /* AWAY: since when */
  struct uni_resident who;
};

struct uni_gathering {
  int listener, epoll, size;
  int door; /* where ranks of this machine look for rank 0 first; -1: somebody else attends to it */
  unsigned char key[UNI_WIRE_SECRET];
  int64_t deadline; /* the first of all present ranks' */
  bool begun;
  struct seat *seats;  /* by rank */
  unsigned char *list; /* packed; NULL: not all have come */
  size_t list_bytes;
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
  g->seats = calloc((size_t)size, sizeof *g->seats);
  g->epoll = epoll_create1(EPOLL_CLOEXEC);
  uni_identity_key(identity, g->key, sizeof g->key);
  status = !g->seats      ? uni_fail(UNISONO_ERROR_MEMORY, "no memory for meeting %d ranks", size)
           : g->epoll < 0 ? uni_fail_errno("epoll_create1")
                          : uni_resident_here(threads, &g->seats[0].who);
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
  for (int r = 0; g->seats && r < g->size; r++)
    uni_wire_close(g->seats[r].wire);
  if (g->listener >= 0)
    close(g->listener);
  if (g->door >= 0)
    close(g->door);
  if (g->epoll >= 0)
    close(g->epoll);
  free(g->seats);
  free(g->list);
  uni_seal_forget(g, sizeof *g);
  free(g);
}

int uni_gathering_fd(const struct uni_gathering *g) {
  return g->epoll;
}

bool uni_gathering_has_begun(const struct uni_gathering *g) {
  return g->begun || g->status;
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
static void check_card(struct uni_gathering *g, const struct uni_card *card) {
  if (card->version != UNI_FRAMES_VERSION)
    object(g, uni_fail(UNISONO_ERROR_MISMATCH, "rank %u runs another version of unisono than rank 0",
                       card->rank));
  else if (card->size != (uint32_t)g->size)
    object(g, uni_fail(UNISONO_ERROR_MISMATCH,
                       "rank %u was told that there are %u ranks, rank 0 that there are %d", card->rank,
                       card->size, g->size));
  else if (card->rank < 1 || card->rank >= (uint32_t)g->size ||
           (g->seats[card->rank].state != EMPTY && g->seats[card->rank].process != card->process))
    object(g,
           uni_fail(UNISONO_ERROR_INVALID, "rank %u was given to two processes; ranks are 0 to %d, each once",
                    card->rank, g->size - 1));
}

/* Who comes again takes the place of its former connection, even if that does not look broken yet. */
static void seat(struct uni_gathering *g, struct uni_wire *wire, const struct uni_card *card) {
  check_card(g, card);
  if (g->status) {
    refuse(wire, g->status, g->text);
    uni_wire_close(wire);
    return;
  }
  struct seat *s = &g->seats[card->rank];
  uni_wire_close(s->wire);
  *s = (struct seat){.state = HERE, .wire = wire, .process = card->process, .who = card->who};
  g->begun = true;
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

/* ---- the ranks that have come */

static void lose(struct uni_gathering *g, int r) {
  struct seat *s = &g->seats[r];
  uni_log(UNI_LOG_INFO, "the connection to rank %d broke while the ranks were meeting", r);
  uni_wire_close(s->wire);
  s->wire = NULL;
  s->state = AWAY;
  s->left = uni_now();
}

static void listen_to(struct uni_gathering *g, int r) {
  struct seat *s = &g->seats[r];
  struct uni_frame frame;
  enum uni_wire_event e = uni_wire_next(s->wire, &frame);
  if (e == UNI_WIRE_FRAME && frame.kind == UNI_FRAME_READ && s->state == TOLD) {
    s->state = SETTLED; /* what else it says is for the cluster */
    epoll_ctl(g->epoll, EPOLL_CTL_DEL, uni_wire_socket(s->wire), NULL);
  } else if (e != UNI_WIRE_NOTHING) {
    lose(g, r);
  }
}

/* On this machine a connection ends with its process. */
static void await_return(struct uni_gathering *g, int r) {
  const struct seat *s = &g->seats[r];
  bool is_here = s->who.place == g->seats[0].who.place;
  if (is_here || uni_now() - s->left > UNI_AWAY_MS * UNI_MS)
    object(g, uni_fail(UNISONO_ERROR_PEER_LOST,
                       "rank %d died, was cut off or gave up while the ranks were meeting", r));
}

static void tell(struct uni_gathering *g, int r) {
  g->seats[r].state = TOLD;
  if (!uni_wire_send(g->seats[r].wire, UNI_FRAME_ROSTER, g->list, g->list_bytes, uni_deadline(PATIENCE_MS)))
    lose(g, r);
}

static void attend_to(struct uni_gathering *g, int r) {
  if (g->seats[r].state == HERE || g->seats[r].state == TOLD)
    listen_to(g, r);
  if (g->seats[r].state == HERE && g->list)
    tell(g, r);
  if (g->seats[r].state == AWAY)
    await_return(g, r);
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
  for (int r = 1; r < g->size; r++)
    attend_to(g, r);
}

/* ---- the list */

static void number_machines(const struct uni_gathering *g, struct uni_roster *roster) {
  for (int r = 0; r < g->size; r++) {
    const struct seat *seats = g->seats;
    int same = r && seats[r].who.place == seats[r - 1].who.place ? r - 1
                                                                 : 0; /* mostly, neighbours share a machine */
    while (seats[same].who.place != seats[r].who.place)
      same++;
    roster->machine[r] = same < r ? roster->machine[same] : roster->machines++;
  }
}

/* Takes together the ranks of a kernel, whatever their machines. */
static void mark_crowd(const struct uni_gathering *g, uint64_t kernel, struct uni_demand *room,
                       struct uni_roster *roster) {
  int n = 0;
  for (int r = 0; r < g->size; r++)
    if (g->seats[r].who.kernel == kernel) {
      room[n] = g->seats[r].who.demand;
      room[n++].processors = 0; /* a quota is each container's own, and looked at when its ranks meet */
    }
  bool crowded = uni_demands_crowd(room, n);
  for (int r = 0; r < g->size; r++)
    if (g->seats[r].who.kernel == kernel)
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
    mark_crowd(g, g->seats[r].who.kernel, room, roster);
  }
  free(room);
  return UNISONO_OK;
}

static unisono_status draw_up(struct uni_gathering *g, struct uni_roster *roster) {
  uni_seal_random(roster->session, sizeof roster->session);
  number_machines(g, roster);
  unisono_status status = mark_crowds(g, roster);
  if (!status && !(g->list = uni_roster_pack(roster, &g->list_bytes)))
    status = uni_fail(UNISONO_ERROR_MEMORY, "no memory for the list of ranks");
  return status;
}

/* ---- the whole */

static bool all_are(const struct uni_gathering *g, int state) {
  int r = 1;
  while (r < g->size && (int)g->seats[r].state >= state)
    r++;
  return r == g->size;
}

static unisono_status name_missing(const struct uni_gathering *g, int state) {
  char list[160] = "";
  size_t used = 0;
  int missing = 0;
  for (int r = 1; r < g->size; r++) {
    bool is_missing = (int)g->seats[r].state < state;
    missing += is_missing;
    if (is_missing && used < sizeof list - 16)
      used += (size_t)snprintf(list + used, sizeof list - used, "%s%d", used ? ", " : "", r);
  }
  return uni_fail(UNISONO_ERROR_TIMEOUT, "%d of %d ranks did not %s in time: %s%s", missing, g->size,
                  state == HERE ? "come to the meeting" : "read the list of ranks", list,
                  used >= sizeof list - 16 ? ", ..." : "");
}

/* For all to be HERE or SETTLED, until the time limit, but as long as `least`. */
static unisono_status await_all(struct uni_gathering *g, int state, int64_t least) {
  for (;;) {
    uni_gathering_step(g);
    if (g->status)
      return uni_fail(g->status, "%s", g->text);
    if (all_are(g, state))
      return UNISONO_OK;
    int64_t deadline = g->deadline > least ? g->deadline : least;
    if (uni_now() >= deadline)
      return name_missing(g, state);
    struct pollfd p = {.fd = g->epoll, .events = POLLIN};
    poll(&p, 1, uni_ms_until(deadline, 100));
  }
}

/* Tells all who are there, and those who come in the next moments. */
static void refuse_all(struct uni_gathering *g, unisono_status status) {
  char text[UNI_REFUSAL_TEXT];
  snprintf(text, sizeof text, "%s", unisono_last_error());
  for (int r = 1; r < g->size; r++)
    if (g->seats[r].wire)
      refuse(g->seats[r].wire, status, text);
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
    status = await_all(g, HERE, 0);
  if (!status)
    status = draw_up(g, roster);
  if (!status)
    status = await_all(g, SETTLED, uni_deadline(PATIENCE_MS));
  if (status) {
    refuse_all(g, status);
    uni_roster_free(roster);
    return status;
  }
  for (int r = 1; r < g->size; r++) {
    roster->wires[r] = g->seats[r].wire;
    g->seats[r].wire = NULL;
  }
  if (g->size > 1)
    uni_iface_of(uni_wire_socket(roster->wires[g->size - 1]), roster->iface);
  return UNISONO_OK;
}
