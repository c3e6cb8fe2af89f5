#include "env.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

enum { DEFAULT_TIMEOUT_MS = 10 * 60 * 1000 };

static const char *const algorithm_names[UNI_ALGORITHMS] = {"auto", "inline", "oneshot", "staged",
                                                            "pull", "push",   "levels"};

const char *uni_algorithm_name(enum uni_algorithm algorithm) {
  return algorithm_names[algorithm];
}

unisono_status uni_env_algorithm(enum uni_algorithm *algorithm) {
  const char *text = getenv("UNISONO_ALGORITHM");
  *algorithm = UNI_AUTO;
  if (!text || !*text)
    return UNISONO_OK;
  for (int i = 0; i < UNI_ALGORITHMS; i++)
    if (strcmp(text, algorithm_names[i]) == 0) {
      *algorithm = (enum uni_algorithm)i;
      return UNISONO_OK;
    }
  if (uni_env_engine_algorithm())
    return UNISONO_OK;
  return uni_fail(
      UNISONO_ERROR_INVALID,
      "UNISONO_ALGORITHM=%s is no algorithm; use auto, inline, oneshot, staged, pull, push or levels, "
      "or between machines ring, recursive_doubling, recursive_halving or tree",
      text);
}

const char *uni_env_engine_algorithm(void) {
  static const char *const names[] = {"ring", "recursive_doubling", "recursive_halving", "tree"};
  const char *text = getenv("UNISONO_ALGORITHM");
  for (size_t i = 0; text && i < sizeof names / sizeof *names; i++)
    if (strcmp(text, names[i]) == 0)
      return names[i];
  return NULL;
}

unisono_status uni_env_partials(bool *narrow) {
  const char *text = getenv("UNISONO_PARTIALS");
  *narrow = text && strcmp(text, "16bit") == 0;
  if (*narrow || !text || !*text || strcmp(text, "float32") == 0)
    return UNISONO_OK;
  return uni_fail(
      UNISONO_ERROR_INVALID,
      "UNISONO_PARTIALS=%s is neither float32 (how sums of 16-bit floats travel between machines) "
      "nor 16bit",
      text);
}

bool uni_env_guard(void) {
  const char *text = getenv("UNISONO_GUARD");
  return text && strcmp(text, "1") == 0;
}

unisono_status uni_env_tune(enum uni_tune *tune) {
  const char *text = getenv("UNISONO_TUNE");
  *tune = UNI_TUNE_ONCE;
  if (!text || !*text)
    return UNISONO_OK;
  if (strcmp(text, "0") != 0 && strcmp(text, "1") != 0)
    return uni_fail(UNISONO_ERROR_INVALID,
                    "UNISONO_TUNE=%s is neither 0 (never measure the machine) nor 1 (measure it now)", text);
  *tune = *text == '0' ? UNI_TUNE_NEVER : UNI_TUNE_ALWAYS;
  return UNISONO_OK;
}

static bool parse_whole(const char *text, long most, int *value) {
  char *end;
  errno = 0;
  long number = strtol(text, &end, 10);
  if (errno || end == text || *end || number < 0 || number > most)
    return false;
  *value = (int)number;
  return true;
}

unisono_status uni_env_timeout(int configured_ms, int *timeout_ms) {
  if (configured_ms < -1)
    return uni_fail(UNISONO_ERROR_INVALID, "timeout_ms is %d; use -1 (none), 0 (the default) or more",
                    configured_ms);
  *timeout_ms = configured_ms;
  const char *text = getenv("UNISONO_TIMEOUT");
  if (configured_ms != 0)
    return UNISONO_OK;
  *timeout_ms = DEFAULT_TIMEOUT_MS;
  if (!text || !*text)
    return UNISONO_OK;
  int seconds;
  if (!parse_whole(text, INT_MAX / 1000, &seconds) || seconds == 0)
    return uni_fail(UNISONO_ERROR_INVALID, "UNISONO_TIMEOUT=%s is not a number of seconds from 1", text);
  *timeout_ms = seconds * 1000;
  return UNISONO_OK;
}

unisono_status uni_env_number(const char *const *names, int *value, bool *found) {
  *found = false;
  for (; *names; names++) {
    const char *text = getenv(*names);
    if (!text || !*text)
      continue;
    if (!parse_whole(text, INT_MAX, value))
      return uni_fail(UNISONO_ERROR_INVALID, "%s=%s in the environment is not a whole number from 0", *names,
                      text);
    *found = true;
    return UNISONO_OK;
  }
  return UNISONO_OK;
}
