/* The end of a rank in words of PMI-1: what the launcher hears, though signals interrupt who waits for its
 * answers. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "check.h"
#include "engines/pmi.h"

enum { LATE_US = 30000 };

static void ignore(int number) {
  (void)number;
}

/* Interrupts system calls every millisecond. */
static void start_interrupting(void) {
  struct sigaction action = {.sa_handler = ignore}; /* no SA_RESTART */
  struct itimerval often = {{0, 1000}, {0, 1000}};
  CHECK(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &often, NULL) == 0);
}

static void answer(FILE *in, int out, const char *awaited, const char *words) {
  char line[64];
  CHECK(fgets(line, sizeof line, in) && strcmp(line, awaited) == 0);
  usleep(LATE_US);
  CHECK(write(out, words, strlen(words)) == (ssize_t)strlen(words));
}

static void *launch(void *argument) {
  int fd = *(int *)argument;
  FILE *in = fdopen(fd, "r");
  answer(in, fd, "cmd=barrier_in\n", "cmd=barrier_out rc=0\n");
  answer(in, fd, "cmd=finalize\n", "cmd=finalize_ack rc=0\n");
  fclose(in);
  return NULL;
}

static void set_fd(int fd) {
  char text[16];
  snprintf(text, sizeof text, "%d", fd);
  setenv("PMI_FD", text, 1);
}

static void check_leaves(void) {
  int ends[2];
  pthread_t launcher;
  sigset_t alarms;
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  set_fd(ends[0]);
  sigemptyset(&alarms);
  sigaddset(&alarms, SIGALRM);
  pthread_sigmask(SIG_BLOCK, &alarms, NULL); /* the launcher's thread takes none of them */
  CHECK(pthread_create(&launcher, NULL, launch, &ends[1]) == 0);
  pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
  start_interrupting();
  CHECK(uni_pmi_leave());
  pthread_join(launcher, NULL);
  close(ends[0]);
}

int main(void) {
  unsetenv("PMI_FD");
  CHECK(!uni_pmi_leave());
  set_fd(1000); /* not open */
  CHECK(!uni_pmi_leave());
  check_leaves();
  return 0;
}
