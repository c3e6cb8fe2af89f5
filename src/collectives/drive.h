/* Runs a collective to its end, waiting as needed. */
#ifndef UNI_COLLECTIVES_DRIVE_H
#define UNI_COLLECTIVES_DRIVE_H

#include "collectives/call.h"
#include "shm/wait.h"

/* Begins the collective and drives it in this thread, and with the team where it has lanes for it. Nothing
 * else of the communicator's collectives may be under way. */
unisono_status uni_drive(unisono_comm *comm, const struct uni_call *call);

/* The same for an inline collective that has arrived, from where it misses a rank on. */
unisono_status uni_drive_on(unisono_comm *comm, struct uni_call call, int missing);

/* How to wait for the collective under way. */
struct uni_wait uni_drive_wait(unisono_comm *comm);

/* The wait begins anew when the collective has moved since it was asked last. True: it has. */
bool uni_drive_has_moved(unisono_comm *comm, struct uni_wait *wait);

/* Takes what uni_wait_check said of the collective under way. True: the collective has ended; *status says
 * how. */
bool uni_drive_judge(unisono_comm *comm, struct uni_wait *wait, unisono_status *status);

#endif
