/* Memory that is really there: what was reserved never fails with SIGBUS when it is touched. */
#ifndef UNI_SHM_RESERVE_H
#define UNI_SHM_RESERVE_H

#include <stddef.h>
#include <sys/types.h>

#include "unisono.h"

/* Reserves the pages of the memfd `fd` that hold any of the `bytes` bytes from `offset` on (within its size).
 * Pages that are there already stay as they are and are not counted. MEMORY: the machine or a control group
 * has too little, found before anything was touched; or others took it meanwhile, and the whole pages of the
 * range are released again, with what was in them. */
unisono_status uni_reserve(int fd, off_t offset, size_t bytes);

/* Gives the whole pages within the range back to the system; they read as zero from then on. Does nothing
 * where the memfd is sealed against future writes. */
void uni_release(int fd, off_t offset, size_t bytes);

#endif
