/* unisono_mem_register: the caller's own pages, moved to a memfd under the same addresses. */
#include <fcntl.h>
#include <unistd.h>

#include "error.h"
#include "shm/pages.h"
#include "shm/reserve.h"
#include "shm/served.h"

enum { KEEP_MEMFDS = 16 }; /* of memory that was deregistered */

static struct uni_served *find_registered(struct uni_memory *m, const void *ptr) {
  for (size_t i = 0; i < m->served_count; i++)
    if (m->served[i]->registered == ptr)
      return m->served[i];
  return NULL;
}

static bool overlaps_served(const struct uni_memory *m, const char *start, const char *end) {
  for (size_t i = 0; i < m->served_count; i++) {
    const struct uni_served *s = m->served[i];
    if (s->segment && s->start < end && start < s->start + s->bytes)
      return true;
  }
  return false;
}

/* A memfd of the same size that was registered before: its peers have it mapped already. */
static struct uni_served *find_reusable(struct uni_memory *m, size_t bytes) {
  for (size_t i = 0; i < m->served_count; i++)
    if (!m->served[i]->segment && m->served[i]->fd >= 0 && m->served[i]->bytes == bytes)
      return m->served[i];
  return NULL;
}

static unisono_status move_to_new(struct uni_memory *m, struct uni_pages pages, void *ptr) {
  int fd;
  struct uni_segment *segment;
  uint32_t id;
  unisono_status status = uni_memfd_create(pages.bytes, &fd);
  if (status)
    return status;
  status = uni_pages_save(pages, fd);
  if (status) {
    close(fd);
    return status;
  }
  status = uni_segment_adopt(fd, pages.start, pages.bytes, UNI_OWN, &segment);
  if (status)
    return status;
  status = uni_served_guard(m, segment);
  if (!status)
    status = uni_serve(m, segment, ptr, &id);
  if (status && uni_pages_make_private(pages) == UNISONO_OK)
    uni_segment_abandon(segment);
  return status;
}

static unisono_status move_to_known(struct uni_served *s, struct uni_pages pages, void *ptr) {
  unisono_status status = uni_reserve(s->fd, 0, pages.bytes);
  if (!status)
    status = uni_pages_save(pages, s->fd);
  if (status)
    return status;
  int fd = s->fd;
  s->fd = -1;
  status = uni_segment_adopt(fd, pages.start, pages.bytes, UNI_OWN, &s->segment);
  s->start = pages.start;
  s->registered = status ? NULL : ptr;
  return status;
}

static unisono_status register_locked(struct uni_memory *m, void *ptr, size_t bytes) {
  struct uni_pages pages = uni_pages_inside(ptr, bytes);
  if (overlaps_served(m, ptr, (char *)ptr + bytes) || find_registered(m, ptr))
    return uni_fail(UNISONO_ERROR_INVALID, "ptr %p overlaps memory that is registered or shared already",
                    ptr);
  unisono_status status = uni_pages_check_private(ptr, bytes);
  uint32_t id;
  if (status)
    return status;
  if (pages.bytes == 0) /* nothing to move: all of it is staged */
    return uni_serve(m, NULL, ptr, &id);
  struct uni_served *known = m->world->settings.guard ? NULL : find_reusable(m, pages.bytes);
  return known ? move_to_known(known, pages, ptr) : move_to_new(m, pages, ptr);
}

unisono_status uni_memory_register(struct uni_world *world, void *ptr, size_t bytes) {
  struct uni_memory *m = world->memory;
  pthread_mutex_lock(&m->lock);
  unisono_status status = register_locked(m, ptr, bytes);
  uni_memory_changed(m);
  pthread_mutex_unlock(&m->lock);
  return status;
}

/* Is the memfd worth keeping for the next registration of its size? */
static bool may_keep(const struct uni_memory *m, const struct uni_served *s) {
  int kept = 0;
  for (size_t i = 0; i < m->served_count; i++)
    kept += !m->served[i]->segment && m->served[i]->fd >= 0;
  return kept < KEEP_MEMFDS && !s->detached && m->world && !m->world->settings.guard;
}

static bool deregister_locked(struct uni_memory *m, void *ptr, unisono_status *status) {
  struct uni_served *s = find_registered(m, ptr);
  *status = UNISONO_OK;
  if (!s)
    return false;
  if (s->segment) {
    struct uni_pages pages = {s->start, s->bytes};
    *status = uni_pages_make_private(pages);
    if (*status) /* it stays registered */
      return true;
    s->fd = may_keep(m, s) ? fcntl(s->segment->fd, F_DUPFD_CLOEXEC, 0) : -1;
    uni_release(s->segment->fd, 0, s->bytes);
    uni_segment_abandon(s->segment);
    s->segment = NULL;
  }
  s->registered = NULL;
  uni_memory_changed(m);
  return true;
}

unisono_status uni_memory_deregister(void *ptr) {
  return uni_in_some_memory(ptr, deregister_locked, "given to unisono_mem_register");
}
