#include "engines/oneccl.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engines/caller.h"
#include "error.h"

#define ADAPTER "libunisono_oneccl.so"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static const struct uni_engine *carried;                 /* as its table would be a caller's */
static struct uni_engine engine;                         /* the same, with `open` of here */
static char description[512];                            /* its version, or what is missing */

/* ---- loading */

/* The path of the adapter, if it lies beside this library. */
static bool beside_us(char *path, size_t n) {
  Dl_info here;
  if (!dladdr((const void *)description, &here) || !strrchr(here.dli_fname, '/'))
    return false;
  int folder = (int)(strrchr(here.dli_fname, '/') - here.dli_fname);
  return snprintf(path, n, "%.*s/%s", folder, here.dli_fname, ADAPTER) < (int)n && access(path, R_OK) == 0;
}

static void *open_adapter(void) {
  char path[PATH_MAX];
  void *adapter =
      dlopen(beside_us(path, sizeof path) ? path : ADAPTER, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (adapter)
    return adapter;
  const char *why = dlerror();
  if (strstr(why, ADAPTER ": cannot open"))
    snprintf(description, sizeof description,
             "not built: %s is not beside the library; CMake builds it where it finds oneCCL (packages "
             "oneccl-cpu and oneccl-cpu-devel of PyPI)",
             ADAPTER);
  else
    snprintf(description, sizeof description,
             "not found: %.200s (packages oneccl-cpu and impi-rt of PyPI; LD_LIBRARY_PATH must lead to their "
             "libraries)",
             why);
  return NULL;
}

/* With the lock held. */
static bool load(void) {
  if (carried)
    return true;
  void *adapter = open_adapter();
  const unisono_engine *(*start)(char *text, size_t n) = NULL;
  if (adapter)
    *(void **)(void *)&start = dlsym(adapter, "unisono_oneccl");
  const unisono_engine *theirs = start ? start(description, sizeof description) : NULL;
  carried = theirs ? uni_caller_wrap(theirs) : NULL;
  return carried != NULL;
}

void uni_oneccl_describe(char *words, size_t n) {
  pthread_mutex_lock(&lock);
  load();
  snprintf(words, n, "%s", description);
  pthread_mutex_unlock(&lock);
}

/* ---- starting */

/* UNISONO_ALGORITHM in oneCCL's words. */
static void set_algorithm(const char *algorithm) {
  static const char *const words[][2] = {{"ring", "ring"},
                                         {"recursive_doubling", "recursive_doubling"},
                                         {"recursive_halving", "rabenseifner"},
                                         {"tree", "double_tree"}};
  for (size_t i = 0; algorithm && i < sizeof words / sizeof *words; i++)
    if (strcmp(algorithm, words[i][0]) == 0)
      setenv("CCL_ALLREDUCE", words[i][1], 1);
}

static void set_environment(const struct uni_engine_start *start) {
  setenv("CCL_ATL_TRANSPORT", "ofi", 0);
  setenv("CCL_PROCESS_LAUNCHER", "none", 0);
  setenv("CCL_WORKER_OFFLOAD", "0", 0);            /* its threads spin, on the processors of the ranks */
  setenv("CCL_ATL_OFI_MAX_RETRY_COUNT", "100", 0); /* else a call tries for seconds to reach who is lost */
  setenv("CCL_LOG_LEVEL", "error", 0);             /* else it warns of every variable that is set */
  if (*start->iface) { /* without it TCP may take one that leads nowhere, and wait for ever */
    setenv("FI_TCP_IFACE", start->iface, 0);
    setenv("CCL_KVS_IFACE", start->iface, 0);
  }
  set_algorithm(start->algorithm);
}

static unisono_status open_world(const struct uni_engine_start *start, void **world) {
  struct uni_engine_start inner = *start;
  inner.engine = carried;
  set_environment(start);
  return carried->open(&inner, world);
}

unisono_status uni_oneccl_load(const struct uni_engine **out) {
  pthread_mutex_lock(&lock);
  bool loaded = load();
  if (loaded) {
    engine = *carried;
    engine.open = open_world;
  }
  pthread_mutex_unlock(&lock);
  *out = loaded ? &engine : NULL;
  return loaded ? UNISONO_OK
                : uni_fail(UNISONO_ERROR_UNSUPPORTED,
                           "the ranks are on several machines, and the engine oneccl is %s", description);
}
