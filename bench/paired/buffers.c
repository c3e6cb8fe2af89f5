#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"

enum { ROOM_FOR_SMALL = 32 * 4096 + 32 * 64 * 64 }; /* a sample's calls, each on buffers of its own */

static char *make_private(const struct world *world, size_t bytes) {
  void *memory;
  if (posix_memalign(&memory, 4096, bytes) != 0)
    fail(world, "no memory for the buffers", strerror(ENOMEM));
  memset(memory, 0, bytes);
  return memory;
}

static char *make_shared(const struct world *world, size_t bytes) {
  void *memory;
  if (unisono_mem_alloc(world->comm, bytes, &memory) != UNISONO_OK)
    fail(world, "mem_alloc", unisono_last_error());
  memset(memory, 0, bytes);
  return memory;
}

void buffers_make(const struct world *world, const struct options *options, struct buffers *buffers) {
  size_t bytes = ROOM_FOR_SMALL;
  for (size_t i = 0; i < options->sizes_count; i++)
    bytes = options->sizes[i] > bytes ? options->sizes[i] : bytes;
  buffers->private_send = make_private(world, bytes);
  buffers->private_recv = make_private(world, bytes);
  buffers->shared_send = world->apart ? NULL : make_shared(world, bytes);
  buffers->shared_recv = world->apart ? NULL : make_shared(world, bytes);
}

void buffers_free(const struct world *world, struct buffers *buffers) {
  free(buffers->private_send);
  free(buffers->private_recv);
  if (world->apart)
    return;
  unisono_mem_free(world->comm, buffers->shared_send);
  unisono_mem_free(world->comm, buffers->shared_recv);
}
