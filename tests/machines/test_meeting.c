/* Ranks on several machines (TEST_MACHINES) find each other by environment: with a secret, beside strangers,
 * late. */
#include <arpa/inet.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "collectives/works.h"
#include "harness.h"
#include "machines.h"
#include "sockets.h"

enum { PORT = 29500, STRANGERS = 200 };

static void set_environment(const char *secret) {
  machines_set_environment(machines_address(0), PORT, secret);
}

static void meet_and_work(void) {
  struct test_rank *self = test_self();
  unisono_comm *comm;
  CHECK_OK(unisono_comm_init_env(&comm, NULL));
  CHECK(unisono_comm_rank(comm) == self->rank && unisono_comm_size(comm) == self->size);
  check_works(comm);
  CHECK_OK(unisono_comm_destroy(comm));
}

/* Twice: the second communicator is another one. */
static void test_environment(void) {
  set_environment("a secret");
  meet_and_work();
  meet_and_work();
}

static void test_ipv6(void) {
  if (!machines_have_ipv6())
    test_skip("this kernel has no IPv6");
  set_environment("a secret");
  setenv("MASTER_ADDR", machines_address6(0), 1);
  meet_and_work();
}

/* Rank 0 listens at this interface only, at the address that it is looked for: its IPv4 one, then its IPv6
 * one. */
static void test_interface(void) {
  unisono_comm *comm;
  set_environment("a secret");
  setenv("UNISONO_IFACE", "eth0", 1);
  meet_and_work();
  if (machines_have_ipv6()) {
    setenv("MASTER_ADDR", machines_address6(0), 1);
    meet_and_work();
  }
  setenv("UNISONO_IFACE", "eth7", 1);
  if (test_self()->rank == 0) {
    CHECK_STATUS(UNISONO_ERROR_INVALID, unisono_comm_init_env(&comm, NULL));
    CHECK(strstr(unisono_last_error(), "eth7"));
  }
}

/* What this rank writes to stderr from here on goes to a file; returns what stderr was. */
static int divert_stderr(int *file) {
  char name[] = "/tmp/unisono-said-XXXXXX";
  int before = dup(2);
  CHECK(before >= 0 && (*file = mkstemp(name)) >= 0 && unlink(name) == 0);
  CHECK(dup2(*file, 2) == 2);
  return before;
}

/* Anybody may join then, and rank 0 says so. */
static void test_without_secret(void) {
  char said[4096];
  int file, before;
  set_environment("a secret");
  unsetenv("UNISONO_SECRET");
  before = divert_stderr(&file);
  meet_and_work();
  CHECK(dup2(before, 2) == 2);
  ssize_t n = pread(file, said, sizeof said - 1, 0);
  said[n > 0 ? n : 0] = 0;
  CHECK((strstr(said, "set UNISONO_SECRET") != NULL) == (test_self()->rank == 0));
}

/* Not all on one machine, as far as the launcher says. */
static void test_unknown_number_on_a_machine(void) {
  set_environment("a secret");
  unsetenv("LOCAL_WORLD_SIZE");
  meet_and_work();
}

/* One machine that the launcher does not know as such. */
static void test_only_one_machine(void) {
  machines_enter(0);
  set_environment("a secret");
  unsetenv("LOCAL_WORLD_SIZE");
  meet_and_work();
}

static void test_slow_starters(void) {
  struct test_rank *self = test_self();
  set_environment("a secret");
  test_sleep_us(self->rank == 0 ? 1500000 : self->rank * 200000);
  meet_and_work();
}

/* How long rank 0 and this rank have waited for each other, who both are there. */
static void check_met_within(int64_t began, int ms) {
  int64_t took = (test_now_us() - began) / 1000;
  if (took > test_slow_ms(ms))
    FAIL("all ranks were there, and met only after %lld ms", (long long)took);
}

/* The next two time the meeting: oneCCL takes a second to connect the ranks, by addresses of its own choice.
 */

/* A rank of rank 0's machine that comes when one of another machine has come already. */
static void test_near_rank_comes_last(void) {
  struct test_rank *self = test_self();
  unisono_comm *comm;
  sockets_needed();
  if (self->rank == 1)
    test_sleep_us(300000);
  int64_t began = test_now_us();
  CHECK_OK(unisono_comm_init(&comm, self->size, self->rank, &self->id, NULL));
  if (self->rank == 1)
    check_met_within(began, 700);
  CHECK_OK(unisono_comm_destroy(comm));
}

/* Rank 0's machine has an address at which the others get no answer: they come before rank 0, so that they
 * try them all. */
static void test_silent_address(void) {
  struct test_rank *self = test_self();
  unisono_unique_id *id = test_scratch();
  unisono_comm *comm;
  sockets_needed();
  if (self->rank == 0) {
    CHECK(system("ip addr add 10.88.0.1/24 dev eth0") == 0);
    CHECK_OK(unisono_get_unique_id(id));
  } else if (machines_of(self->rank, self->size) != 0 &&
             machines_of(self->rank - 1, self->size) != machines_of(self->rank, self->size)) {
    CHECK(system("ip route add 10.88.0.0/24 dev eth0 && ip neigh add 10.88.0.1 lladdr 02:00:00:00:00:99 dev "
                 "eth0") == 0);
  }
  test_meet();
  if (self->rank == 0)
    test_sleep_us(100000);
  int64_t began = test_now_us();
  CHECK_OK(unisono_comm_init(&comm, self->size, self->rank, id, NULL));
  if (self->rank == 0)
    check_met_within(began, 700);
  CHECK_OK(unisono_comm_destroy(comm));
  if (self->rank == 0)
    CHECK(system("ip addr del 10.88.0.1/24 dev eth0") == 0);
}

static int connect_to_rank_0(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT + 1)};
  inet_pton(AF_INET, machines_address(0), &address.sin_addr);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
    return fd;
  close(fd);
  return -1;
}

/* They say nothing, or rubbish, or what a rank without the secret would say, or hang up in the middle. */
static void be_strangers(void) {
  static const char web[] = "GET / HTTP/1.1\r\nHost: nobody\r\n\r\n";
  char rubbish[5000];
  uint64_t random = test_self()->seed;
  for (size_t i = 0; i < sizeof rubbish; i++)
    rubbish[i] = (char)test_random(&random);
  int fd;
  while ((fd = connect_to_rank_0()) < 0)
    test_sleep_us(1000);
  for (int i = 0; i < STRANGERS; i++) {
    const char *what = i % 4 == 1 ? web : rubbish;
    size_t n = i % 4 == 0 ? 0 : i % 4 == 1 ? sizeof web : i % 4 == 2 ? sizeof rubbish : 40;
    if (i % 4 == 2 || i % 4 == 3)
      memcpy(rubbish, "UNIWIRE1", 8);
    if (fd >= 0 && n && send(fd, what, n, MSG_NOSIGNAL) < 0)
      test_at("stranger %d was sent away", i);
    if (fd >= 0 && i % 3 == 0)
      close(fd);
    fd = connect_to_rank_0();
  }
}

static void test_strangers(void) {
  struct test_rank *self = test_self();
  set_environment("a secret");
  if (self->rank == self->size - 1)
    be_strangers();
  meet_and_work();
}

static void test_wrong_secret(void) {
  struct test_rank *self = test_self();
  unisono_comm *comm;
  unisono_config config = UNISONO_CONFIG_INIT;
  config.timeout_ms = test_slow_ms(1500);
  bool wrong = self->rank == self->size - 1;
  set_environment(wrong ? "another one" : "a secret");
  CHECK(unisono_comm_init_env(&comm, &config) != UNISONO_OK);
  CHECK(!comm);
  CHECK_WORDS(wrong ? "UNISONO_SECRET" : "rank");
}

static bool has_words(int file, const char *words) {
  static char text[1 << 16];
  ssize_t n = pread(file, text, sizeof text - 1, 0);
  text[n > 0 ? n : 0] = 0;
  return strstr(text, words) != NULL;
}

/* No more than two processors for all of them, whatever the machines are called. */
static void share_two_processors(int *shared) {
  cpu_set_t allowed, few;
  CHECK(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
  CPU_ZERO(&few);
  for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&few) < 2; i++)
    if (CPU_ISSET(i, &allowed))
      CPU_SET(i, &few);
  CHECK(sched_setaffinity(0, sizeof few, &few) == 0);
  *shared = CPU_COUNT(&few);
}

/* Namespaces of one machine: four ranks on two processors are crowded, though no namespace has more than two.
 */
static void test_shared_processors(void) {
  struct test_rank *self = test_self();
  FILE *words = tmpfile();
  int processors, standard = dup(STDERR_FILENO);
  share_two_processors(&processors);
  CHECK(words && setenv("UNISONO_LOG", "info", 1) == 0 && dup2(fileno(words), STDERR_FILENO) >= 0);
  set_environment("a secret");
  meet_and_work();
  CHECK(dup2(standard, STDERR_FILENO) >= 0);
  bool says_so = has_words(fileno(words), "ranks share processors");
  bool is_first =
      self->rank == 0 || machines_of(self->rank, self->size) != machines_of(self->rank - 1, self->size);
  if (is_first && says_so != (self->size > processors))
    FAIL("%d ranks on %d processors: crowded %d", self->size, processors, says_so);
  fclose(words);
}

#define RANKS                                                                                                \
  { 2, 4 }
#define ENTRY(title, function)                                                                               \
  { .name = title, .body = function, .ranks = RANKS, .meets_itself = true }

int main(int argc, char **argv) {
  const struct test tests[] = {
      ENTRY("environment", test_environment),
      ENTRY("IPv6", test_ipv6),
      ENTRY("interface", test_interface),
      ENTRY("without secret", test_without_secret),
      ENTRY("unknown number on a machine", test_unknown_number_on_a_machine),
      ENTRY("only one machine", test_only_one_machine),
      ENTRY("slow starters", test_slow_starters),
      ENTRY("near rank comes last", test_near_rank_comes_last),
      ENTRY("silent address", test_silent_address),
      ENTRY("shared processors", test_shared_processors),
      ENTRY("strangers", test_strangers),
      ENTRY("wrong secret", test_wrong_secret),
      {0},
  };
  if (machines_number() == 0) {
    printf("skipped: TEST_MACHINES is not set\n");
    return TEST_SKIPPED;
  }
  return test_main(argc, argv, tests);
}
