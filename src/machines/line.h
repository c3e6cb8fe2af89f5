/* Operations of a communicator that spans machines, in line: collectives run one after the other in the order
 * in which they were started, those that were started by a thread of the communicator's own; sends and
 * receives are moved on beside them by whoever waits. */
#ifndef UNI_MACHINES_LINE_H
#define UNI_MACHINES_LINE_H

#include "machines/span.h"

unisono_status uni_line_open(struct uni_span *span);
void uni_line_close(struct uni_span *span); /* what is under way ends with PEER_LOST */

/* As uni_submit and uni_submit_transfer. */
unisono_status uni_line_submit(struct uni_span *span, const struct uni_call *call, unisono_request *started);
unisono_status uni_line_transfer(struct uni_span *span, const struct uni_transfer *transfer,
                                 unisono_message *message, unisono_request *started);

/* Moves the sends and receives on, unless another thread does. */
void uni_line_move_transfers(struct uni_span *span);

/* Until the request is done. */
void uni_line_attend(struct uni_span *span, unisono_request *request);

#endif
