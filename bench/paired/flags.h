/* A cache line a rank in memory that all ranks have mapped: the barrier before every sample, the same one for
 * all that is measured, and itself a limit: no collective is faster than one symmetric exchange of a flag. */
#ifndef FLAGS_H
#define FLAGS_H

#include "paired.h"

void flags_open(const struct world *world);

/* Writes this rank's flag and waits until those of all others are as far. Where they are apart, it is
 * unisono's barrier. */
void flags_exchange(const struct world *world);

#endif
