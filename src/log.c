#include "log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const level_names[] = {"error", "warn", "info", "debug"};

static _Atomic int threshold = -1; /* read once from the environment; any thread may be the first */
static _Thread_local int log_rank = -1;

static int threshold_from_environment(void) {
  const char *text = getenv("UNISONO_LOG");
  for (int i = 0; text && i <= UNI_LOG_DEBUG; i++)
    if (strcmp(text, level_names[i]) == 0)
      return i;
  return UNI_LOG_WARN;
}

void uni_log_set_rank(int rank) {
  log_rank = rank;
}

void uni_log(enum uni_log_level level, const char *format, ...) {
  int limit = atomic_load_explicit(&threshold, memory_order_relaxed);
  if (limit < 0) {
    limit = threshold_from_environment();
    atomic_store_explicit(&threshold, limit, memory_order_relaxed);
  }
  if ((int)level > limit)
    return;
  char line[768], who[24] = "";
  va_list arguments;
  va_start(arguments, format);
  if (log_rank >= 0)
    snprintf(who, sizeof who, " [rank %d]", log_rank);
  int used = snprintf(line, sizeof line, "unisono %s%s: ", level_names[level], who);
  vsnprintf(line + used, sizeof line - (size_t)used, format, arguments);
  va_end(arguments);
  fprintf(stderr, "%s\n", line); /* one write a line, so that ranks do not mix within one */
}
