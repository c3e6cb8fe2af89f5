/* Makes lines this processor's own: writes a byte of each back. */
#ifndef UNI_SHM_TOUCH_H
#define UNI_SHM_TOUCH_H

#include <stdatomic.h>

#include "shm/layout.h"

/* Nobody else writes the block meanwhile. */
static inline void uni_touch(char *block, size_t bytes) {
  for (size_t at = 0; at < bytes; at += UNI_LINE) {
    _Atomic char *line = (_Atomic char *)(block + at); /* atomic, so that the store is not left out */
    atomic_store_explicit(line, atomic_load_explicit(line, memory_order_relaxed), memory_order_relaxed);
  }
}

#endif
