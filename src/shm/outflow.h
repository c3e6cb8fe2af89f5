/* Writes into memory that other processors hold: copies into the stages, which peers have read before and
 * will read next, and results folded into the buffers of peers.
 *
 * By plain stores, or past the caches? A plain store waits until the others' copy of the line is given up.
 * Where the processors share a cache that is soon done; where they do not, streamed stores can be several
 * times faster, but the reader fetches from memory. Both ways are tried in turn (trial.h), for each power of
 * two of bytes by itself. */
#ifndef UNI_SHM_OUTFLOW_H
#define UNI_SHM_OUTFLOW_H

#include <string.h>

#include "kernels/reduce.h"
#include "shm/trial.h"

/* For less than UNI_TRIAL_LEAST bytes the fence of streamed stores costs more than they bring. */
enum uni_outflow_way { UNI_OUTFLOW_PLAIN, UNI_OUTFLOW_STREAM };

/* Is it better to stream where the two ways cost the writer so many picoseconds a byte? */
bool uni_outflow_prefers_stream(uint32_t plain, uint32_t stream);

/* Of one thread at a time. */
struct uni_outflow {
  struct uni_trial copies[UNI_TRIAL_CLASSES];
  struct uni_trial pushes[UNI_WAYS][UNI_TRIAL_CLASSES]; /* into lines as they are, or reclaimed: reclaim.h */
  struct uni_trial helps[UNI_TRIAL_CLASSES];            /* copies into the buffers of peers */
};

/* The trial, of the copies or the pushes, for so many bytes. */
struct uni_trial *uni_outflow_of(struct uni_trial classes[UNI_TRIAL_CLASSES], size_t bytes);

/* A use that took this turn is over. */
void uni_outflow_end(struct uni_trial *trial, const struct uni_turn *turn, size_t bytes);

/* Is it better to stream a copy of so much? */
bool uni_outflow_streams(struct uni_outflow *flow, size_t bytes);

/* Copies, past the caches where there is a function for it. */
static inline void uni_copy_by(uni_stream_fn stream, void *to, const void *from, size_t bytes) {
  if (stream)
    stream(to, from, bytes);
  else
    memcpy(to, from, bytes);
}

/* Copies. stream: the kernels' function; NULL: there is none, and all copies are plain. */
void uni_outflow_copy(struct uni_trial classes[UNI_TRIAL_CLASSES], uni_stream_fn stream, void *to,
                      const void *from, size_t bytes);

#endif
