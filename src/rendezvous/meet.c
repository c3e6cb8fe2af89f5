#include "rendezvous/meet.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "error.h"
#include "log.h"
#include "rendezvous/hello.h"

enum {
  WAITING_ROOM = 256, /* connections that have not shown the secret yet */
  SILENCE_MS = 1000,  /* that one of them may keep when others want in */
  PATIENCE_MS = 5000, /* for one letter to a rank that is there */
  RETRY_FIRST_MS = 1,
  RETRY_MOST_MS = 20
};

/* ---- sockets */

static socklen_t meeting_address(const struct uni_identity *identity, struct sockaddr_un *address) {
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  int n = snprintf(address->sun_path + 1, sizeof address->sun_path - 1, "unisono-%016llx%016llx",
                   (unsigned long long)identity->name[0], (unsigned long long)identity->name[1]);
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

/* Only processes of the same user take part. */
static unisono_status check_user(int socket) {
  struct ucred who;
  socklen_t n = sizeof who;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &n) != 0)
    return uni_fail_errno("asking who is at the other end of the meeting's socket");
  if (who.uid != geteuid())
    return uni_fail(UNISONO_ERROR_INVALID,
                    "a process of user %u is at the meeting place; use another MASTER_PORT or a "
                    "unique id",
                    who.uid);
  return UNISONO_OK;
}

static unisono_status listen_at(const struct uni_identity *identity, int *listener) {
  struct sockaddr_un address;
  socklen_t n = meeting_address(identity, &address);
  *listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (*listener < 0)
    return uni_fail_errno("making the socket to meet at");
  if (bind(*listener, (struct sockaddr *)&address, n) == 0 && listen(*listener, SOMAXCONN) == 0)
    return UNISONO_OK;
  unisono_status status =
      errno == EADDRINUSE ? uni_fail(UNISONO_ERROR_INVALID,
                                     "another rank 0 is meeting under the same id: rank 0 was given twice, "
                                     "or another job uses the same MASTER_ADDR and MASTER_PORT")
                          : uni_fail_errno("listening at the meeting place");
  close(*listener);
  return status;
}

/* ---- rank 0 */

enum { LISTENER, BESIDE, FIRST }; /* what is polled: the gathering beside, then the waiting room */

struct meeting {
  struct uni_world *world;
  struct uni_detour *detour;
  const struct uni_identity *identity;
  struct uni_letter *hellos; /* by rank; kind 0: not here yet */
  int present;
  int64_t deadline; /* the first of all present ranks' */
  struct pollfd polled[FIRST + WAITING_ROOM];
  int64_t came[FIRST + WAITING_ROOM]; /* when */
  int waiting;
};

static void leave_waiting_room(struct meeting *m, int i, bool hang_up) {
  if (hang_up)
    close(m->polled[i].fd);
  size_t behind = (size_t)(FIRST + m->waiting - 1 - i); /* they keep their order, by the time they came */
  memmove(&m->polled[i], &m->polled[i + 1], behind * sizeof *m->polled);
  memmove(&m->came[i], &m->came[i + 1], behind * sizeof *m->came);
  m->waiting--;
}

/* Who has been silent for too long makes room; false: nobody has. */
static bool make_room(struct meeting *m, int64_t now) {
  if (now - m->came[FIRST] < SILENCE_MS * UNI_MS)
    return false;
  uni_log(UNI_LOG_WARN, "somebody at the meeting place was silent and was sent away");
  leave_waiting_room(m, FIRST, true);
  return true;
}

static void accept_all(struct meeting *m) {
  int64_t now = uni_now();
  while (m->waiting < WAITING_ROOM || make_room(m, now)) {
    int fd = accept4(m->polled[LISTENER].fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
      return;
    if (check_user(fd)) {
      uni_log(UNI_LOG_WARN, "somebody at the meeting place was sent away: %s", unisono_last_error());
      close(fd);
      continue;
    }
    m->polled[FIRST + m->waiting] = (struct pollfd){.fd = fd, .events = POLLIN};
    m->came[FIRST + m->waiting++] = now;
  }
}

/* A rank with a valid secret: may it sit down? What is wrong here is wrong for all. */
static unisono_status seat(struct meeting *m, int fd, struct uni_letter *hello) {
  struct uni_world *w = m->world;
  int rank = uni_hello_rank(hello), size = uni_hello_size(hello);
  if (size != w->size)
    return uni_fail(UNISONO_ERROR_MISMATCH,
                    "rank %d was told that there are %d ranks, rank 0 that there are %d", rank, size,
                    w->size);
  if (rank < 1 || rank >= w->size || m->hellos[rank].kind)
    return uni_fail(UNISONO_ERROR_INVALID, "rank %d was given to two processes; ranks are 0 to %d, each once",
                    rank, w->size - 1);
  w->peers[rank].socket = fd;
  w->peers[rank].pidfd = hello->fds[0];
  m->hellos[rank] = *hello;
  m->present++;
  int64_t deadline = uni_hello_deadline(hello);
  m->deadline = deadline < m->deadline ? deadline : m->deadline;
  return UNISONO_OK;
}

static void refuse(int fd, unisono_status status, const char *why) {
  struct uni_letter letter;
  uni_letter_init(&letter, UNI_WELCOME);
  letter.status = (int32_t)status;
  snprintf(letter.text, sizeof letter.text, "%s", why);
  uni_letter_send_wait(fd, &letter, uni_deadline(PATIENCE_MS));
}

static unisono_status hear(struct meeting *m, int i) {
  struct uni_letter letter;
  int fd = m->polled[i].fd;
  enum uni_delivery d = uni_letter_receive(fd, &letter);
  if (d == UNI_NOT_YET)
    return UNISONO_OK;
  if (d != UNI_DELIVERED || uni_hello_check(&letter, m->identity)) {
    uni_log(UNI_LOG_WARN, "somebody at the meeting place was sent away: %s",
            d == UNI_DELIVERED ? unisono_last_error() : "no proper greeting");
    uni_letter_close_fds(&letter);
    leave_waiting_room(m, i, true);
    return UNISONO_OK;
  }
  leave_waiting_room(m, i, false);
  unisono_status status = seat(m, fd, &letter);
  if (status) {
    refuse(fd, status, unisono_last_error());
    uni_letter_close_fds(&letter);
    close(fd);
  }
  return status;
}

/* A rank that is here already must not hang up while the others are awaited. */
static unisono_status check_present(const struct meeting *m) {
  for (int r = 1; r < m->world->size; r++) {
    struct pollfd p = {.fd = m->world->peers[r].socket, .events = POLLIN};
    if (p.fd >= 0 && poll(&p, 1, 0) == 1)
      return uni_fail(UNISONO_ERROR_PEER_LOST, "rank %d died or gave up while the ranks were meeting", r);
  }
  return UNISONO_OK;
}

static unisono_status name_missing(const struct meeting *m) {
  char list[160] = "";
  size_t used = 0;
  for (int r = 1; r < m->world->size && used < sizeof list - 16; r++)
    if (!m->hellos[r].kind)
      used += (size_t)snprintf(list + used, sizeof list - used, "%s%d", used ? ", " : "", r);
  return uni_fail(UNISONO_ERROR_TIMEOUT, "%d of %d ranks did not come to the meeting in time: %s%s",
                  m->world->size - 1 - m->present, m->world->size, list,
                  used >= sizeof list - 16 ? ", ..." : "");
}

/* Is there a rank on another machine? Then all go to the gathering. */
static bool must_go(struct meeting *m) {
  if (!m->detour || !m->detour->beside)
    return false;
  uni_gathering_step(m->detour->beside);
  return m->detour->taken = uni_gathering_has_begun(m->detour->beside);
}

static unisono_status gather_ranks(struct meeting *m) {
  while (m->present < m->world->size - 1 && !must_go(m)) {
    if (uni_now() >= m->deadline)
      return name_missing(m);
    int n = FIRST + m->waiting;
    m->polled[LISTENER].events =
        m->waiting < WAITING_ROOM ? POLLIN : 0; /* who cannot be let in waits in the queue */
    if (poll(m->polled, (nfds_t)n, uni_ms_until(m->deadline, 100)) < 0 && errno != EINTR)
      return uni_fail_errno("waiting for ranks");
    for (int i = n - 1; i >= FIRST; i--) { /* downwards: leaving moves those behind */
      unisono_status status = m->polled[i].revents ? hear(m, i) : UNISONO_OK;
      if (status)
        return status;
    }
    accept_all(m);
    unisono_status status = check_present(m);
    if (status)
      return status;
  }
  return UNISONO_OK;
}

/* Those who have come, and through its door those who will. */
static void point_to_gathering(struct meeting *m) {
  struct uni_letter letter;
  uni_letter_init(&letter, UNI_ELSEWHERE);
  for (int r = 1; r < m->world->size; r++) {
    struct uni_peer *peer = &m->world->peers[r];
    if (peer->socket < 0)
      continue;
    uni_letter_send(peer->socket, &letter); /* who misses it finds nobody here, and looks there */
    close(peer->socket);
    if (peer->pidfd >= 0)
      close(peer->pidfd);
    peer->socket = peer->pidfd = -1;
  }
  for (; m->waiting; leave_waiting_room(m, FIRST, true))
    uni_letter_send(m->polled[FIRST].fd, &letter);
  uni_gathering_attend(m->detour->beside, m->polled[LISTENER].fd);
  m->polled[LISTENER].fd = -1;
}

static unisono_status tell(struct meeting *m, int rank, const struct uni_letter *letter, int64_t deadline) {
  switch (uni_letter_send_wait(m->world->peers[rank].socket, letter, deadline)) {
  case UNI_DELIVERED:
    return UNISONO_OK;
  case UNI_NOT_YET:
    return uni_fail(UNISONO_ERROR_TIMEOUT, "rank %d does not read what rank 0 sends it while meeting", rank);
  case UNI_CLOSED:
    return uni_fail(UNISONO_ERROR_PEER_LOST, "rank %d died while the ranks were meeting", rank);
  case UNI_FAILED:
    break;
  }
  return uni_fail_errno("sending to rank %d", rank);
}

static unisono_status introduce(struct meeting *m, int to, int whom, int socket, int64_t deadline) {
  struct uni_letter letter;
  uni_letter_init(&letter, UNI_PEER);
  letter.words[0] = (uint64_t)whom;
  int pidfd = m->world->peers[whom].pidfd;
  if (whom == 0)
    pidfd = m->hellos[0].fds[0];
  int n = 0;
  letter.words[1] = socket >= 0;
  if (socket >= 0)
    letter.fds[n++] = socket;
  letter.fds[n] = pidfd;
  return tell(m, to, &letter, deadline);
}

/* A socket of its own for each pair of the others, and everybody's pidfd. */
static unisono_status connect_pairs(struct meeting *m, int64_t deadline) {
  int size = m->world->size;
  unisono_status status = UNISONO_OK;
  for (int a = 1; a < size && !status; a++) {
    status = introduce(m, a, 0, -1, deadline);
    for (int b = a + 1; b < size && !status; b++) {
      int pair[2];
      if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return uni_fail_errno("connecting ranks %d and %d", a, b);
      status = introduce(m, a, b, pair[0], deadline);
      if (!status)
        status = introduce(m, b, a, pair[1], deadline);
      close(pair[0]);
      close(pair[1]);
    }
  }
  return status;
}

static unisono_status welcome_all(struct meeting *m, int64_t deadline) {
  struct uni_letter letter;
  unisono_status status = uni_settings_agree(m->hellos, m->world->size, &m->world->settings);
  uni_letter_init(&letter, UNI_WELCOME);
  uni_settings_pack(&m->world->settings, &letter);
  for (int r = 1; r < m->world->size && !status; r++)
    status = tell(m, r, &letter, deadline);
  return status ? status : connect_pairs(m, deadline);
}

static void refuse_waiting(struct meeting *m, unisono_status status, const char *why) {
  while (m->waiting) {
    refuse(m->polled[FIRST].fd, status, why);
    leave_waiting_room(m, FIRST, true);
  }
}

/* Tells all who are there; and those who come in the next moments, where what is wrong is what the ranks were
 * told. */
static void refuse_all(struct meeting *m, unisono_status status) {
  char why[UNI_LETTER_TEXT];
  snprintf(why, sizeof why, "%s", unisono_last_error());
  for (int r = 1; r < m->world->size; r++)
    if (m->world->peers[r].socket >= 0)
      refuse(m->world->peers[r].socket, status, why);
  bool linger = status == UNISONO_ERROR_MISMATCH || status == UNISONO_ERROR_INVALID;
  int64_t end = uni_now() + (linger ? SILENCE_MS * UNI_MS : 0);
  do {
    accept_all(m);
    refuse_waiting(m, status, why);
    m->polled[LISTENER].events = POLLIN;
    poll(m->polled, 1, uni_ms_until(end, linger ? SILENCE_MS : 0));
  } while (uni_now() < end);
  uni_fail(status, "%s", why); /* who was sent away may have had the last word */
}

static unisono_status host(struct uni_world *world, const struct uni_identity *identity, int threads,
                           int64_t deadline, struct uni_detour *detour) {
  struct meeting *m = calloc(1, sizeof *m);
  struct uni_letter *hellos = calloc((size_t)world->size, sizeof *hellos);
  unisono_status status = UNISONO_OK;
  int listener = -1;
  if (!m || !hellos)
    status = uni_fail(UNISONO_ERROR_MEMORY, "no memory for meeting %d ranks", world->size);
  if (!status)
    status = uni_hello_write(identity, world, threads, deadline, &hellos[0]);
  if (!status)
    status = listen_at(identity, &listener);
  if (!status) {
    *m = (struct meeting){
        .world = world, .detour = detour, .identity = identity, .hellos = hellos, .deadline = deadline};
    m->polled[LISTENER] = (struct pollfd){.fd = listener, .events = POLLIN};
    m->polled[BESIDE].fd = detour && detour->beside ? uni_gathering_fd(detour->beside) : -1;
    m->polled[BESIDE].events = POLLIN;
    status = gather_ranks(m);
    if (!status && detour && detour->taken)
      point_to_gathering(m);
    else if (!status)
      status = welcome_all(m, uni_deadline(PATIENCE_MS) > deadline ? uni_deadline(PATIENCE_MS) : deadline);
    if (status)
      refuse_all(m, status);
    while (m->waiting)
      leave_waiting_room(m, FIRST, true);
    if (m->polled[LISTENER].fd >= 0)
      close(listener);
  }
  if (hellos && hellos[0].kind)
    uni_letter_close_fds(&hellos[0]);
  free(hellos);
  free(m);
  return status;
}

/* ---- the others */

static unisono_status connect_once(const struct uni_identity *identity, int *fd, bool *retry) {
  struct sockaddr_un address;
  socklen_t n = meeting_address(identity, &address);
  *retry = false;
  *fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (*fd < 0)
    return uni_fail_errno("making the socket to meet with");
  if (connect(*fd, (struct sockaddr *)&address, n) == 0) {
    unisono_status status = check_user(*fd);
    if (status)
      close(*fd);
    return status;
  }
  /* refused: rank 0 is not listening yet; again: its queue is full */
  *retry = errno == ECONNREFUSED || errno == EAGAIN || errno == EINTR;
  unisono_status status = *retry ? UNISONO_OK : uni_fail_errno("connecting to rank 0");
  close(*fd);
  *fd = -1;
  return status;
}

/* *fd -1: rank 0 may be elsewhere. */
static unisono_status connect_to_host(const struct uni_identity *identity, int64_t deadline,
                                      struct uni_detour *detour, int *fd) {
  for (int pause = RETRY_FIRST_MS;; pause = pause < RETRY_MOST_MS ? 2 * pause : RETRY_MOST_MS) {
    bool retry;
    unisono_status status = connect_once(identity, fd, &retry);
    if (!retry)
      return status;
    if (detour && uni_now() >= detour->reach) {
      detour->taken = true;
      return UNISONO_OK;
    }
    if (uni_now() >= deadline)
      return uni_fail(
          UNISONO_ERROR_TIMEOUT,
          "rank 0 did not come to the meeting in time (or it runs on another machine or in another "
          "network namespace, or this id was used before)");
    uni_sleep_ms(pause);
  }
}

static unisono_status await_letter(int fd, enum uni_letter_kind kind, int64_t deadline,
                                   struct uni_letter *letter) {
  switch (uni_letter_receive_wait(fd, letter, deadline)) {
  case UNI_DELIVERED:
    break;
  case UNI_NOT_YET:
    return uni_fail(UNISONO_ERROR_TIMEOUT, "not all ranks came to the meeting in time: rank 0 still waits");
  default:
    return uni_fail(UNISONO_ERROR_PEER_LOST, "rank 0 died or refused this rank while the ranks were meeting");
  }
  if (letter->kind == UNI_WELCOME && letter->status)
    return uni_fail((unisono_status)letter->status, "%s", letter->text);
  if (letter->kind != kind && !(kind == UNI_WELCOME && letter->kind == UNI_ELSEWHERE)) {
    uni_letter_close_fds(letter);
    return uni_fail(UNISONO_ERROR_SYSTEM, "rank 0 sent something out of order while meeting");
  }
  return UNISONO_OK;
}

static unisono_status meet_peer(struct uni_world *world, int fd, int64_t deadline) {
  struct uni_letter letter;
  unisono_status status = await_letter(fd, UNI_PEER, deadline, &letter);
  if (status)
    return status;
  uint64_t rank = letter.words[0];
  if (rank >= (uint64_t)world->size || rank == (uint64_t)world->rank || world->peers[rank].pidfd >= 0) {
    uni_letter_close_fds(&letter);
    return uni_fail(UNISONO_ERROR_SYSTEM, "rank 0 introduced a rank that cannot be");
  }
  int n = 0;
  if (letter.words[1])
    world->peers[rank].socket = letter.fds[n++];
  world->peers[rank].pidfd = letter.fds[n];
  return UNISONO_OK;
}

static unisono_status join(struct uni_world *world, const struct uni_identity *identity, int threads,
                           int64_t deadline, struct uni_detour *detour) {
  struct uni_letter letter;
  int fd = -1;
  unisono_status status = connect_to_host(identity, deadline, detour, &fd);
  if (status || fd < 0)
    return status;
  world->peers[0].socket = fd;
  status = uni_hello_write(identity, world, threads, deadline, &letter);
  /* when rank 0 has hung up already, its answer is there to be read */
  if (!status && uni_letter_send_wait(fd, &letter, deadline) == UNI_FAILED)
    status = uni_fail_errno("sending to rank 0");
  uni_letter_close_fds(&letter);
  if (!status)
    /* rank 0 knows this rank's time limit, and says at its end who is missing */
    status = await_letter(fd, UNI_WELCOME, deadline == UNI_NEVER ? deadline : deadline + SILENCE_MS * UNI_MS,
                          &letter);
  if (status == UNISONO_ERROR_PEER_LOST && detour && letter.kind != UNI_WELCOME) {
    detour->taken = detour->hung_up = true; /* did rank 0 go to the gathering in this moment? */
    return UNISONO_OK;
  }
  if (!status && letter.kind == UNI_ELSEWHERE) {
    if (!detour)
      return uni_fail(UNISONO_ERROR_MISMATCH,
                      "rank 0 was told of several machines, rank %d of one; start all ranks alike",
                      world->rank);
    detour->taken = detour->told = true;
    close(fd);
    world->peers[0].socket = -1;
    return UNISONO_OK;
  }
  if (!status)
    uni_settings_unpack(&letter, &world->settings);
  /* all are there: from here on only rank 0 is waited for */
  int64_t patience = uni_deadline(PATIENCE_MS);
  for (int i = 0; i < world->size - 1 && !status; i++)
    status = meet_peer(world, fd, patience > deadline ? patience : deadline);
  return status;
}

static unisono_status meet_alone(struct uni_world *world, const struct uni_identity *identity, int threads) {
  struct uni_letter hello;
  unisono_status status = uni_hello_write(identity, world, threads, UNI_NEVER, &hello);
  uni_letter_close_fds(&hello);
  return status ? status : uni_settings_agree(&hello, 1, &world->settings);
}

unisono_status uni_meet(struct uni_world *world, const struct uni_identity *identity, int threads,
                        int64_t deadline, struct uni_detour *detour) {
  if (world->size == 1)
    return meet_alone(world, identity, threads);
  return world->rank == 0 ? host(world, identity, threads, deadline, detour)
                          : join(world, identity, threads, deadline, detour);
}
