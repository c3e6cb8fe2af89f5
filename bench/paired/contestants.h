/* What takes turns: the peer, unisono on both kinds of memory, and the limits of the machine. Where the ranks
 * are apart: the peer, and unisono on private memory. */
#ifndef CONTESTANTS_H
#define CONTESTANTS_H

#include "paired.h"

enum { PEER, PRIVATE, SHARED, MEMCPY, FLAG, CONTESTANTS };

struct contestant {
  const char *name;
  bool is_shared;     /* its buffers come from unisono_mem_alloc */
  bool is_collective; /* its results are checked */
  void (*run)(const struct call *call);
};

extern const struct contestant contestants[CONTESTANTS];

/* Does this one take part in calls like this? */
bool contestant_takes_part(int contestant, const struct call *call);

#endif
