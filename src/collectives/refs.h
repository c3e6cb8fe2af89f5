/* Where buffers are: this rank's, for its arrival line, and the peers', from theirs. */
#ifndef UNI_COLLECTIVES_REFS_H
#define UNI_COLLECTIVES_REFS_H

#include "collectives/run.h"

/* Where this rank's buffer is; looked up once for a buffer that comes again. */
struct uni_ref uni_ref_of(unisono_comm *comm, const void *buffer, size_t bytes);

/* What `ref`, as `rank` published it for a buffer of `bytes`, is here. own: this rank's own buffer, if it is
 * its. False: it cannot be mapped, or points outside of its segment (the last error says so). */
bool uni_view_of(unisono_comm *comm, int rank, struct uni_ref ref, size_t bytes, void *own,
                 struct uni_view *view);

static inline bool uni_view_covers(const struct uni_view *view, size_t from, size_t bytes) {
  return from >= view->from && from + bytes <= view->to;
}

static inline bool uni_view_takes(const struct uni_view *view, size_t from, size_t bytes) {
  return from >= view->push_from && from + bytes <= view->push_to;
}

#endif
