#include "shm/memory.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "log.h"
#include "shm/pages.h"
#include "shm/reserve.h"
#include "shm/segment.h"
#include "shm/served.h"

static pthread_mutex_t memories_lock = PTHREAD_MUTEX_INITIALIZER;
static struct uni_memory *memories;
static pthread_once_t fork_handlers = PTHREAD_ONCE_INIT;

static void lock_memories(void) {
  pthread_mutex_lock(&memories_lock);
}
static void unlock_memories(void) {
  pthread_mutex_unlock(&memories_lock);
}
/* fork() locks what was installed last first: as elsewhere, the memories before the segments. */
static void install_fork_handlers(void) {
  uni_segment_prepare_forks();
  pthread_atfork(lock_memories, unlock_memories, unlock_memories);
}

unisono_status uni_memory_open(struct uni_world *world) {
  struct uni_memory *m = calloc(1, sizeof *m);
  struct uni_heap *heap = uni_heap_new();
  if (!m || !heap) {
    free(m);
    if (heap)
      uni_heap_delete(heap);
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for the allocator of shared memory");
  }
  pthread_once(&fork_handlers, install_fork_handlers);
  m->fork_generation = uni_fork_generation();
  m->heap = heap;
  m->world = world;
  atomic_init(&m->epoch, 1);
  pthread_mutex_init(&m->lock, NULL);
  world->memory = m;
  pthread_mutex_lock(&memories_lock);
  m->next = memories;
  memories = m;
  pthread_mutex_unlock(&memories_lock);
  return UNISONO_OK;
}

/* ---- closing */

static bool is_in_use(const struct uni_memory *m) {
  if (m->world || uni_heap_taken_blocks(m->heap) > 0)
    return true;
  for (size_t i = 0; i < m->served_count; i++)
    if (m->served[i]->registered)
      return true;
  return false;
}

/* Frees a memory whose world is closed and of which nothing is held any more. With memories_lock held. */
static void free_if_unused(struct uni_memory *m) {
  if (is_in_use(m))
    return;
  for (struct uni_memory **p = &memories; *p; p = &(*p)->next)
    if (*p == m) {
      *p = m->next;
      break;
    }
  for (size_t i = 0; i < m->served_count; i++)
    uni_served_free(m->served[i]);
  uni_heap_delete(m->heap);
  free(m->served);
  free(m->detached);
  pthread_mutex_destroy(&m->lock);
  free(m);
}

void uni_memory_close(struct uni_world *world) {
  struct uni_memory *m = world->memory;
  if (!m)
    return;
  pthread_mutex_lock(&memories_lock);
  m->world = NULL;
  free_if_unused(m);
  pthread_mutex_unlock(&memories_lock);
}

unisono_status uni_in_some_memory(void *ptr, bool (*action)(struct uni_memory *, void *, unisono_status *),
                                  const char *what) {
  bool known = false;
  unisono_status status = UNISONO_OK;
  pthread_mutex_lock(&memories_lock);
  for (struct uni_memory *m = memories, *next; m && !known; m = next) {
    next = m->next;
    if (m->fork_generation != uni_fork_generation()) /* the parent's: not this process's to give back */
      continue;
    pthread_mutex_lock(&m->lock);
    known = action(m, ptr, &status);
    pthread_mutex_unlock(&m->lock);
    if (known)
      free_if_unused(m);
  }
  pthread_mutex_unlock(&memories_lock);
  return known ? status
               : uni_fail(UNISONO_ERROR_INVALID,
                          "ptr %p is not the start of memory %s, or was given back before", ptr, what);
}

/* ---- where a buffer is */

uint64_t uni_memory_epoch(struct uni_world *world) {
  return atomic_load_explicit(&world->memory->epoch, memory_order_acquire);
}

bool uni_overlaps_detached(const struct uni_memory *m, const char *start, const char *end) {
  for (size_t i = 0; i < m->detached_count; i++)
    if (m->detached[i].start < end && start < m->detached[i].end)
      return true;
  return false;
}

static bool ends_its_block(struct uni_memory *m, const struct uni_served *s, const char *start,
                           const char *end) {
  struct uni_block block;
  return !s->registered && uni_heap_find(m->heap, start, &block) && block.start + block.requested == end &&
         block.capacity % uni_page_size() == 0;
}

static bool resolve_in(struct uni_memory *m, uint32_t id, const char *start, const char *end,
                       struct uni_ref *ref) {
  struct uni_served *s = m->served[id];
  const char *from = s->start, *to = s->start + s->bytes;
  size_t head = start < from ? (size_t)(from - start) : 0, tail = end > to ? (size_t)(end - to) : 0;
  size_t page = uni_page_size();
  if (head >= page || tail >= page || page > UINT16_MAX + 1 || uni_overlaps_detached(m, start, end))
    return true;
  if (!uni_served_is_known(m, s, id))
    return false;
  *ref = (struct uni_ref){.offset = (uint64_t)(start + head - from) & UNI_OFFSET_MAX,
                          .segment = id,
                          .head = (uint16_t)head,
                          .tail = (uint16_t)tail,
                          .whole = ends_its_block(m, s, start, end)};
  return true;
}

bool uni_memory_resolve(struct uni_world *world, const void *buffer, size_t bytes, struct uni_ref *ref) {
  struct uni_memory *m = world->memory;
  const char *start = buffer, *end = start + bytes;
  bool is_final = true;
  *ref = (struct uni_ref){.segment = UNI_PRIVATE};
  pthread_mutex_lock(&m->lock);
  for (size_t i = 0; i < m->served_count && ref->segment == UNI_PRIVATE && is_final; i++) {
    const struct uni_served *s = m->served[i];
    if (s->segment && start < s->start + s->bytes && end > s->start)
      is_final = resolve_in(m, (uint32_t)i, start, end, ref);
  }
  pthread_mutex_unlock(&m->lock);
  return is_final;
}

/* ---- after a failure */

static void note_detached(struct uni_memory *m, struct uni_pages pages) {
  struct interval *grown = realloc(m->detached, (m->detached_count + 1) * sizeof *grown);
  if (!grown) {
    uni_log(UNI_LOG_ERROR, "no memory to note that pages are private now; they are not to be shared again");
    return;
  }
  m->detached = grown;
  grown[m->detached_count++] = (struct interval){pages.start, pages.start + pages.bytes};
}

static void detach_in(struct uni_memory *m, struct uni_served *s, struct uni_pages pages) {
  if (uni_pages_make_private(pages)) {
    uni_log(UNI_LOG_ERROR, "a receive buffer cannot be taken from peers that may still write to it: %s",
            unisono_last_error());
    return;
  }
  if (!m->world->settings.guard)
    uni_release(s->segment->fd, pages.start - s->start, pages.bytes);
  s->detached = true;
  note_detached(m, pages);
}

void uni_memory_detach(struct uni_world *world, void *start, size_t bytes) {
  struct uni_memory *m = world->memory;
  struct uni_pages pages = uni_pages_inside(start, bytes);
  pthread_mutex_lock(&m->lock);
  for (size_t i = 0; i < m->served_count && pages.bytes; i++) {
    struct uni_served *s = m->served[i];
    if (s->segment && pages.start >= s->start && pages.start + pages.bytes <= s->start + s->bytes)
      detach_in(m, s, pages);
  }
  uni_memory_changed(m);
  pthread_mutex_unlock(&m->lock);
}
