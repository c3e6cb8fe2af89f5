/* The sleeper's fence: membarrier makes every running thread of the registered processes execute a full
 * fence, so that those who publish need none. */
#ifndef UNI_SHM_MEMBARRIER_H
#define UNI_SHM_MEMBARRIER_H

#include <stdbool.h>

bool uni_membarrier_register(void); /* false: this system has none */
void uni_membarrier(void);

#endif
