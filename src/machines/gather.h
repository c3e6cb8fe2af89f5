/* all_gather and all_gatherv across machines of equally many ranks: a column's rank sends its own block only,
 * and the ranks of a machine give each other what they got. */
#ifndef UNI_MACHINES_GATHER_H
#define UNI_MACHINES_GATHER_H

#include "machines/span.h"

/* Else, or where one rank of a machine carries all: copy.c. */
bool uni_gather_suits(const struct uni_span *span, const struct uni_call *call);

unisono_status uni_gather(struct uni_span *span, const struct uni_call *call);

/* Bytes of a rank's block, and where it belongs in the receive buffer. */
size_t uni_gather_bytes(const struct uni_call *call, int rank);
size_t uni_gather_displ(const struct uni_call *call, int rank);

#endif
