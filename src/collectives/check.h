/* Checks a collective's arguments: INVALID, with words that name the argument, the rank and the remedy. */
#ifndef UNI_COLLECTIVES_CHECK_H
#define UNI_COLLECTIVES_CHECK_H

#include "collectives/call.h"

/* Fills in call->element and call->block as well. */
unisono_status uni_check_call(const unisono_comm *comm, const char *function, struct uni_call *call);

unisono_status uni_check_dtype(const unisono_comm *comm, const char *function, unisono_dtype dtype);

#endif
