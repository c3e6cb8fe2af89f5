/* The values of options, and the processors that defaults depend on. */
#include "tool.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unisono.h>

long tool_integer(const struct argp_state *state, const char *option, const char *text, long low, long high) {
  char *end;
  errno = 0;
  long value = strtol(text, &end, 10);
  if (errno || end == text || *end || value < low || value > high)
    argp_error(state, "%s needs a whole number from %ld to %ld, not '%s'", option, low, high, text);
  return value;
}

double tool_seconds(const struct argp_state *state, const char *option, const char *text) {
  char *end;
  errno = 0;
  double value = strtod(text, &end);
  if (errno || end == text || *end || !(value >= 0 && value <= 1e6))
    argp_error(state, "%s needs a number of seconds, not '%s'", option, text);
  return value;
}

error_t tool_no_arguments(int key, char *text, struct argp_state *state) {
  if (key != ARGP_KEY_ARG)
    return ARGP_ERR_UNKNOWN;
  argp_error(state, "takes no arguments, as '%s' is one", text);
  return 0;
}

static size_t unit(const char *text) {
  static const char *const names[] = {"", "K", "M", "G", "k", "m", "g"};
  static const size_t bytes[] = {1, 1 << 10, 1 << 20, 1 << 30, 1 << 10, 1 << 20, 1 << 30};
  for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++)
    if (strcmp(text, names[i]) == 0)
      return bytes[i];
  return 0;
}

size_t tool_bytes(const struct argp_state *state, const char *option, const char *text) {
  char *end = NULL;
  errno = 0;
  unsigned long long value = strtoull(text, &end, 10);
  size_t factor = unit(end), bytes = 0;
  if (errno || *text < '0' || *text > '9' || !factor || __builtin_mul_overflow(value, factor, &bytes) ||
      bytes == 0 || bytes > (size_t)1 << 40)
    argp_error(state, "%s needs a size in bytes, as 8, 64K, 16M or 1G, not '%s'", option, text);
  return bytes;
}

bool tool_binding(const struct argp_state *state, const char *text) {
  bool core = strcmp(text, "core") == 0;
  if (!core && strcmp(text, "none") != 0)
    argp_error(state, "--bind needs none or core, not '%s'", text);
  return core;
}

int tool_processors(void) {
  unisono_info info = {.struct_size = sizeof info};
  return unisono_get_info(&info) == UNISONO_OK && info.processors > 0 ? info.processors : 1;
}

bool tool_bind(int i, int n) {
  enum { MOST = 8192 };
  size_t bytes = CPU_ALLOC_SIZE(MOST);
  cpu_set_t *usable = CPU_ALLOC(MOST), *mine = CPU_ALLOC(MOST);
  bool bound = false;
  if (usable && mine && sched_getaffinity(0, bytes, usable) == 0) {
    int seen = 0; /* usable processors */
    CPU_ZERO_S(bytes, mine);
    for (size_t processor = 0; processor < MOST && seen < (i + 1) * n; processor++)
      if (CPU_ISSET_S(processor, bytes, usable) && seen++ >= i * n)
        CPU_SET_S(processor, bytes, mine);
    bound = seen == (i + 1) * n && sched_setaffinity(0, bytes, mine) == 0;
  }
  CPU_FREE(usable);
  CPU_FREE(mine);
  return bound;
}
