/* After kill -9 of all ranks in the middle of their work nothing is left on the machine: no file in /dev/shm,
 * no socket, no process, no memory. */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "faults/workload.h"
#include "harness.h"
#include "traces.h"

enum { HELD_MIB = 64, RANKS = 4, SLACK_KIB = HELD_MIB * 1024, PATIENCE_US = 5000000 };

static void work_until_killed(void) {
  struct test_rank *self = test_self();
  struct workload w;
  void *held;
  int64_t returned;
  test_may_die();
  CHECK_OK(unisono_mem_alloc(self->comm, (size_t)HELD_MIB << 20, &held));
  memset(held, 1, (size_t)HELD_MIB << 20);
  workload_prepare(&w, self->comm, self->seed);
  CHECK_OK(unisono_barrier(self->comm));
  if (self->rank == 0) {
    test_sleep_us(20000);
    kill(0, SIGKILL); /* the process group: all ranks at once */
  }
  workload_run(&w, &returned);
  pause();
}

static long shared_memory_kib(void) {
  FILE *file = fopen("/proc/meminfo", "r");
  char line[200];
  long kib = -1;
  while (file && fgets(line, sizeof line, file))
    if (sscanf(line, "Shmem: %ld", &kib) == 1)
      break;
  if (file)
    fclose(file);
  return kib;
}

static int count_sockets(void) {
  FILE *file = fopen("/proc/net/unix", "r");
  char line[400];
  int n = 0;
  while (file && fgets(line, sizeof line, file))
    n += strstr(line, "@unisono") != NULL;
  if (file)
    fclose(file);
  return n;
}

static bool is_clean(const struct traces *before, int sockets, long memory) {
  struct traces now = traces_now();
  return now.shm_files <= before->shm_files && now.descriptors <= before->descriptors &&
         count_sockets() <= sockets && shared_memory_kib() <= memory + SLACK_KIB;
}

/* Other programs of the machine have sockets and shared memory, too: so it has some time. */
static bool gets_clean(const struct traces *before, int sockets, long memory) {
  for (int64_t end = test_now_us() + PATIENCE_US; test_now_us() < end; test_sleep_us(20000))
    if (is_clean(before, sockets, memory))
      return true;
  struct traces now = traces_now();
  fprintf(
      stderr,
      "files in /dev/shm: %d (before %d), descriptors: %d (%d), sockets: %d (%d), shared KiB: %ld (%ld)\n",
      now.shm_files, before->shm_files, now.descriptors, before->descriptors, count_sockets(), sockets,
      shared_memory_kib(), memory);
  return false;
}

int main(void) {
  const struct test test = {.name = "killed", .body = work_until_killed, .needs_processes = true};
  unshare(CLONE_NEWNET); /* where that is allowed, other programs' sockets are not seen */
  struct traces before = traces_now();
  int sockets = count_sockets();
  long memory = shared_memory_kib();
  for (int round = 0; round < (test_is_long() ? 300 : 10); round++)
    if (test_run(&test, RANKS, round) || !gets_clean(&before, sockets, memory))
      return 1;
  puts("nothing is left behind");
  return 0;
}
