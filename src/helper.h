/* The helper thread: one a process, from the first started operation until the last communicator that started
 * one is destroyed. It moves on what nobody else attends to. */
#ifndef UNI_HELPER_H
#define UNI_HELPER_H

#include "unisono.h"

/* The communicator's operations are the helper's business from now on. */
unisono_status uni_helper_help(unisono_comm *comm);

/* They are no longer; returns when the helper has let go of the communicator. */
void uni_helper_forget(unisono_comm *comm);

/* There is something to do. */
void uni_helper_wake(void);

#endif
