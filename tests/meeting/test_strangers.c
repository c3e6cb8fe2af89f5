/* Strangers find the sockets of a meeting (in /proc/net/unix, as anybody can) and connect to them, with
 * garbage, with nothing, in crowds, as another user: the meeting succeeds all the same, and they learn
 * nothing. */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collectives/works.h"
#include "harness.h"

enum { CROWD = 400, NAMES = 16, NOBODY = 65534 };

struct names {
  struct sockaddr_un addresses[NAMES];
  socklen_t lengths[NAMES];
  int types[NAMES]; /* SOCK_... */
  int n;
};

/* Is the socket with this inode among the process's descriptors? */
static bool owns(pid_t pid, unsigned long inode) {
  char path[64], want[64], link[64];
  snprintf(path, sizeof path, "/proc/%d/fd", pid);
  snprintf(want, sizeof want, "socket:[%lu]", inode);
  DIR *directory = opendir(path);
  bool found = false;
  for (struct dirent *entry; directory && !found && (entry = readdir(directory));) {
    char file[400];
    snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
    ssize_t length = readlink(file, link, sizeof link - 1);
    found = length > 0 && (link[length] = 0, strcmp(link, want) == 0);
  }
  if (directory)
    closedir(directory);
  return found;
}

/* Abstract sockets that `pid` listens on. */
static void find_names(pid_t pid, struct names *names) {
  FILE *file = fopen("/proc/net/unix", "r");
  char line[400], path[200];
  unsigned flags, type;
  unsigned long inode;
  names->n = 0;
  CHECK(file);
  while (names->n < NAMES && fgets(line, sizeof line, file)) {
    if (sscanf(line, "%*s %*s %*s %x %x %*x %lu @%199s", &flags, &type, &inode, path) != 4)
      continue;
    if (!(flags & 0x10000) || !owns(pid, inode)) /* 0x10000: it accepts connections */
      continue;
    struct sockaddr_un *address = &names->addresses[names->n];
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path + 1, path, strnlen(path, sizeof address->sun_path - 1));
    names->lengths[names->n] = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(path));
    names->types[names->n++] = (int)type;
  }
  fclose(file);
}

static int connect_to(const struct names *names, int i) {
  int fd = socket(AF_UNIX, names->types[i] | SOCK_NONBLOCK, 0);
  if (fd >= 0 && connect(fd, (const struct sockaddr *)&names->addresses[i], names->lengths[i]) == 0)
    return fd;
  close(fd);
  return -1;
}

/* Hung up on, or left waiting; but never told anything. */
static void check_silence(int fd) {
  char byte[600];
  struct pollfd p = {.fd = fd, .events = POLLIN};
  if (poll(&p, 1, 50) == 1)
    CHECK(recv(fd, byte, sizeof byte, 0) <= 0);
}

static void send_garbage(int fd, size_t bytes, uint64_t random) {
  unsigned char *garbage = malloc(bytes + 1);
  for (size_t i = 0; i < bytes; i++)
    garbage[i] = (unsigned char)test_random(&random);
  if (send(fd, garbage, bytes, MSG_NOSIGNAL) < 0)
    CHECK(errno == EPIPE || errno == ECONNRESET || errno == EAGAIN || errno == EMSGSIZE);
  free(garbage);
}

/* Descriptors that nobody has asked for; they must not stay open over there. */
static void send_descriptors(int fd) {
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(8 * sizeof(int))];
  } control = {.space = {0}};
  struct iovec byte = {"x", 1};
  struct msghdr message = {
      .msg_iov = &byte, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  int fds[8] = {0, 1, 2, 0, 1, 2, 0, 1};
  control.header =
      (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fds)};
  memcpy(CMSG_DATA(&control.header), fds, sizeof fds);
  (void)!sendmsg(fd, &message, MSG_NOSIGNAL);
}

static void visit(const struct names *names, int i) {
  static const size_t sizes[] = {0, 1, 8, 100, 512, 4096, 60000};
  static int crowd[CROWD];
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    int fd = connect_to(names, i);
    if (fd < 0)
      continue;
    if (s)
      send_garbage(fd, sizes[s], s);
    check_silence(fd);
    close(fd);
  }
  for (int k = 0; k < CROWD; k++) {
    crowd[k] = connect_to(names, i);
    if (crowd[k] >= 0 && k % 3 == 1)
      send_garbage(crowd[k], 512, (uint64_t)k);
    if (crowd[k] >= 0 && k % 3 == 2)
      send_descriptors(crowd[k]);
  }
  test_sleep_us(100000);
  for (int k = 0; k < CROWD; k++)
    close(crowd[k]);
}

/* As another user where this is root. */
static void visit_as_other_user(const struct names *names, int i) {
  pid_t pid = fork();
  if (pid == 0) {
    if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
      _exit(1);
    int fd = connect_to(names, i);
    if (fd >= 0) {
      send_garbage(fd, 512, 3);
      check_silence(fd);
    }
    _exit(0);
  }
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

/* The last process is the stranger; the last rank comes after its visits. */
static void test_visits(void) {
  struct test_rank *self = test_self();
  int ranks = self->size - 1;
  unisono_config config = UNISONO_CONFIG_INIT;
  config.timeout_ms = test_slow_ms(20000);
  if (self->rank == ranks) {
    struct names names = {.n = 0};
    while (names.n == 0)
      find_names(test_pid(0), &names);
    for (int i = 0; i < names.n; i++) {
      visit(&names, i);
      if (geteuid() == 0)
        visit_as_other_user(&names, i);
    }
    test_post(0, 1);
    return;
  }
  if (self->rank == ranks - 1)
    test_await(0, 1);
  CHECK_OK(unisono_comm_init(&self->comm, ranks, self->rank, &self->id, &config));
  struct names names;
  find_names(getpid(), &names);
  CHECK(names.n == 0); /* once all have come nobody is listening */
  check_works(self->comm);
}

/* Visitors hold on to their connections while the ranks come. */
static void test_crowd_stays(void) {
  struct test_rank *self = test_self();
  int ranks = self->size - 1;
  if (self->rank == ranks) {
    struct names names = {.n = 0};
    while (names.n == 0)
      find_names(test_pid(0), &names);
    int n = 0;
    while (n < CROWD && connect_to(&names, 0) >= 0)
      n++;
    test_post(0, 1);
    test_await(1, ranks);
    return;
  }
  if (self->rank != 0)
    test_await(0, 1);
  CHECK_OK(unisono_comm_init(&self->comm, ranks, self->rank, &self->id, NULL));
  test_add(1, 1);
  check_works(self->comm);
}

int main(int argc, char **argv) {
  const struct test tests[] = {
      {.name = "visits", .body = test_visits, .ranks = {3, 5}, .meets_itself = true, .needs_processes = true},
      {.name = "a crowd that stays",
       .body = test_crowd_stays,
       .ranks = {3, 5},
       .meets_itself = true,
       .needs_processes = true},
      {0},
  };
  return test_main(argc, argv, tests);
}
