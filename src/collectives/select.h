/* The choice of the algorithm, and what follows from it. Every rank chooses alike: the choice rests on what
 * all of them know. */
#ifndef UNI_COLLECTIVES_SELECT_H
#define UNI_COLLECTIVES_SELECT_H

#include "collectives/run.h"

/* Before the arrival: does the payload ride with the line? By kind, size and number of ranks alone. */
bool uni_select_inline(const unisono_comm *comm, const struct uni_call *call);

/* How many lanes share the bytes. */
uint32_t uni_select_lanes(const unisono_comm *comm, size_t total);

/* The size of a chunk where some rank stages what it sends. */
size_t uni_select_staged_chunk(const unisono_comm *comm, const struct uni_call *call);

/* After the arrival, when run->send and run->recv say where every buffer is: fills in run->plan, whose total
 * and lanes are set. */
void uni_select_plan(unisono_comm *comm);

#endif
