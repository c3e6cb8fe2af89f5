/* Started operations. Every communicator has a queue: collectives in the order of their start, and the
 * transfers (sends and receives) under way beside them. Whoever has the time moves them on: the thread that
 * waits, else the process's helper thread. */
#ifndef UNI_REQUEST_H
#define UNI_REQUEST_H

#include "collectives/call.h"
#include "p2p/p2p.h"

unisono_status uni_queue_open(unisono_comm *comm);

/* The communicator is being destroyed: what is under way ends with PEER_LOST. Then the queue can close. */
void uni_queue_stop(unisono_comm *comm);
void uni_queue_close(unisono_comm *comm);

/* Runs a collective: at once when `request` is NULL (behind those started before), else starts it. */
unisono_status uni_submit(unisono_comm *comm, const struct uni_call *call, unisono_request **request);

/* The same for a send or a receive; `message` may be NULL. */
unisono_status uni_submit_transfer(unisono_comm *comm, const struct uni_transfer *transfer,
                                   unisono_message *message, unisono_request **request);

#endif
