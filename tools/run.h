/* `unisono run`: one job, its ranks and what they write. */
#ifndef RUN_H
#define RUN_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct run_options {
  int ranks;
  double grace; /* seconds between SIGTERM and SIGKILL */
  bool prefix, bind;
  char **program; /* its name and arguments, NULL at the end */
};

/* The standard output or the standard error of a rank: what came, up to the end of its last line. */
struct stream {
  int fd; /* read end of the pipe; -1: none, or at its end */
  int to; /* where its lines go: our own descriptor 1 or 2 */
  char *data;
  size_t used, capacity;
};

struct rank {
  pid_t pid;      /* 0: not started */
  bool own_group; /* leads a process group; else it shares ours, to be able to read from the terminal */
  bool ended;     /* and not reaped before the job's end: so its pid and its group's id stay ours */
  struct stream streams[2];
};

/* Whole lines on their way out, to one descriptor. While there are any nothing more is read, so that ranks
 * wait for a slow reader instead of filling our memory. */
struct output {
  int to;
  char *data;
  size_t used, written, capacity;
  bool broken; /* the reader has gone: what comes is dropped */
};

struct job {
  const struct run_options *options;
  struct rank *ranks;
  int signals;   /* signalfd */
  pid_t keeper;  /* 0: none */
  int keeper_fd; /* the keeper acts when this is closed by our death */
  int living;
  int status; /* what `unisono run` returns: the first bad status seen */
  bool ending, killed, given_up;
  double deadline; /* when `ending` turns to SIGKILL, or `killed` to giving up; 0: none */
  struct output output;
};

/* run_start.c: fills in job->ranks. False after a message; job->status says how to end then. */
bool run_start(struct job *job, const sigset_t *signals);

/* run_keeper.c: a process that ends the ranks' process groups should `unisono run` itself be killed. */
bool run_keeper_start(struct job *job);
void run_keeper_add(struct job *job, pid_t group);
void run_keeper_stop(struct job *job);

/* run_output.c */
void run_read(struct job *job, int rank, struct stream *stream);
void run_write(struct job *job);
bool run_output_waits(const struct job *job);
void run_message(struct job *job, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* run_supervise.c: until every rank has ended and every line is written. */
void run_supervise(struct job *job);
void run_signal_all(const struct job *job, int signal, bool from_terminal);
/* Children that a rank left behind: reaps those that have ended, kills the others if asked to;
 * how many live. */
int run_leftovers(const struct job *job, bool kill_them);

#endif
