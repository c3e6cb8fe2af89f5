/* unisono_mem_alloc: pieces of segments, by the allocator of heap.h. */
#include <sys/mman.h>

#include "error.h"
#include "shm/reserve.h"
#include "shm/served.h"

enum {
  GROW_LEAST = 2 << 20,   /* a new segment is at least so large */
  GROW_MOST = 64 << 20,   /* and at most so large, but for a single larger block */
  RELEASE_FROM = 1 << 20, /* free blocks from this size on go back to the system */
  KEEP_FREE = 64 << 20    /* once so much is free */
};

static size_t round_up(size_t n, size_t unit) {
  return (n + unit - 1) / unit * unit;
}

static unisono_status add_segment(struct uni_memory *m, size_t bytes) {
  struct uni_segment *segment;
  unisono_status status = uni_segment_create(bytes, UNI_OWN, &segment);
  if (status)
    return status;
  uint32_t id;
  status = uni_served_guard(m, segment);
  if (!status)
    status = uni_serve(m, segment, NULL, &id);
  if (status) {
    uni_segment_put(segment);
    return status;
  }
  madvise(segment->base, segment->bytes, MADV_HUGEPAGE); /* where the system lets shared memory have them */
  if (!uni_heap_add(m->heap, segment->base, segment->bytes, id))
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for the allocator's bookkeeping");
  return UNISONO_OK;
}

/* Grows by a quarter of what there is, within bounds; if that is too much, by what is needed. */
static unisono_status grow(struct uni_memory *m, size_t bytes) {
  size_t total = 0, page = uni_page_size();
  for (size_t i = 0; i < m->served_count; i++)
    total += m->served[i]->registered ? 0 : m->served[i]->bytes;
  size_t wanted = total / 4 < GROW_LEAST ? GROW_LEAST : total / 4 > GROW_MOST ? GROW_MOST : total / 4;
  size_t needed = bytes > SIZE_MAX - page ? bytes : round_up(bytes, page);
  if (wanted > needed && add_segment(m, round_up(wanted, page)) == UNISONO_OK)
    return UNISONO_OK;
  return add_segment(m, needed);
}

static unisono_status back(struct uni_memory *m, const struct uni_block *block) {
  if (block->backed)
    return UNISONO_OK;
  struct uni_served *s = m->served[block->region];
  unisono_status status = uni_reserve(s->segment->fd, block->start - s->start, block->capacity);
  if (!status)
    uni_heap_set_backed(m->heap, block->start, true);
  return status;
}

static unisono_status alloc_locked(struct uni_memory *m, size_t bytes, void **ptr) {
  struct uni_block block;
  if (!uni_heap_take(m->heap, bytes, &block)) {
    unisono_status status = grow(m, bytes);
    if (status)
      return status;
    if (!uni_heap_take(m->heap, bytes, &block))
      return uni_fail(UNISONO_ERROR_MEMORY, "no memory for the allocator's bookkeeping");
  }
  unisono_status status = back(m, &block);
  if (status) {
    struct uni_block freed;
    uni_heap_give(m->heap, block.start, &freed);
    return status;
  }
  *ptr = block.start;
  return UNISONO_OK;
}

unisono_status uni_memory_alloc(struct uni_world *world, size_t bytes, void **ptr) {
  struct uni_memory *m = world->memory;
  uni_world_look(world, false); /* takes in the peers' segments, so that their queues stay short */
  pthread_mutex_lock(&m->lock);
  unisono_status status = alloc_locked(m, bytes ? bytes : 1, ptr);
  uni_memory_changed(m);
  pthread_mutex_unlock(&m->lock);
  return status;
}

/* Gives a large free block's pages back to the system; not under UNISONO_GUARD, whose seal forbids it. */
static void release(struct uni_memory *m, const struct uni_block *freed) {
  bool plenty = uni_heap_free_bytes(m->heap) >= KEEP_FREE;
  if (freed->capacity < RELEASE_FROM || (freed->backed && !plenty) || !m->world || m->world->settings.guard)
    return;
  struct uni_served *s = m->served[freed->region];
  uni_release(s->segment->fd, freed->start - s->start, freed->capacity);
  uni_heap_set_backed(m->heap, freed->start, false);
}

static bool free_locked(struct uni_memory *m, void *ptr, unisono_status *status) {
  *status = UNISONO_OK;
  struct uni_block block, freed;
  if (!uni_heap_find(m->heap, ptr, &block) || block.start != ptr)
    return false;
  bool detached = uni_overlaps_detached(m, block.start, block.start + block.capacity);
  if (detached) {
    madvise(block.start, block.capacity, MADV_DONTNEED);
    uni_heap_retire(m->heap, ptr);
  }
  if (uni_heap_give(m->heap, ptr, &freed) && !detached)
    release(m, &freed);
  uni_memory_changed(m);
  return true;
}

unisono_status uni_memory_free(void *ptr) {
  return uni_in_some_memory(ptr, free_locked, "from unisono_mem_alloc");
}
