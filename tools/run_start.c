/* Starting the ranks: their environment, their files, fork and exec. */
#include "run.h"
#include "tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOT_EXECUTABLE = 126, NOT_FOUND = 127 }; /* exit statuses as the shell has them */

static void set_number(const char *name, int value) {
  char text[16];
  snprintf(text, sizeof text, "%d", value);
  setenv(name, text, 1);
}

/* A socket bound to 127.0.0.1:port; port 0 takes any that is free. -1: none. */
static int bind_port(in_port_t *port) {
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(*port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && (bind(fd, (struct sockaddr *)&address, length) != 0 ||
                  getsockname(fd, (struct sockaddr *)&address, &length) != 0)) {
    close(fd);
    return -1;
  }
  *port = ntohs(address.sin_port);
  return fd;
}

/* A port that is free, and the next one too: MASTER_PORT may be taken by a store of the program's own, and
 * the ranks meet at MASTER_PORT + 1. 0: there is none. */
static int free_port(void) {
  for (int attempt = 0; attempt < 64; attempt++) {
    in_port_t port = 0, next;
    int first = bind_port(&port), second = -1;
    if (first >= 0 && port < 65535) {
      next = (in_port_t)(port + 1);
      second = bind_port(&next);
    }
    if (first >= 0)
      close(first);
    if (second >= 0) {
      close(second);
      return port;
    }
  }
  return 0;
}

/* What all ranks have in common. */
static bool set_environment(int ranks) {
  unsigned char secret[16];
  char hex[2 * sizeof secret + 1];
  int port = free_port();
  if (port == 0 || getrandom(secret, sizeof secret, 0) != (ssize_t)sizeof secret)
    return false;
  for (size_t i = 0; i < sizeof secret; i++)
    snprintf(hex + 2 * i, 3, "%02x", secret[i]);
  setenv("UNISONO_SECRET", hex, 0);
  setenv("MASTER_ADDR", "127.0.0.1", 1);
  set_number("MASTER_PORT", port);
  set_number("WORLD_SIZE", ranks);
  set_number("LOCAL_WORLD_SIZE", ranks);
  set_number("LOCAL_SIZE", ranks);
  return true;
}

/* In the rank: rank 0 keeps our standard input, the others have none. */
static void set_files(int rank, const int *outputs) {
  if (rank > 0) {
    int null = open("/dev/null", O_RDONLY);
    dup2(null, STDIN_FILENO);
    close(null);
  }
  for (int s = 0; s < 2; s++)
    if (outputs[s] >= 0)
      dup2(outputs[s], s + 1);
}

/* In the rank: turns into the program, or tells through `failure` why not. */
static _Noreturn void become(const struct job *job, int rank, const int *outputs, int failure, pid_t parent,
                             const sigset_t *signals) {
  if (job->ranks[rank].own_group)
    setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) /* it died before the line above */
    _exit(TOOL_FAILED);
  set_number("RANK", rank);
  set_number("LOCAL_RANK", rank);
  set_files(rank, outputs);
  errno = 0;
  if (!job->options->bind || tool_bind(rank, 1)) {
    sigprocmask(SIG_SETMASK, signals, NULL);
    execvp(job->options->program[0], job->options->program);
  }
  int reason = errno ? errno : EINVAL;
  ssize_t told = write(failure, &reason, sizeof reason);
  _exit(told < 0 ? TOOL_FAILED : NOT_FOUND);
}

/* Pipes for what the rank writes; outputs[] gets the rank's ends. */
static bool open_streams(struct job *job, struct rank *rank, int *outputs) {
  for (int s = 0; s < 2; s++) {
    int ends[2] = {-1, -1};
    if (job->options->prefix && pipe2(ends, O_CLOEXEC) != 0)
      return false;
    if (ends[0] >= 0)
      fcntl(ends[0], F_SETFL, O_NONBLOCK);
    rank->streams[s] = (struct stream){.fd = ends[0], .to = s + 1};
    outputs[s] = ends[1];
  }
  return true;
}

static bool start_rank(struct job *job, int i, int failure, const sigset_t *signals) {
  struct rank *rank = &job->ranks[i];
  int outputs[2] = {-1, -1};
  pid_t parent = getpid();
  rank->own_group = i > 0 || !isatty(STDIN_FILENO);
  bool open = open_streams(job, rank, outputs);
  pid_t pid = open ? fork() : -1;
  if (pid == 0)
    become(job, i, outputs, failure, parent, signals);
  for (int s = 0; s < 2; s++)
    if (outputs[s] >= 0)
      close(outputs[s]);
  if (pid < 0)
    return false;
  rank->pid = pid;
  if (rank->own_group) {
    setpgid(pid, pid); /* here too, so that it is done before the first signal, whoever is first */
    run_keeper_add(job, pid);
  }
  job->living++;
  return true;
}

/* Waits until every rank runs the program; else the errno that kept one from it. */
static int exec_failure(int fd) {
  int reason = 0;
  ssize_t got;
  do
    got = read(fd, &reason, sizeof reason);
  while (got < 0 && errno == EINTR);
  return got == (ssize_t)sizeof reason ? reason : 0;
}

static bool failed(struct job *job, const char *what, int reason, int status) {
  fprintf(stderr, "unisono run: cannot start %s: %s\n", what, strerror(reason));
  job->status = status;
  return false;
}

bool run_start(struct job *job, const sigset_t *signals) {
  int failure[2];
  if (!set_environment(job->options->ranks))
    return failed(job, "the ranks: no free port or no randomness", errno, TOOL_FAILED);
  if (pipe2(failure, O_CLOEXEC) != 0)
    return failed(job, "the ranks", errno, TOOL_FAILED);
  for (int i = 0; i < job->options->ranks; i++)
    if (!start_rank(job, i, failure[1], signals))
      return failed(job, "that many ranks", errno, TOOL_FAILED);
  close(failure[1]);
  int reason = exec_failure(failure[0]);
  close(failure[0]);
  if (reason)
    return failed(job, job->options->program[0], reason, reason == ENOENT ? NOT_FOUND : NOT_EXECUTABLE);
  return true;
}
