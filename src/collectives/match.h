/* Match ids: what the first all_reduce_cached with an id was. */
#ifndef UNI_COLLECTIVES_MATCH_H
#define UNI_COLLECTIVES_MATCH_H

#include "collectives/call.h"

/* Checks the call against the first one with this id, and sets call->match. Where the buffers are is kept by
 * the communicator's cache of references, which serves every call. */
unisono_status uni_match_enter(unisono_comm *comm, const char *id, struct uni_call *call);

void uni_match_clear(unisono_comm *comm);

#endif
