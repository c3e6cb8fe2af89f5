/* Limits of memory and processors, read from made-up control group trees in a temporary directory. */
#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"
#include "check.h"
#include "memory_limit.h"
#include "processors.h"

#define MIB (UINT64_C(1) << 20)

static char root[] = "/tmp/unisono-test-cgroup-XXXXXX";

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *place) {
  (void)info, (void)type, (void)place;
  return remove(path);
}

static void remove_tree(void) {
  nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void make_parents(char *path) {
  for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    mkdir(path, 0700);
    *slash = '/';
  }
}

/* Writes a file of the tree, and the directories on the way to it. */
__attribute__((format(printf, 2, 3))) static void put(const char *file, const char *format, ...) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s%s", root, file);
  make_parents(path);
  FILE *stream = fopen(path, "w");
  CHECK(stream);
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stream, format, arguments);
  va_end(arguments);
  CHECK(fclose(stream) == 0);
}

static void new_tree(void) {
  remove_tree();
  CHECK(mkdir(root, 0700) == 0);
}

static uint64_t available(struct uni_memory_limit *memory) {
  uni_memory_limit_look(root, memory);
  return memory->available;
}

#define V2_MOUNT "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MOUNTS                                                                                            \
  "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"                                                                    \
  "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"                                      \
  "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"                     \
  "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"                      \
  "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
#define V1_MEMBER "4:memory:/a/b\n3:cpuset:/\n2:cpu,cpuacct:/a\n0::/\n"
#define V1_UNLIMITED "9223372036854771712\n"

static void test_nothing_known(void) {
  struct uni_memory_limit memory;
  struct uni_cgroup group;
  new_tree();
  CHECK(!uni_cgroup_find(root, "memory", &group));
  CHECK(available(&memory) == UINT64_MAX && uni_processors_quota(root) == INT_MAX);
  CHECK(strcmp(memory.limit, "no known limit") == 0);
}

static void test_machine(void) {
  struct uni_memory_limit memory;
  new_tree();
  put("/proc/meminfo",
      "MemTotal:  2097152 kB\nMemFree:  1 kB\nMemAvailable:    1048576 kB\nSwapFree: 5 kB\n");
  CHECK(available(&memory) == 1024 * MIB - 2048 * MIB / 32 && memory.margin == 64 * MIB);
  CHECK(strstr(memory.limit, "MemAvailable"));
  put("/proc/meminfo", "MemTotal:  2097152 kB\nMemAvailable:  100 kB\n");
  CHECK(available(&memory) == 0); /* less than the margin */
  put("/proc/meminfo", "MemTotal:  1073741824 kB\nMemAvailable:  1073741824 kB\n");
  CHECK(available(&memory) == (UINT64_C(1) << 40) - 256 * MIB);
  put("/proc/meminfo", "MemAvailable: lots\n");
  CHECK(available(&memory) == UINT64_MAX);
}

static void put_v2(const char *directory, const char *limit, uint64_t current, uint64_t cache) {
  char file[256];
  snprintf(file, sizeof file, "/sys/fs/cgroup%s/memory.max", directory);
  put(file, "%s", limit);
  snprintf(file, sizeof file, "/sys/fs/cgroup%s/memory.current", directory);
  put(file, "%llu\n", (unsigned long long)current);
  snprintf(file, sizeof file, "/sys/fs/cgroup%s/memory.stat", directory);
  put(file, "anon 7\nfile 99999999999\ninactive_anon 5\ninactive_file %llu\nactive_file %llu\n",
      (unsigned long long)(cache / 4), (unsigned long long)(cache - cache / 4));
}

static void test_memory_v2(void) {
  struct uni_memory_limit memory;
  new_tree();
  put("/proc/self/cgroup", "0::/a/b\n");
  put("/proc/self/mountinfo", V2_MOUNT);
  put("/proc/meminfo", "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n");
  put_v2("/a/b", "max\n", 100 * MIB, 0);
  put_v2("/a", "max\n", 100 * MIB, 0);
  CHECK(available(&memory) == 8192 * MIB - 256 * MIB && strstr(memory.limit, "MemAvailable"));
  put_v2("/a/b", "1073741824\n", 1000 * MIB, 300 * MIB); /* cache makes way */
  CHECK(available(&memory) == 1024 * MIB - 700 * MIB - 32 * MIB);
  CHECK(strstr(memory.limit, "memory.max of the control group") && strstr(memory.limit, "/a/b"));
  put_v2("/a", "536870912\n", 400 * MIB, 0); /* the parent binds */
  CHECK(available(&memory) == 512 * MIB - 400 * MIB - 16 * MIB && !strstr(memory.limit, "/a/b"));
  put_v2("/a", "536870912\n", 600 * MIB, 0); /* over its limit */
  CHECK(available(&memory) == 0);
  put_v2("/a", "garbage\n", 600 * MIB, 0);
  CHECK(available(&memory) == 292 * MIB);
  put_v2("/a", "-5\n", 600 * MIB, 0);
  CHECK(available(&memory) == 292 * MIB);
  put_v2("/a", "99999999999999999999999\n", 600 * MIB, 0);
  CHECK(available(&memory) == 292 * MIB);
  put_v2("/a", "", 600 * MIB, 0);
  CHECK(available(&memory) == 292 * MIB);
  put_v2("/a/b", "134217728\n", 100 * MIB, 200 * MIB); /* more cache than use */
  CHECK(available(&memory) == 124 * MIB);
}

static void put_v1(const char *directory, const char *limit, uint64_t usage, const char *stat) {
  char file[256];
  snprintf(file, sizeof file, "/sys/fs/cgroup/memory%s/memory.limit_in_bytes", directory);
  put(file, "%s", limit);
  snprintf(file, sizeof file, "/sys/fs/cgroup/memory%s/memory.usage_in_bytes", directory);
  put(file, "%llu\n", (unsigned long long)usage);
  snprintf(file, sizeof file, "/sys/fs/cgroup/memory%s/memory.stat", directory);
  put(file, "%s", stat);
}

static void test_memory_v1(void) {
  struct uni_memory_limit memory;
  new_tree();
  put("/proc/self/cgroup", V1_MEMBER);
  put("/proc/self/mountinfo", V1_MOUNTS);
  put_v1("", V1_UNLIMITED, 500 * MIB, "");
  put_v1("/a", V1_UNLIMITED, 400 * MIB, "");
  put_v1("/a/b", V1_UNLIMITED, 300 * MIB, "");
  CHECK(available(&memory) > (UINT64_C(1) << 60));
  put_v1("/a/b", "268435456\n", 200 * MIB, "inactive_file 1\nactive_file 1\ntotal_inactive_file 52428800\n");
  CHECK(available(&memory) == 256 * MIB - 150 * MIB + 1 - 8 * MIB);
  CHECK(strstr(memory.limit, "memory.limit_in_bytes") && strstr(memory.limit, "/memory/a/b"));
  put_v1("/a", "67108864\n", 40 * MIB, "inactive_file 0\nactive_file 1048576\n");
  CHECK(available(&memory) == 64 * MIB - 39 * MIB - 4 * MIB);
  put_v1("", "33554432\n", 30 * MIB, "");
  CHECK(available(&memory) == 0 && memory.margin == 4 * MIB); /* 2 MiB unused are within the margin */
}

/* As Docker shows it: the mount's root is the group itself, or the group lies outside of what is mounted. */
static void test_containers(void) {
  struct uni_cgroup group;
  char wanted[PATH_MAX];
  snprintf(wanted, sizeof wanted, "%s/sys/fs/cgroup/memory", root);
  const char *roots[] = {"/docker/0", "/elsewhere", "/docker/01", "/docker"};
  for (size_t i = 0; i < 4; i++) {
    new_tree();
    put("/proc/self/cgroup", "12:memory:/docker/0\n0::/\n");
    put("/proc/self/mountinfo", "35 31 0:32 %s /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
        roots[i]);
    put_v1("", "104857600\n", 0, "");
    CHECK(uni_cgroup_find(root, "memory", &group) && group.version == 1);
    CHECK(strcmp(group.path, wanted) == 0 && !uni_cgroup_up(&group));
  }
  put("/proc/self/cgroup", "0::/../outside\n");
  put("/proc/self/mountinfo", V2_MOUNT);
  CHECK(uni_cgroup_find(root, "memory", &group) && group.version == 2 && !uni_cgroup_up(&group));
}

static void test_finding(void) {
  struct uni_cgroup group;
  new_tree();
  put("/proc/self/cgroup", "garbage\n:\n::\n7:memoryx:/x\n4:cpu,memory,x:/a b/c\n0::/\n");
  put("/proc/self/mountinfo", "\n1 2 3\n - \n9 9 0:1 / /one rw - cgroup cgroup rw,memoryx\n"
                              "9 9 0:1 /q /two rw - cgroup cgroup rw,memory\n9 9 0:1 / /th\\040ree rw "
                              "shared:1 master:2 - cgroup c rw,memory");
  put("/two/x", "%s", "");
  put("/th ree/a b/c/x", "%s", "");
  CHECK(uni_cgroup_find(root, "memory", &group) && strstr(group.path, "/th ree/a b/c"));
  CHECK(uni_cgroup_up(&group) && uni_cgroup_up(&group) && !uni_cgroup_up(&group));
  CHECK(strcmp(group.path + strlen(root), "/th ree") == 0);
  put("/proc/self/mountinfo", "%s", "");
  CHECK(!uni_cgroup_find(root, "memory", &group));
}

static void test_quota_v2(void) {
  new_tree();
  put("/proc/self/cgroup", "0::/a/b\n");
  put("/proc/self/mountinfo", V2_MOUNT);
  put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  CHECK(uni_processors_quota(root) == INT_MAX);
  put("/sys/fs/cgroup/a/b/cpu.max", "250000 100000\n");
  CHECK(uni_processors_quota(root) == 3);
  put("/sys/fs/cgroup/a/cpu.max", "200000 100000\n");
  CHECK(uni_processors_quota(root) == 2);
  put("/sys/fs/cgroup/a/cpu.max", "1000 100000\n");
  CHECK(uni_processors_quota(root) == 1);
  put("/sys/fs/cgroup/a/cpu.max", "0 100000\n");
  CHECK(uni_processors_quota(root) == 1);
  const char *garbage[] = {"", "x y\n", "100000\n", "100000 0\n", "\n\n"};
  for (size_t i = 0; i < 5; i++) {
    put("/sys/fs/cgroup/a/cpu.max", "%s", garbage[i]);
    CHECK(uni_processors_quota(root) == 3);
  }
}

static void test_quota_v1(void) {
  new_tree();
  put("/proc/self/cgroup", V1_MEMBER);
  put("/proc/self/mountinfo", V1_MOUNTS);
  put("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "-1\n");
  put("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
  CHECK(uni_processors_quota(root) == INT_MAX);
  put("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "400000\n");
  CHECK(uni_processors_quota(root) == 4);
  put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "150000\n");
  CHECK(uni_processors_quota(root) == 4); /* its period is missing */
  put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  CHECK(uni_processors_quota(root) == 2);
}

int main(void) {
  CHECK(mkdtemp(root));
  atexit(remove_tree);
  test_nothing_known();
  test_machine();
  test_memory_v2();
  test_memory_v1();
  test_containers();
  test_finding();
  test_quota_v2();
  test_quota_v1();
  int processors = uni_processors();
  CHECK(processors >= 1 && processors <= sysconf(_SC_NPROCESSORS_CONF));
  char limit[256];
  unsigned long long bytes = uni_memory_available(limit, sizeof limit);
  printf("here: %d processors, %llu bytes, limited by %s\n", processors, bytes, limit);
  return 0;
}
