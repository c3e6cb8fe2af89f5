/* The keeper: a process that outlives `unisono run` by a moment where that is killed (SIGKILL). The ranks
 * themselves die with their parent (PR_SET_PDEATHSIG), but the processes that they started would stay. */
#include "run.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Reads the groups' numbers until the end of the pipe, which only our death brings: a keeper that is no
 * longer needed is killed before. Every signal that can be blocked is. */
static _Noreturn void keep(int fd, int most) {
  pid_t *groups = calloc((size_t)most, sizeof *groups), group;
  int n = 0;
  while (read(fd, &group, sizeof group) == (ssize_t)sizeof group)
    if (groups && n < most)
      groups[n++] = group;
  for (int i = 0; i < n; i++)
    kill(-groups[i], SIGKILL);
  _exit(0);
}

/* Holds none of the files that others wait for the end of. */
static void leave_terminal(void) {
  setpgid(0, 0);
  int null = open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; fd++)
    dup2(null, fd);
}

bool run_keeper_start(struct job *job) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return false;
  job->keeper_fd = ends[1];
  job->keeper = fork();
  if (job->keeper == 0) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    close(ends[1]);
    close(job->signals);
    leave_terminal();
    prctl(PR_SET_NAME, "unisono-keeper");
    keep(ends[0], job->options->ranks);
  }
  close(ends[0]);
  return job->keeper > 0;
}

void run_keeper_add(struct job *job, pid_t group) {
  if (write(job->keeper_fd, &group, sizeof group) < 0)
    return; /* a keeper that was killed is no reason to end the job: the ranks die with us all the same */
}

void run_keeper_stop(struct job *job) {
  kill(job->keeper, SIGKILL);
  waitpid(job->keeper, NULL, 0);
}
