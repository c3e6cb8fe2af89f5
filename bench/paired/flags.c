#include "flags.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SPINS = 2000, SPINS_CROWDED = 4 };

struct line {
  _Alignas(64) _Atomic uint64_t flag;
};

static struct line *lines;
static uint64_t turn;

/* Rank 0's memory file has no name; the others open it through /proc. */
static int open_memory(const struct world *world) {
  int32_t from[2] = {getpid(), -1};
  if (world->rank == 0 && (from[1] = memfd_create("flags", MFD_CLOEXEC)) >= 0 &&
      ftruncate(from[1], (off_t)((size_t)world->size * sizeof *lines)) != 0)
    fail(world, "ftruncate", strerror(errno));
  if (unisono_broadcast(from, 2, UNISONO_INT32, 0, world->comm) != UNISONO_OK)
    fail(world, "broadcast", unisono_last_error());
  if (world->rank == 0)
    return from[1];
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/fd/%d", from[0], from[1]);
  return open(path, O_RDWR | O_CLOEXEC);
}

void flags_open(const struct world *world) {
  if (world->apart)
    return;
  int fd = open_memory(world);
  lines = mmap(NULL, (size_t)world->size * sizeof *lines, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (lines == MAP_FAILED)
    fail(world, "cannot map the flags", strerror(errno));
  if (unisono_barrier(world->comm) != UNISONO_OK) /* until all have opened it */
    fail(world, "barrier", unisono_last_error());
  close(fd);
}

static void await(const struct world *world, int rank) {
  int spins = world->crowded ? SPINS_CROWDED : SPINS;
  /* acquire: what the rank wrote before its flag is seen */
  for (int i = 0; atomic_load_explicit(&lines[rank].flag, memory_order_acquire) < turn; i++) {
    if (i >= spins)
      sched_yield();
#if defined(__x86_64__)
    else
      __builtin_ia32_pause();
#endif
  }
}

void flags_exchange(const struct world *world) {
  if (world->apart) {
    if (unisono_barrier(world->comm) != UNISONO_OK)
      fail(world, "barrier", unisono_last_error());
    return;
  }
  turn++;
  /* release: what this rank wrote before is seen by who sees the flag */
  atomic_store_explicit(&lines[world->rank].flag, turn, memory_order_release);
  for (int r = 0; r < world->size; r++)
    if (r != world->rank)
      await(world, r);
}
