/* `unisono run -n N PROGRAM ARGS…`: options, and the order of a job's life. */
#include "run.h"
#include "tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct argp_option option_table[] = {
    {NULL, 'n', "N", 0, "Start N ranks (default: one for each processor)", 0},
    {"grace", 'g', "SECONDS", 0, "Time between SIGTERM and SIGKILL when a rank has failed (default: 5)", 0},
    {"bind", 'b', "none|core", 0, "core: bind rank i to the i-th processor (default: none)", 0},
    {"no-prefix", 'p', NULL, 0, "Let the ranks write to standard output and error themselves", 0},
    {0}};

static error_t parse_option(int key, char *text, struct argp_state *state) {
  struct run_options *options = state->input;
  switch (key) {
  case 'n':
    options->ranks = (int)tool_integer(state, "-n", text, 1, TOOL_MAX_RANKS);
    break;
  case 'g':
    options->grace = tool_seconds(state, "--grace", text);
    break;
  case 'b':
    options->bind = tool_binding(state, text);
    break;
  case 'p':
    options->prefix = false;
    break;
  case ARGP_KEY_ARG: /* the program; all that follows is its own */
    options->program = state->argv + state->next - 1;
    state->next = state->argc;
    break;
  case ARGP_KEY_NO_ARGS:
    argp_error(state, "the PROGRAM to run is missing");
    break;
  default:
    return ARGP_ERR_UNKNOWN;
  }
  return 0;
}

static const struct argp parser = {
    .options = option_table,
    .parser = parse_option,
    .args_doc = "[--] PROGRAM [ARGUMENT...]",
    .doc =
        "Starts the ranks of PROGRAM on this machine."
        "\vEvery line that a rank writes is prefixed with its number. Signals are passed on to the ranks. "
        "When "
        "one fails, the others are ended. The exit status is 0 if every rank's was, else the first bad one: "
        "128 + N for a rank that signal N killed."};

/* Blocks what the supervisor reads from its signalfd. SIGPIPE only comes of writing, which reports it. */
static bool take_signals(struct job *job, sigset_t *set, sigset_t *before) {
  static const int all[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT};
  sigemptyset(set);
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    sigaddset(set, all[i]);
  sigset_t blocked = *set;
  sigaddset(&blocked, SIGPIPE);
  sigprocmask(SIG_BLOCK, &blocked, before);
  signal(SIGCHLD, SIG_DFL); /* ignored, as some parents leave it, it would hide how ranks ended */
  job->signals = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
  return job->signals >= 0;
}

static bool prepare(struct job *job, sigset_t *before) {
  sigset_t set;
  job->ranks = calloc((size_t)job->options->ranks, sizeof *job->ranks);
  if (job->ranks && take_signals(job, &set, before) && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0 &&
      run_keeper_start(job))
    return true;
  fprintf(stderr, "unisono run: cannot start: %s\n", strerror(errno));
  job->status = TOOL_FAILED;
  return false;
}

/* Nothing of the job may outlive it: what is left of the ranks' groups, what left these groups, zombies. */
static void clean_up(struct job *job) {
  run_signal_all(job, SIGKILL, false);
  for (int i = 0; i < job->options->ranks && job->ranks[i].pid; i++) {
    waitpid(job->ranks[i].pid, NULL, 0);
    job->ranks[i].pid = 0;
    for (int s = 0; s < 2; s++)
      free(job->ranks[i].streams[s].data);
  }
  while (run_leftovers(job, true))
    usleep(1000);
  run_keeper_stop(job);
  free(job->ranks);
  free(job->output.data);
}

int run_main(int argc, char **argv) {
  struct run_options options = {.grace = 5, .prefix = true};
  argp_parse(&parser, argc, argv, ARGP_IN_ORDER, NULL, &options);
  if (!options.ranks)
    options.ranks = tool_processors();
  if (options.bind && options.ranks > tool_processors()) {
    fprintf(stderr, "unisono run: --bind core needs a processor for each of the %d ranks; there are %d\n",
            options.ranks, tool_processors());
    return TOOL_USAGE;
  }
  struct job job = {.options = &options};
  sigset_t before;
  if (prepare(&job, &before)) {
    if (run_start(&job, &before))
      run_supervise(&job);
    clean_up(&job);
  }
  return job.status;
}
