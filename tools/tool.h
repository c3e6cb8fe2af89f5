/* What the subcommands of `unisono` share: their entry points, exit statuses and the parsing of values. */
#ifndef TOOL_H
#define TOOL_H

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>

enum { TOOL_OK = 0, TOOL_FAILED = 1, TOOL_USAGE = 2, TOOL_MAX_RANKS = 4096 };

/* Each gets argv[0] as "unisono run" and returns the exit status. */
int run_main(int argc, char **argv);
int bench_main(int argc, char **argv);
int tune_main(int argc, char **argv);
int info_main(int argc, char **argv);

/* Values of options; anything else than a number in the range ends the program with a usage error. */
long tool_integer(const struct argp_state *state, const char *option, const char *text, long low, long high);
double tool_seconds(const struct argp_state *state, const char *option, const char *text);
/* Bytes, with K, M or G (powers of 1024) after the number. */
size_t tool_bytes(const struct argp_state *state, const char *option, const char *text);
/* The parser of a subcommand that has no options of its own. */
error_t tool_no_arguments(int key, char *text, struct argp_state *state);
/* `--bind`: true for "core", false for "none". */
bool tool_binding(const struct argp_state *state, const char *text);

/* Processors that this process may use: affinity and cgroup quota counted. At least 1. */
int tool_processors(void);

/* Of the processors that this process may use, n by n, binds it to the i-th n. False: there are not so many,
 * or errno. */
bool tool_bind(int i, int n);

#endif
