/* Blocks that one rank stages and one other reads: the lines go from the one's caches to the other's, and the
 * next block follows in the same lines.
 *
 * By plain stores the reader *touches* what it has read: it writes a byte of each line back. So the line is
 * in one cache only, which passes it on for good, and the writer need not wait until a reader's copy is given
 * up. By streamed stores the reader fetches from memory, and leaves it at that. Where processors share a
 * cache the first is less work for both together, where they do not the second is, and a virtual machine's
 * processors move from the one state to the other while it runs: so both sides' work is timed now and then,
 * as in trial.h. The writer decides, for one operation at a time, and says in its arrival line which way it
 * takes and whether that is timed; the reader tells what the reading took (struct uni_place). */
#ifndef UNI_SHM_HANDOVER_H
#define UNI_SHM_HANDOVER_H

#include <stdatomic.h>

#include "shm/outflow.h"

/* What a rank's reading takes, picoseconds a byte; 0: not known. */
struct uni_handover_reads {
  _Atomic uint32_t ps[UNI_TRIAL_CLASSES][UNI_WAYS];
};

struct uni_handover {
  struct uni_trial writes[UNI_TRIAL_CLASSES];
  struct uni_sample reads[UNI_TRIAL_CLASSES][UNI_WAYS];
  /* of the operation */
  int class;
  struct uni_turn turn; /* how this rank writes */
  struct uni_turn peer; /* how the other does: to be filled in from its arrival line */
};

/* An operation begins, on blocks of so many bytes, of which this rank writes some, or none. */
void uni_handover_begin(struct uni_handover *handover, size_t block, bool writes);

/* Copies a block into the stage. is_timed: one thread at a time may say so. theirs: the reader's words. */
void uni_handover_write(struct uni_handover *handover, bool is_timed, uni_stream_fn stream, void *to,
                        const void *from, size_t bytes, const struct uni_handover_reads *theirs);

/* Copies a block out of the peer's stage, past the caches if there is a way to do so. */
void uni_handover_read(struct uni_handover *handover, bool is_timed, uni_stream_fn stream, void *to,
                       void *block, size_t bytes, struct uni_handover_reads *mine);

#endif
