/* A segment: one memfd, mapped once in this process whoever asks for it (ranks that are threads of one
 * process meet at the same addresses). Sealed against shrinking, so that no access to it can fault. */
#ifndef UNI_SHM_SEGMENT_H
#define UNI_SHM_SEGMENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unisono.h"

enum uni_segment_role {
  UNI_CONTROL, /* a communicator's lines and stages: a forked child has no use for it */
  UNI_OWN,     /* memory handed to the caller: a forked child gets a private copy of it */
  UNI_PEERS    /* a peer's memory */
};

struct uni_segment {
  char *base;
  size_t bytes;
  int fd; /* kept by the owner, to pass it on and to remap it after fork; -1 where it came from a peer */
  bool writable;
  enum uni_segment_role role;
  uint64_t inode; /* names the memfd within this machine; 0: not to be found by it */
  int uses;
  struct uni_segment *next;
};

/* Makes a segment of `bytes` (rounded up to pages), reserved at once, and maps it. */
unisono_status uni_segment_create(size_t bytes, enum uni_segment_role role, struct uni_segment **segment);

/* Only the memfd, reserved and sealed against shrinking: for memory to be filled before it is in place. */
unisono_status uni_memfd_create(size_t bytes, int *fd);

/* Maps a memfd at `at` (replacing what is there; NULL: anywhere) and takes the descriptor over. */
unisono_status uni_segment_adopt(int fd, void *at, size_t bytes, enum uni_segment_role role,
                                 struct uni_segment **segment);

/* Maps a memfd that a peer has sent, checked against `bytes`; the descriptor stays the caller's. */
unisono_status uni_segment_map(int fd, size_t bytes, bool writable, enum uni_segment_role role,
                               struct uni_segment **segment);

/* No new writable mapping can be made from now on. */
unisono_status uni_segment_guard(struct uni_segment *segment);

/* The descriptor is not needed any more: nobody else will get it. */
void uni_segment_close_fd(struct uni_segment *segment);

/* Gives one use back; the last one unmaps it. NULL is allowed. */
void uni_segment_put(struct uni_segment *segment);

/* Ends it without unmapping its addresses, whose pages the caller has replaced. */
void uni_segment_abandon(struct uni_segment *segment);

size_t uni_page_size(void);

/* fork() works from now on, and locks what is installed later before the segments. */
void uni_segment_prepare_forks(void);

/* How many times this process has been forked off: what was made under another number is not to be used. */
extern _Atomic unsigned uni_forks; /* that lie between the program's start and this process */
static inline unsigned uni_fork_generation(void) {
  return atomic_load_explicit(&uni_forks, memory_order_relaxed);
}

#endif
