/* Ranks on several machines (TEST_MACHINES) whose connections to rank 0 break while they meet: who lives
 * comes again, and who has died is told soon. The second machine's ranks reach rank 0 through a relay of
 * theirs. */
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "collectives/works.h"
#include "harness.h"
#include "machines.h"
#include "sockets.h"

enum {
  PORT = 29600,
  GREETING = 40,  /* bytes that each side says first */
  MOST = 32,      /* connections */
  SAID = 1024,    /* bytes of one that are kept */
  SEATED_MS = 100 /* until rank 0 has read what it was sent */
};
enum { BROKEN = 10, REPLAYED }; /* slots: how many connections; bytes of the answer */

static const char meeting_place[] = "10.88.0.1"; /* rank 0's, and on the second machine the relay's */

/* ---- the relay */

struct plan {
  int breaks;       /* so many connections break: */
  size_t to_rank_0; /* when more than so many bytes went there, and it has read them */
  size_t from_it;   /* when so many came back; the rest is lost */
  bool one_sided;   /* rank 0 does not notice */
  bool replays;     /* nothing breaks: what was sent to rank 0 is sent to it once more by somebody else */
};

struct line { /* a connection through the relay */
  int guest, host;
  size_t there, back; /* bytes */
  char said[SAID];    /* there, the first of them */
};

static int listen_here(void) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(PORT + 1)};
  int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
  inet_pton(AF_INET, meeting_place, &at.sin_addr);
  CHECK(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
  CHECK(bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, MOST) == 0);
  return fd;
}

static int reach_rank_0(void) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT + 1)};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  inet_pton(AF_INET, machines_address(0), &to.sin_addr);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
    return fd;
  close(fd);
  return -1;
}

static void reset(int fd) {
  struct linger at_once = {.l_onoff = 1};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close(fd);
}

static void break_line(struct line *l, const struct plan *plan) {
  reset(l->guest);
  if (!plan->one_sided)
    reset(l->host);
  l->guest = l->host = -1;
  test_add(BROKEN, 1);
}

/* To the end of what rank 0 answers. */
static void replay(const char *bytes, size_t n) {
  int fd = reach_rank_0(), got = 0;
  char byte;
  CHECK(fd >= 0 && send(fd, bytes, n, MSG_NOSIGNAL) == (ssize_t)n);
  while (recv(fd, &byte, 1, 0) == 1)
    got++;
  close(fd);
  test_post(REPLAYED, got);
}

static void hang_up(struct line *l) {
  close(l->guest);
  close(l->host);
  l->guest = l->host = -1;
}

/* Up to `most` bytes; 0: it is at its end. */
static size_t carry(struct line *l, int from, int to, char *bytes, size_t most) {
  ssize_t n = recv(from, bytes, most, 0);
  if (n > 0 && send(to, bytes, (size_t)n, MSG_NOSIGNAL) == n)
    return (size_t)n;
  hang_up(l);
  return 0;
}

static void carry_there(struct line *l, bool breaks, const struct plan *plan) {
  char bytes[4096];
  size_t n = carry(l, l->guest, l->host, bytes, sizeof bytes);
  if (l->there + n <= SAID)
    memcpy(l->said + l->there, bytes, n);
  l->there += n;
  if (n && plan->replays && l->there > GREETING && !test_peek(REPLAYED))
    replay(l->said, l->there);
  if (n && breaks && plan->to_rank_0 && l->there > plan->to_rank_0) {
    test_sleep_us(SEATED_MS * 1000);
    break_line(l, plan);
  }
}

static void carry_back(struct line *l, bool breaks, const struct plan *plan) {
  char bytes[4096];
  bool breaks_here = breaks && plan->from_it;
  l->back += carry(l, l->host, l->guest, bytes, breaks_here ? plan->from_it - l->back : sizeof bytes);
  if (breaks_here && l->back == plan->from_it)
    break_line(l, plan);
}

static _Noreturn void relay(const struct plan *plan) {
  struct pollfd polled[1 + 2 * MOST] = {{.fd = listen_here(), .events = POLLIN}};
  static struct line lines[MOST];
  int n = 0;
  for (;;) {
    for (int i = 0; i < n; i++) {
      polled[1 + 2 * i] = (struct pollfd){.fd = lines[i].guest, .events = POLLIN};
      polled[2 + 2 * i] = (struct pollfd){.fd = lines[i].host, .events = POLLIN};
    }
    CHECK(poll(polled, (nfds_t)(1 + 2 * n), -1) > 0);
    for (int i = 0; i < n; i++)
      if (polled[1 + 2 * i].revents)
        carry_there(&lines[i], i < plan->breaks, plan);
      else if (polled[2 + 2 * i].revents)
        carry_back(&lines[i], i < plan->breaks, plan);
    if (polled[0].revents) {
      CHECK(n < MOST);
      lines[n] = (struct line){.guest = accept(polled[0].fd, NULL, NULL), .host = reach_rank_0()};
      if (lines[n].host < 0)
        hang_up(&lines[n]); /* it is not there yet, or no more */
      else
        n++;
    }
  }
}

/* Ends with the ranks. */
static void start_relay(const struct plan *plan) {
  CHECK(system("ip addr replace 10.88.0.1/32 dev lo") == 0);
  if (fork() == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    relay(plan);
  }
}

/* ---- the ranks */

static void set_environment(const char *address) {
  machines_set_environment(address, PORT, "a secret");
  test_set_number("UNISONO_TIMEOUT", test_slow_ms(30000) / 1000);
}

static bool is_first_of_second_machine(void) {
  struct test_rank *self = test_self();
  return machines_of(self->rank, self->size) == 1 && machines_of(self->rank - 1, self->size) == 0;
}

/* Rank 1 keeps the others waiting until `slot` says that what is planned has happened so often. */
static void meet_by_relay(const struct plan *plan, int slot, int times) {
  struct test_rank *self = test_self();
  sockets_needed();
  set_environment(meeting_place);
  if (self->rank == 0)
    CHECK(system("ip addr replace 10.88.0.1/32 dev lo") == 0);
  if (is_first_of_second_machine())
    start_relay(plan);
  test_meet();
  if (self->rank == 1)
    test_await(slot, times);
  CHECK_OK(unisono_comm_init_env(&self->comm, NULL));
  CHECK(test_peek(BROKEN) == plan->breaks);
  check_works(self->comm);
}

static void test_broken_while_waiting(void) {
  meet_by_relay(&(struct plan){.breaks = 2, .to_rank_0 = GREETING}, BROKEN, 2);
}

static void test_broken_again_and_again(void) {
  meet_by_relay(&(struct plan){.breaks = 5, .to_rank_0 = GREETING}, BROKEN, 5);
}

/* The new connection takes the place of one that rank 0 takes for good. */
static void test_broken_on_one_side(void) {
  meet_by_relay(&(struct plan){.breaks = 2, .to_rank_0 = GREETING, .one_sided = true}, BROKEN, 2);
}

static void test_broken_in_the_list(void) {
  meet_by_relay(&(struct plan){.breaks = 2, .from_it = GREETING + 30}, BROKEN, 0);
}

/* What a rank has said is worth nothing on another connection: who repeats it is greeted, sent away, and does
 * not take the rank's place. */
static void test_replay(void) {
  meet_by_relay(&(struct plan){.replays = true}, REPLAYED, 1);
  CHECK(test_peek(REPLAYED) == GREETING);
}

/* ---- deaths */

enum { DEATH_MS = 700, AT_ONCE_MS = 700, SOON_MS = 3000 };

/* One rank dies while `absent` is awaited; the living are told who, long before the time limit. */
static void die_in_meeting(int victim, int absent, const char *words, int within_ms) {
  struct test_rank *self = test_self();
  set_environment(machines_address(0));
  test_meet();
  if (self->rank == absent)
    return;
  if (self->rank == victim) {
    struct itimerval soon = {.it_value.tv_usec = DEATH_MS * 1000};
    test_may_die();
    CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0); /* its signal ends the process */
  }
  int64_t began = test_now_us();
  CHECK_STATUS(UNISONO_ERROR_PEER_LOST, unisono_comm_init_env(&self->comm, NULL));
  CHECK_WORDS(words);
  int64_t took = (test_now_us() - began) / 1000;
  if (took < DEATH_MS / 2 || took > test_slow_ms(DEATH_MS + within_ms))
    FAIL("told after %lld ms", (long long)took);
}

static void test_far_rank_dies(void) {
  die_in_meeting(test_self()->size - 1, 1, "rank 3", SOON_MS);
}

static void test_near_rank_dies(void) {
  die_in_meeting(1, 2, "rank 1", AT_ONCE_MS);
}

static void test_rank_0_dies(void) {
  die_in_meeting(0, 1, "rank 0", SOON_MS);
}

/* Two processes, both there. */
static void test_rank_twice(void) {
  struct test_rank *self = test_self();
  set_environment(machines_address(0));
  if (self->rank == self->size - 1)
    test_set_number("RANK", self->size - 2);
  CHECK_STATUS(UNISONO_ERROR_INVALID, unisono_comm_init_env(&self->comm, NULL));
  CHECK_WORDS("rank 2 was given to two processes");
}

#define ENTRY(title, function)                                                                               \
  { .name = title, .body = function, .ranks = {4, 4}, .meets_itself = true, .needs_processes = true }

int main(int argc, char **argv) {
  const struct test tests[] = {
      ENTRY("broken while waiting", test_broken_while_waiting),
      ENTRY("broken again and again", test_broken_again_and_again),
      ENTRY("broken on one side", test_broken_on_one_side),
      ENTRY("broken in the list", test_broken_in_the_list),
      ENTRY("replay", test_replay),
      ENTRY("far rank dies", test_far_rank_dies),
      ENTRY("near rank dies", test_near_rank_dies),
      ENTRY("rank 0 dies", test_rank_0_dies),
      ENTRY("rank given twice", test_rank_twice),
      {0},
  };
  if (machines_number() == 0) {
    printf("skipped: TEST_MACHINES is not set\n");
    return TEST_SKIPPED;
  }
  return test_main(argc, argv, tests);
}
