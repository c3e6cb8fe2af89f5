/* reduce_scatter across machines of equally many ranks: a machine is sent only what its ranks need. */
#ifndef UNI_MACHINES_SCATTER_H
#define UNI_MACHINES_SCATTER_H

#include "machines/reduction.h"

/* Else all of it is summed up everywhere: what is so short that it goes along with the call, or has other
 * ways. */
bool uni_scatter_suits(const struct uni_reduction *r);

unisono_status uni_scatter(const struct uni_reduction *r);

#endif
