/* The inside of a rank's memory: the segments that it serves. For the files of shm/ that hand pieces of them
 * out, move the caller's pages there, and find buffers in them. */
#ifndef UNI_SHM_SERVED_H
#define UNI_SHM_SERVED_H

#include <pthread.h>
#include <stdatomic.h>

#include "shm/heap.h"
#include "shm/memory.h"
#include "shm/segment.h"
#include "world.h"

/* A segment of this rank's memory, by its id. */
struct uni_served {
  struct uni_segment *segment; /* NULL: deregistered, its memfd waits in `fd` to be used again */
  int fd;
  size_t bytes;
  char *start;        /* first byte in this process */
  void *registered;   /* what the caller registered; NULL: the heap's */
  bool detached;      /* some pages were replaced: never used again */
  bool *told;         /* by peer */
  _Atomic bool known; /* every peer has been told */
};

struct interval {
  char *start, *end;
};

struct uni_memory {
  unsigned fork_generation;
  pthread_mutex_t lock;
  struct uni_world *world; /* NULL once the world is closed */
  struct uni_heap *heap;
  struct uni_served **served;
  size_t served_count;
  struct interval *detached;
  size_t detached_count;
  _Atomic uint64_t epoch;
  struct uni_memory *next; /* all memories of this process */
};

/* What uni_memory_resolve said may be wrong from now on. */
static inline void uni_memory_changed(struct uni_memory *m) {
  atomic_fetch_add_explicit(&m->epoch, 1, memory_order_release);
}

/* All of these with the memory's lock held. */

/* Enters a new segment into the table, under the next id, and tells the peers. `segment` NULL: memory that
 * was registered but has no whole page to share. */
unisono_status uni_serve(struct uni_memory *m, struct uni_segment *segment, void *registered, uint32_t *id);

/* Seals it where peers must not write. */
unisono_status uni_served_guard(struct uni_memory *m, struct uni_segment *segment);

/* Has every peer been told? Those whose queues were full get another try, after this rank has emptied its
 * own. */
bool uni_served_is_known(struct uni_memory *m, struct uni_served *s, uint32_t id);

void uni_served_free(struct uni_served *s);

/* Were some of these pages taken from the peers after a failure? */
bool uni_overlaps_detached(const struct uni_memory *m, const char *start, const char *end);

/* Does `action` in the memory of this process that knows `ptr`: the one for which it returns true. */
unisono_status uni_in_some_memory(void *ptr, bool (*action)(struct uni_memory *, void *, unisono_status *),
                                  const char *what);

#endif
