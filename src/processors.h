/* How many processors there are for this process. */
#ifndef UNI_PROCESSORS_H
#define UNI_PROCESSORS_H

#include <stddef.h>

/* Those that its affinity allows, but no more than its control groups' quota pays for (rounded up); at
 * least 1. */
int uni_processors(void);

/* Those that its affinity allows, whatever the quota. */
int uni_processors_allowed(void);

/* Only the quota's part, with `root` in front of every path (for tests); INT_MAX: no quota. */
int uni_processors_quota(const char *root);

/* Of the last-level cache; where that is not known, what is usual. */
size_t uni_cache_bytes(void);

#endif
