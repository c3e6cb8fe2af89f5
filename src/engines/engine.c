#include "engines/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engines/caller.h"
#include "engines/mpi.h"
#include "error.h"

/* In the order of preference. */
static const struct {
  const char *name;
  unisono_status (*load)(const struct uni_engine **engine);
  void (*describe)(char *words, size_t n);
} engines[] = {
    {"mpi", uni_mpi_load, uni_mpi_describe},
};

unisono_status uni_engine_find(const char *name, const struct uni_engine **engine) {
  const char *wanted = name && *name ? name : getenv("UNISONO_ENGINE");
  if (!wanted || !*wanted)
    wanted = engines[0].name;
  for (size_t i = 0; i < sizeof engines / sizeof *engines; i++)
    if (strcmp(engines[i].name, wanted) == 0)
      return engines[i].load(engine);
  *engine = uni_caller_engine(wanted);
  return *engine ? UNISONO_OK
                 : uni_fail(UNISONO_ERROR_INVALID,
                            "%s is no engine; use mpi, or one of unisono_engine_register (config.engine or "
                            "UNISONO_ENGINE)",
                            wanted);
}

void uni_engines_describe(char *text, size_t bytes) {
  size_t used = 0;
  *text = 0;
  for (size_t i = 0; i < sizeof engines / sizeof *engines && used < bytes; i++) {
    char words[256];
    engines[i].describe(words, sizeof words);
    used += (size_t)snprintf(text + used, bytes - used, "%s%s: %s", i ? "\n" : "", engines[i].name, words);
  }
}
