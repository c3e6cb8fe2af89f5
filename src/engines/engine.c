#include "engines/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engines/caller.h"
#include "engines/mpi.h"
#include "engines/oneccl.h"
#include "error.h"

/* In the order of preference. */
static const struct {
  const char *name;
  unisono_status (*load)(const struct uni_engine **engine);
  void (*describe)(char *words, size_t n);
} engines[] = {
    {"mpi", uni_mpi_load, uni_mpi_describe},
    {"oneccl", uni_oneccl_load, uni_oneccl_describe},
};
enum { ENGINES = sizeof engines / sizeof *engines };

/* The first that can be had; where none can, the failure is about the one to be preferred. */
static unisono_status find_any(const struct uni_engine **engine) {
  for (size_t i = 0; i < ENGINES; i++)
    if (engines[i].load(engine) == UNISONO_OK)
      return UNISONO_OK;
  return engines[0].load(engine);
}

unisono_status uni_engine_find(const char *name, const struct uni_engine **engine) {
  const char *wanted = name && *name ? name : getenv("UNISONO_ENGINE");
  if (!wanted || !*wanted)
    return find_any(engine);
  for (size_t i = 0; i < ENGINES; i++)
    if (strcmp(engines[i].name, wanted) == 0)
      return engines[i].load(engine);
  *engine = uni_caller_engine(wanted);
  return *engine
             ? UNISONO_OK
             : uni_fail(
                   UNISONO_ERROR_INVALID,
                   "%s is no engine; use mpi, oneccl, or one of unisono_engine_register (config.engine or "
                   "UNISONO_ENGINE)",
                   wanted);
}

void uni_engines_describe(char *text, size_t bytes) {
  size_t used = 0;
  *text = 0;
  for (size_t i = 0; i < ENGINES && used < bytes; i++) {
    char words[512];
    engines[i].describe(words, sizeof words);
    used += (size_t)snprintf(text + used, bytes - used, "%s%s: %s", i ? "\n" : "", engines[i].name, words);
  }
}
