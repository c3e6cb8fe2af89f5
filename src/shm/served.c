/* The segments that this rank serves, and telling the peers of them. */
#include "shm/served.h"

#include <stdlib.h>
#include <unistd.h>

#include "error.h"

void uni_served_free(struct uni_served *s) {
  if (s->segment)
    uni_segment_put(s->segment);
  if (s->fd >= 0)
    close(s->fd);
  free(s->told);
  free(s);
}

static void tell_peers(struct uni_memory *m, struct uni_served *s, uint32_t id) {
  struct uni_world *w = m->world;
  struct uni_letter letter;
  uni_letter_init(&letter, UNI_SEGMENT);
  letter.words[0] = id;
  letter.words[1] = s->bytes;
  letter.fds[0] = s->segment->fd;
  bool all = true;
  pthread_mutex_lock(&w->lock);
  for (int p = 0; p < w->size; p++) {
    if (p == w->rank || s->told[p])
      continue;
    s->told[p] = w->peers[p].socket < 0 || uni_letter_send(w->peers[p].socket, &letter) != UNI_NOT_YET;
    all &= s->told[p];
  }
  pthread_mutex_unlock(&w->lock);
  /* release: who publishes a reference to the segment has sent it before */
  atomic_store_explicit(&s->known, all, memory_order_release);
}

bool uni_served_is_known(struct uni_memory *m, struct uni_served *s, uint32_t id) {
  if (atomic_load_explicit(&s->known, memory_order_acquire))
    return true;
  uni_world_look(m->world, false);
  tell_peers(m, s, id);
  return atomic_load_explicit(&s->known, memory_order_relaxed);
}

unisono_status uni_serve(struct uni_memory *m, struct uni_segment *segment, void *registered, uint32_t *id) {
  struct uni_served *s = calloc(1, sizeof *s);
  bool *told = calloc((size_t)m->world->size, sizeof *told);
  struct uni_served **grown = realloc(m->served, (m->served_count + 1) * sizeof(struct uni_served *));
  if (grown)
    m->served = grown;
  if (!s || !told || !grown) {
    free(s);
    free(told);
    return uni_fail(UNISONO_ERROR_MEMORY, "no memory for the description of a segment");
  }
  *s = (struct uni_served){.segment = segment, .fd = -1, .registered = registered, .told = told};
  *id = (uint32_t)m->served_count;
  m->served[m->served_count++] = s;
  if (segment) {
    s->bytes = segment->bytes;
    s->start = segment->base;
    tell_peers(m, s, *id);
  }
  return UNISONO_OK;
}

unisono_status uni_served_guard(struct uni_memory *m, struct uni_segment *segment) {
  return m->world->settings.guard ? uni_segment_guard(segment) : UNISONO_OK;
}
