/* The constants in the user's cache folder: a line of text each, after the key that they hold for. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "costs/costs.h"
#include "error.h"
#include "hash.h"
#include "kernels/reduce.h"
#include "log.h"
#include "processors.h"

enum { KEY = 512, TEXT = 2048 };

/* "EPYC ..." of /proc/cpuinfo; the name of the line depends on the processor. */
static void read_model(char *model, size_t room) {
  static const char *const labels[] = {"model name", "uarch", "CPU part", "cpu model"};
  char line[256];
  snprintf(model, room, "unknown");
  FILE *file = fopen("/proc/cpuinfo", "re");
  while (file && fgets(line, sizeof line, file))
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
      char *colon = strchr(line, ':');
      if (strncmp(line, labels[i], strlen(labels[i])) != 0 || !colon)
        continue;
      line[strcspn(line, "\n")] = 0;
      snprintf(model, room, "%s", colon + 1 + strspn(colon + 1, " \t"));
      fclose(file);
      return;
    }
  if (file)
    fclose(file);
}

enum { MEANING = 2 }; /* of the constants: another one where what they measure has changed */

/* What the constants depend on, in lines. */
static void write_key(char key[KEY]) {
  struct utsname system;
  char model[128];
  read_model(model, sizeof model);
  snprintf(key, KEY, "unisono %s, costs %d\nprocessor %s\nkernels %s\nsystem %s %s\n", unisono_version(),
           MEANING, model, uni_kernels()->isa, uname(&system) == 0 ? system.sysname : "unknown",
           system.release);
}

bool uni_costs_path(char *path, size_t room) {
  const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  char model[128];
  int n = -1;
  read_model(model, sizeof model); /* a home folder may serve machines of several kinds */
  uint64_t hash = uni_hash(model, strlen(model), 1);
  if (cache && cache[0] == '/')
    n = snprintf(path, room, "%s/unisono/costs-%016" PRIx64, cache, hash);
  else if (home && home[0] == '/')
    n = snprintf(path, room, "%s/.cache/unisono/costs-%016" PRIx64, home, hash);
  return n > 0 && (size_t)n < room;
}

/* The text of the file: the key, the constants, and a sum over all that, for a file may be cut short. */
static int write_text(char text[TEXT], const struct uni_costs *costs) {
  write_key(text);
  size_t n = strlen(text);
  for (int i = 0; i < UNI_COSTS; i++)
    n += (size_t)snprintf(text + n, TEXT - n, "%s %" PRIu32 " ps\n", uni_cost_name((enum uni_cost)i),
                          costs->ps[i]);
  return (int)n + snprintf(text + n, TEXT - n, "sum %016" PRIx64 "\n", uni_hash(text, n, 0));
}

/* The constants that a text without its key names. */
static bool parse(const char *text, struct uni_costs *costs) {
  for (int i = 0; i < UNI_COSTS; i++) {
    const char *name = uni_cost_name((enum uni_cost)i);
    size_t length = strlen(name);
    char *end;
    if (strncmp(text, name, length) != 0 || text[length] != ' ')
      return false;
    costs->ps[i] = (uint32_t)strtoul(text + length, &end, 10);
    if (strncmp(end, " ps\n", 4) != 0)
      return false;
    text = end + 4;
  }
  return true;
}

static bool read_file(const char *path, char text[TEXT]) {
  FILE *file = fopen(path, "re");
  if (!file)
    return false;
  size_t n = fread(text, 1, TEXT - 1, file);
  fclose(file);
  text[n] = 0;
  return true;
}

bool uni_costs_load(const char *path, struct uni_costs *costs) {
  char text[TEXT], again[TEXT], key[KEY];
  struct uni_costs found;
  if (!read_file(path, text))
    return false;
  write_key(key);
  if (strncmp(text, key, strlen(key)) != 0) {
    uni_log(UNI_LOG_WARN, "%s is of another version, processor or system: measuring anew", path);
    return false;
  }
  if (parse(text + strlen(key), &found)) {
    write_text(again, &found);
    if (strcmp(text, again) == 0) {
      uni_costs_bound(&found);
      *costs = found;
      return true;
    }
  }
  uni_log(UNI_LOG_WARN, "%s is damaged: measuring anew", path);
  return false;
}

/* The folders on the way to `path`, as far as they are missing. */
static void make_folders(char *path) {
  for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
    *slash = 0;
    mkdir(path, 0700); /* that it fails shows when the file is opened */
    *slash = '/';
  }
}

unisono_status uni_costs_save(const char *path, const struct uni_costs *costs) {
  char text[TEXT], beside[TEXT];
  int n = write_text(text, costs);
  if (snprintf(beside, sizeof beside, "%s.%d", path, (int)getpid()) >= (int)sizeof beside)
    return uni_fail(UNISONO_ERROR_SYSTEM, "%s is too long a path", path);
  make_folders(beside);
  FILE *file = fopen(beside, "we");
  bool good = file && fwrite(text, 1, (size_t)n, file) == (size_t)n;
  good = file && fclose(file) == 0 && good && rename(beside, path) == 0;
  int why = errno;
  if (!good) {
    unlink(beside);
    return uni_fail(UNISONO_ERROR_SYSTEM, "cannot write %s: %s", path, strerror(why));
  }
  return UNISONO_OK;
}
