#include "collectives/refs.h"

#include <string.h>

#include "comm.h"
#include "error.h"

enum { CACHED = 16 }; /* buffers remembered, by a hash of their address */

struct uni_ref_cache {
  struct {
    const void *buffer;
    size_t bytes;
    uint64_t epoch; /* of the memory; 0: empty */
    struct uni_ref ref;
  } entries[CACHED];
};

size_t uni_ref_cache_bytes(void) {
  return sizeof(struct uni_ref_cache);
}

struct uni_ref uni_ref_of(unisono_comm *comm, const void *buffer, size_t bytes) {
  struct uni_ref none = {.segment = UNI_PRIVATE};
  if (bytes == 0 || comm->world->settings.algorithm == UNI_STAGED ||
      comm->world->settings.algorithm == UNI_ONE_SHOT || comm->world->settings.algorithm == UNI_BY_LEVELS)
    return none;
  size_t i = ((uintptr_t)buffer >> 6 ^ (uintptr_t)buffer >> 12) % CACHED;
  uint64_t epoch = uni_memory_epoch(comm->world);
  struct uni_ref_cache *cache = comm->run.cache;
  if (cache->entries[i].buffer != buffer || cache->entries[i].bytes != bytes ||
      cache->entries[i].epoch != epoch) {
    bool is_final = uni_memory_resolve(comm->world, buffer, bytes, &cache->entries[i].ref);
    cache->entries[i].buffer = buffer;
    cache->entries[i].bytes = bytes;
    cache->entries[i].epoch = is_final ? epoch : 0;
  }
  return cache->entries[i].ref;
}

/* Whole pages only: a page that is not the buffer's alone may hold what other threads of its owner use. */
static void find_pushable(const unisono_comm *comm, struct uni_ref ref, struct uni_view *view) {
  size_t below = uni_page_size() - 1; /* pages are powers of two */
  size_t end = (size_t)ref.offset + (view->to - view->from);
  if (comm->world->settings.guard || comm->world->settings.algorithm == UNI_PULL)
    return;
  view->push_from = view->from + (-ref.offset & below);
  view->push_to = ref.whole && ref.tail == 0
                      ? view->to
                      : view->to - ((end & below) < view->to ? (end & below) : view->to);
  if (view->push_to <= view->push_from)
    view->push_from = view->push_to = 0;
}

bool uni_view_of(unisono_comm *comm, int rank, struct uni_ref ref, size_t bytes, void *own,
                 struct uni_view *view) {
  memset(view, 0, sizeof *view);
  if (ref.segment == UNI_PRIVATE)
    return true;
  size_t head = ref.head, tail = ref.tail;
  if (head + tail > bytes)
    return uni_fail(UNISONO_ERROR_SYSTEM, "rank %d published a buffer that cannot be", rank), false;
  view->from = head;
  view->to = bytes - tail;
  view->base = own;
  if (rank != comm->rank) {
    struct uni_segment *segment = uni_world_segment(comm->world, comm->world_ranks[rank], ref.segment);
    if (!segment)
      return false;
    if (ref.offset > segment->bytes || segment->bytes - ref.offset < view->to - view->from)
      return uni_fail(UNISONO_ERROR_SYSTEM, "rank %d published a buffer outside of its segment", rank), false;
    view->base = segment->base + ref.offset - head;
  }
  find_pushable(comm, ref, view);
  return true;
}
