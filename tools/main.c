/* The command `unisono`: finds the subcommand and hands over to it. */
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unisono.h>

static const struct subcommand {
  const char *name, *summary;
  int (*main)(int argc, char **argv);
} subcommands[] = {
    {"run", "start the ranks of a program on this machine", run_main},
    {"bench", "measure an operation, with every result checked", bench_main},
    {"tune", "measure what the choice of algorithms rests on", tune_main},
    {"info", "show what the library found on this machine", info_main},
};
enum { SUBCOMMANDS = sizeof subcommands / sizeof *subcommands };

static void print_version(FILE *stream, struct argp_state *state) {
  (void)state;
  fprintf(stream, "unisono %s\n", unisono_version());
}

static void print_help(FILE *stream) {
  fputs("Usage: unisono SUBCOMMAND [OPTION...]\n"
        "Collective communication between the processes of one machine.\n\n",
        stream);
  for (int i = 0; i < SUBCOMMANDS; i++)
    fprintf(stream, "  %-7s %s\n", subcommands[i].name, subcommands[i].summary);
  fputs("\n  --help     print this text; after a subcommand, its options\n"
        "  --version  print the version\n\n"
        "Exit status: 0 all is well, 1 the work failed, 2 wrong usage; unisono run passes on its\n"
        "ranks' own. The manual page is unisono(1).\n",
        stream);
}

static int usage_error(const char *what, const char *word) {
  fprintf(stderr, "unisono: %s%s%s\nTry `unisono --help' for more information.\n", what, word ? ": " : "",
          word ? word : "");
  return TOOL_USAGE;
}

/* Output that did not reach its file is a failure, not a success. */
static int finish(int status) {
  if ((fflush(stdout) != 0 || ferror(stdout)) && status == TOOL_OK) {
    perror("unisono: cannot write to standard output");
    return TOOL_FAILED;
  }
  return status;
}

int main(int argc, char **argv) {
  argp_err_exit_status = TOOL_USAGE;
  argp_program_version_hook = print_version;
  if (argc < 2)
    return usage_error("a subcommand is missing", NULL);
  for (int i = 0; i < SUBCOMMANDS; i++)
    if (strcmp(argv[1], subcommands[i].name) == 0) {
      char title[32];
      snprintf(title, sizeof title, "unisono %s", subcommands[i].name);
      argv[1] = title;
      return finish(subcommands[i].main(argc - 1, argv + 1));
    }
  if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0 || strcmp(argv[1], "-h") == 0)
    print_help(stdout);
  else if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
    print_version(stdout, NULL);
  else
    return usage_error(argv[1][0] == '-' ? "unknown option" : "unknown subcommand", argv[1]);
  return finish(TOOL_OK);
}
