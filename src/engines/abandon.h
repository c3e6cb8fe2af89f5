/* Calls that may wait for ever when a peer is lost: done by a thread that can be left behind. */
#ifndef UNI_ENGINES_ABANDON_H
#define UNI_ENGINES_ABANDON_H

#include <stdbool.h>
#include <stdint.h>

#include "unisono.h"

struct uni_task {
  void (*body)(void *argument); /* may wait for ever */
  void (*dispose)(void *argument);
  void *argument;
  bool (*is_vain)(void *what); /* there is nothing to wait for any more; NULL: never */
  void *what;
  const char *name;
};

/* Runs the body in a thread of its own. OK: it is done, and the argument the caller's. TIMEOUT (at the
 * deadline) or PEER_LOST (it was in vain): it goes on by itself, and its argument is disposed of if it ever
 * ends. */
unisono_status uni_run_abandonable(const struct uni_task *task, int64_t deadline);

#endif
