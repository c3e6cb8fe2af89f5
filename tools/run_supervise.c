/* The event loop of `unisono run`: ends of ranks, signals to pass on, lines to write, time limits. */
#include "run.h"
#include "tool.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* To the whole process group of each rank. A rank without one of its own shares ours: what comes from the
 * terminal has reached it already, and what we send is for itself alone. */
void run_signal_all(const struct job *job, int signal, bool from_terminal) {
  for (int i = 0; i < job->options->ranks; i++) {
    const struct rank *rank = &job->ranks[i];
    if (rank->pid && rank->own_group)
      kill(-rank->pid, signal);
    else if (rank->pid && !rank->ended && !from_terminal)
      kill(rank->pid, signal);
  }
}

static bool is_ours(const struct job *job, pid_t pid) {
  for (int i = 0; i < job->options->ranks; i++)
    if (job->ranks[i].pid == pid)
      return true;
  return pid == job->keeper;
}

/* We adopt what a rank's death orphans (PR_SET_CHILD_SUBREAPER); the kernel lists our children. */
int run_leftovers(const struct job *job, bool kill_them) {
  char path[64];
  int living = 0, pid;
  snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
  FILE *children = fopen(path, "re");
  while (children && fscanf(children, "%d", &pid) == 1) {
    if (is_ours(job, pid) || waitpid(pid, NULL, WNOHANG) == pid)
      continue;
    living++;
    if (kill_them)
      kill(pid, SIGKILL);
  }
  if (children)
    fclose(children);
  return living;
}

/* From here on every rank has `grace` seconds to end by itself. */
static void end_all(struct job *job, int status) {
  if (job->ending)
    return;
  job->ending = true;
  job->status = status;
  job->deadline = now() + job->options->grace;
  run_signal_all(job, SIGTERM, false);
  run_signal_all(job, SIGCONT, false); /* a stopped rank gets to it too */
}

static void rank_ended(struct job *job, int rank, const siginfo_t *end) {
  bool killed = end->si_code != CLD_EXITED;
  int status = killed ? 128 + end->si_status : end->si_status;
  job->ranks[rank].ended = true;
  job->living--;
  if (status == 0 || job->ending)
    return;
  const char *others = job->living ? "; ending the others" : "";
  if (killed)
    run_message(job, "unisono run: rank %d was killed by signal %d (%s)%s\n", rank, end->si_status,
                strsignal(end->si_status), others);
  else
    run_message(job, "unisono run: rank %d ended with status %d%s\n", rank, status, others);
  end_all(job, status);
}

static void look_for_ends(struct job *job) {
  for (int i = 0; i < job->options->ranks; i++) {
    siginfo_t end = {0};
    if (!job->ranks[i].ended &&
        waitid(P_PID, (id_t)job->ranks[i].pid, &end, WEXITED | WNOHANG | WNOWAIT) == 0 && end.si_pid)
      rank_ended(job, i, &end);
  }
}

static void handle_signals(struct job *job) {
  struct signalfd_siginfo got;
  while (read(job->signals, &got, sizeof got) == (ssize_t)sizeof got) {
    int signal = (int)got.ssi_signo;
    if (signal == SIGCHLD) {
      look_for_ends(job);
      run_leftovers(job, false);
      continue;
    }
    run_signal_all(job, signal, got.ssi_code == SI_KERNEL);
    if (signal == SIGTSTP)
      raise(SIGSTOP); /* until SIGCONT, which is passed on like the others */
  }
}

static void handle_output(struct job *job) {
  run_write(job);
  if (job->output.broken && !job->ending)
    end_all(job, 128 + SIGPIPE);
}

static int open_streams(const struct job *job) {
  int open = 0;
  for (int i = 0; i < job->options->ranks; i++)
    for (int s = 0; s < 2; s++)
      open += job->ranks[i].streams[s].fd >= 0;
  return open;
}

/* SIGTERM, then SIGKILL, then a second for the last lines: a process out of our reach may hold
 * a pipe open. */
static void handle_deadline(struct job *job) {
  if (job->deadline == 0 || now() < job->deadline)
    return;
  job->given_up = job->killed;
  job->killed = true;
  job->deadline = now() + 1;
  run_signal_all(job, SIGKILL, false);
  run_leftovers(job, true);
}

/* Processes that ranks started and left behind have `grace` seconds more, to write their last lines. */
static bool finished(struct job *job) {
  if (job->living || run_output_waits(job))
    return false;
  if (job->given_up || (open_streams(job) == 0 && run_leftovers(job, false) == 0))
    return true;
  if (job->deadline == 0)
    job->deadline = now() + job->options->grace;
  return false;
}

static int milliseconds_left(const struct job *job) {
  return job->deadline == 0 ? -1 : (int)fmax(0, fmin(1e6, ceil(1e3 * (job->deadline - now()))));
}

/* Entry 0 is the signals; then what there is to write or, with nothing left to write, what there
 * is to read. */
static nfds_t fill_polls(const struct job *job, struct pollfd *polls) {
  nfds_t n = 0;
  polls[n++] = (struct pollfd){.fd = job->signals, .events = POLLIN};
  if (run_output_waits(job)) {
    polls[n++] = (struct pollfd){.fd = job->output.to, .events = POLLOUT};
    return n;
  }
  for (int i = 0; i < job->options->ranks; i++)
    for (int s = 0; s < 2; s++)
      polls[n++] = (struct pollfd){.fd = job->ranks[i].streams[s].fd, .events = POLLIN};
  return n;
}

static void handle_reads(struct job *job, const struct pollfd *polls) {
  for (int i = 0; i < job->options->ranks; i++)
    for (int s = 0; s < 2; s++) {
      struct stream *stream = &job->ranks[i].streams[s];
      bool ready = polls[2 * i + s].revents != 0;
      bool same_way = !run_output_waits(job) || job->output.to == stream->to;
      if (ready && same_way && stream->fd >= 0)
        run_read(job, i, stream);
    }
}

void run_supervise(struct job *job) {
  struct pollfd *polls = calloc(1 + 2 * (size_t)job->options->ranks, sizeof *polls);
  if (!polls)
    end_all(job, TOOL_FAILED);
  while (polls && !finished(job)) {
    bool writing = run_output_waits(job);
    if (poll(polls, fill_polls(job, polls), milliseconds_left(job)) < 0 && errno != EINTR) {
      end_all(job, TOOL_FAILED);
      break;
    }
    if (writing && polls[1].revents)
      handle_output(job);
    else if (!writing)
      handle_reads(job,
                   polls + 1); /* before the signals: a rank's last words come before the news of its end */
    if (polls[0].revents)
      handle_signals(job);
    handle_deadline(job);
  }
  free(polls);
}
