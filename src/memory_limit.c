#include "memory_limit.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cgroup.h"

#define MIB (UINT64_C(1) << 20)

/* What a reservation leaves alone: a 32nd of the limit, at least 4 and at most 256 MiB. It must pay for what
 * comes with the reservation but is not in it (page tables, a 512th of it in every process that maps it; the
 * kernel's lists of pages) and for what others of the same limit take between our look and our step: ranks
 * reserve at the same moment, each in steps of a small part of this margin (see shm/reserve.c). */
static uint64_t margin_of(uint64_t limit) {
  uint64_t part = limit / 32;
  return part < 4 * MIB ? 4 * MIB : part > 256 * MIB ? 256 * MIB : part;
}

static uint64_t minus(uint64_t a, uint64_t b) {
  return a > b ? a - b : 0;
}

/* Takes over a limit when it leaves less than the ones seen so far; true when it does. */
static bool take_if_lower(struct uni_memory_limit *memory, uint64_t limit, uint64_t unused) {
  uint64_t margin = margin_of(limit), available = minus(unused, margin);
  if (available >= memory->available)
    return false;
  memory->available = available;
  memory->margin = margin;
  return true;
}

static void look_at_machine(const char *root, struct uni_memory_limit *memory) {
  char path[PATH_MAX], text[4096];
  uint64_t total, unused;
  snprintf(path, sizeof path, "%s/proc/meminfo", root);
  if (!uni_text_read(path, text, sizeof text) || !uni_text_number(text, "MemAvailable:", &unused))
    return;
  if (!uni_text_number(text, "MemTotal:", &total))
    total = unused;
  if (take_if_lower(memory, total * 1024, unused * 1024))
    snprintf(memory->limit, sizeof memory->limit, "the machine's memory (MemAvailable of /proc/meminfo)");
}

/* The page cache of files counts as used by the group but makes way when memory runs short. Version 1 has the
 * sums over the group's children under names of their own. */
static uint64_t reclaimable(const struct uni_cgroup *group) {
  char text[8192];
  uint64_t inactive = 0, active = 0;
  if (!uni_cgroup_text(group, "memory.stat", text, sizeof text))
    return 0;
  if (group->version == 2 || !uni_text_number(text, "total_inactive_file", &inactive))
    uni_text_number(text, "inactive_file", &inactive);
  if (group->version == 2 || !uni_text_number(text, "total_active_file", &active))
    uni_text_number(text, "active_file", &active);
  return inactive + active;
}

static void look_at_group(const struct uni_cgroup *group, struct uni_memory_limit *memory) {
  const char *limit_file = group->version == 2 ? "memory.max" : "memory.limit_in_bytes";
  const char *usage_file = group->version == 2 ? "memory.current" : "memory.usage_in_bytes";
  uint64_t limit, used;
  if (!uni_cgroup_number(group, limit_file, &limit) || !uni_cgroup_number(group, usage_file, &used))
    return;
  uint64_t unused = minus(limit, used), margin = margin_of(limit);
  if (minus(unused, margin) >= memory->available)
    return; /* plenty: no need to look at the page cache, which takes the kernel long to sum up */
  if (take_if_lower(memory, limit, minus(limit, minus(used, reclaimable(group)))))
    snprintf(memory->limit, sizeof memory->limit, "%s of the control group %.128s", limit_file, group->path);
}

void uni_memory_limit_look(const char *root, struct uni_memory_limit *memory) {
  *memory = (struct uni_memory_limit){
      .available = UINT64_MAX, .margin = margin_of(UINT64_MAX), .limit = "no known limit"};
  look_at_machine(root, memory);
  struct uni_cgroup group;
  if (!uni_cgroup_find(root, "memory", &group))
    return;
  do
    look_at_group(&group, memory);
  while (uni_cgroup_up(&group));
}

uint64_t uni_memory_available(char *limit_text, size_t n) {
  struct uni_memory_limit memory;
  uni_memory_limit_look("", &memory);
  snprintf(limit_text, n, "%s", memory.limit);
  return memory.available;
}
