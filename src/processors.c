#include "processors.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "cgroup.h"

/* The kernel answers EINVAL as long as the set is smaller than its own: grow it until it fits. */
int uni_processors_allowed(void) {
  for (int limit = 1024; limit <= 1 << 20; limit *= 4) {
    cpu_set_t *set = CPU_ALLOC((size_t)limit);
    if (!set)
      break;
    size_t bytes = CPU_ALLOC_SIZE((size_t)limit);
    int failed = sched_getaffinity(0, bytes, set), count = failed ? 0 : CPU_COUNT_S(bytes, set);
    int cause = errno;
    CPU_FREE(set);
    if (!failed)
      return count;
    if (cause != EINVAL)
      break;
  }
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 && online < INT_MAX ? (int)online : 1;
}

/* Processor time a period; false: no quota. Version 2 says "max 100000" and version 1 -1 for none. */
static bool read_quota(const struct uni_cgroup *group, uint64_t *quota, uint64_t *period) {
  if (group->version == 1)
    return uni_cgroup_number(group, "cpu.cfs_quota_us", quota) &&
           uni_cgroup_number(group, "cpu.cfs_period_us", period);
  char text[64];
  unsigned long long q, p;
  if (!uni_cgroup_text(group, "cpu.max", text, sizeof text) || sscanf(text, "%19llu %19llu", &q, &p) != 2)
    return false;
  *quota = q;
  *period = p;
  return true;
}

int uni_processors_quota(const char *root) {
  struct uni_cgroup group;
  uint64_t quota, period, least = INT_MAX;
  if (!uni_cgroup_find(root, "cpu", &group))
    return INT_MAX;
  do {
    if (!read_quota(&group, &quota, &period) || period == 0)
      continue;
    uint64_t whole = quota / period + (quota % period != 0);
    if (whole < least)
      least = whole;
  } while (uni_cgroup_up(&group));
  return least ? (int)least : 1;
}

int uni_processors(void) {
  int allowed = uni_processors_allowed(), quota = uni_processors_quota("");
  int least = quota < allowed ? quota : allowed;
  return least > 0 ? least : 1;
}

/* Not by sysconf, which some versions of glibc let tell ten times too much. */
size_t uni_cache_bytes(void) {
  enum { USUAL = 32 << 20 };
  size_t kib, last = 0;
  for (int index = 0;; index++) { /* from the nearest cache to the last */
    char path[64];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", index);
    FILE *file = fopen(path, "re");
    if (!file)
      return last ? last : USUAL;
    if (fscanf(file, "%zuK", &kib) == 1)
      last = kib << 10;
    fclose(file);
  }
}
