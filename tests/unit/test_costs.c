/* The file of the machine's costs: what comes back of it, and what does not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "costs/costs.h"

static char folder[] = "/tmp/unisono-costs-XXXXXX", path[512];

/* What the library says of it. */
static char said[4096];

static bool load(struct uni_costs *costs) {
  char file[] = "/tmp/unisono-said-XXXXXX";
  int kept = dup(2), to = mkstemp(file);
  fflush(stderr);
  dup2(to, 2);
  bool good = uni_costs_load(path, costs);
  fflush(stderr);
  dup2(kept, 2);
  ssize_t n = pread(to, said, sizeof said - 1, 0);
  said[n > 0 ? n : 0] = 0;
  close(to);
  close(kept);
  unlink(file);
  return good;
}

static struct uni_costs some_costs(void) {
  struct uni_costs costs = uni_costs_default;
  for (int i = 0; i < UNI_COSTS; i++)
    costs.ps[i] += (uint32_t)i + 1;
  return costs;
}

static void check_round_trip(void) {
  struct uni_costs kept = some_costs(), found;
  CHECK(uni_costs_path(path, sizeof path) && strncmp(path, folder, strlen(folder)) == 0);
  CHECK(!load(&found) && said[0] == 0); /* that there is none yet is nothing to talk of */
  CHECK(uni_costs_save(path, &kept) == UNISONO_OK);
  CHECK(load(&found) && said[0] == 0);
  CHECK(memcmp(&kept, &found, sizeof kept) == 0);
}

/* Writes the file anew, with `now` in the place of `old`. */
static void change(const char *old, const char *now) {
  char text[4096], *at;
  struct uni_costs kept = some_costs();
  CHECK(uni_costs_save(path, &kept) == UNISONO_OK);
  FILE *file = fopen(path, "r");
  CHECK(file);
  text[fread(text, 1, sizeof text - 1, file)] = 0;
  fclose(file);
  CHECK((at = strstr(text, old)));
  CHECK((file = fopen(path, "w")));
  fprintf(file, "%.*s%s%s", (int)(at - text), text, now, at + strlen(old));
  fclose(file);
}

static void check_refusals(void) {
  struct uni_costs found;
  change("unisono ", "unisono 9");
  CHECK(!load(&found) && strstr(said, "another version"));
  change("processor ", "processor Z");
  CHECK(!load(&found) && strstr(said, "another version"));
  change("kernels ", "kernels x");
  CHECK(!load(&found) && strstr(said, "another version"));
  change("turn ", "turn 1");
  CHECK(!load(&found) && strstr(said, "damaged"));
  found = uni_costs_default;
  change("read ", "reed ");
  CHECK(!load(&found) && strstr(said, "damaged"));
  CHECK(memcmp(&found, &uni_costs_default, sizeof found) == 0); /* nothing of it is taken */
  change("sum ", "");
  CHECK(!load(&found) && strstr(said, "damaged"));
  CHECK(truncate(path, 100) == 0);
  CHECK(!load(&found) && strstr(said, path));
  CHECK(truncate(path, 0) == 0);
  CHECK(!load(&found) && strstr(said, path));
}

static void check_bounds(void) {
  struct uni_costs costs;
  memset(&costs, 0xff, sizeof costs);
  uni_costs_bound(&costs);
  for (int i = 0; i < UNI_COSTS; i++)
    CHECK(costs.ps[i] == uni_costs_default.ps[i] * 8);
  memset(&costs, 0, sizeof costs);
  uni_costs_bound(&costs);
  for (int i = 0; i < UNI_COSTS; i++)
    CHECK(costs.ps[i] == uni_costs_default.ps[i] / 8);
}

static void check_where(void) {
  char other[512];
  CHECK(unsetenv("XDG_CACHE_HOME") == 0 && setenv("HOME", folder, 1) == 0);
  CHECK(uni_costs_path(other, sizeof other) && strstr(other, "/.cache/unisono/costs-"));
  CHECK(unsetenv("HOME") == 0 && !uni_costs_path(other, sizeof other));
  CHECK(setenv("XDG_CACHE_HOME", "not/absolute", 1) == 0 && !uni_costs_path(other, sizeof other));
  CHECK(!uni_costs_path(other, 4));
  struct uni_costs costs = some_costs();
  CHECK(uni_costs_save("/proc/unisono/costs", &costs) == UNISONO_ERROR_SYSTEM);
  CHECK(strstr(unisono_last_error(), "/proc/unisono/costs"));
}

static void check_settings(void) {
  struct uni_costs costs;
  int rounds;
  CHECK(setenv("XDG_CACHE_HOME", folder, 1) == 0 && unsetenv("UNISONO_TUNE") == 0);
  unlink(path);
  CHECK(uni_costs_find(&costs, true, &rounds) == UNISONO_OK && rounds > 0);
  CHECK(uni_costs_find(&costs, false, &rounds) == UNISONO_OK && rounds == 0);
  costs = some_costs();
  uni_costs_keep(&costs);
  CHECK(uni_costs_find(&costs, true, &rounds) == UNISONO_OK && rounds == 0);
  CHECK(costs.ps[UNI_COST_TURN] == some_costs().ps[UNI_COST_TURN]);
  setenv("UNISONO_TUNE", "1", 1);
  CHECK(uni_costs_find(&costs, true, &rounds) == UNISONO_OK && rounds == UNI_COST_ROUNDS);
  setenv("UNISONO_TUNE", "0", 1);
  CHECK(uni_costs_find(&costs, true, &rounds) == UNISONO_OK && rounds == 0);
  CHECK(memcmp(&costs, &uni_costs_default, sizeof costs) == 0);
  setenv("UNISONO_TUNE", "yes", 1);
  CHECK(uni_costs_find(&costs, true, &rounds) == UNISONO_ERROR_INVALID);
  CHECK(strstr(unisono_last_error(), "UNISONO_TUNE=yes"));
}

int main(void) {
  CHECK(mkdtemp(folder) && setenv("XDG_CACHE_HOME", folder, 1) == 0);
  check_round_trip();
  check_refusals();
  check_bounds();
  check_settings();
  check_where();
  unlink(path);
  *strrchr(path, '/') = 0;
  CHECK(rmdir(path) == 0 && rmdir(folder) == 0); /* nothing else was left there */
  return 0;
}
