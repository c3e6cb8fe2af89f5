/* Which caches and sockets a rank's processors belong to. */
#ifndef UNI_TOPOLOGY_H
#define UNI_TOPOLOGY_H

#include <stdint.h>

enum uni_level { UNI_LEVEL_CACHE, UNI_LEVEL_SOCKET, UNI_LEVELS }; /* from the inside out */

/* The number, from 1, of the last-level cache and of the socket that all processors of this thread belong to;
 * 0: they belong to several, or nothing is known. Where the topology is not this machine's (HWLOC_SYNTHETIC,
 * HWLOC_XMLFILE) the rank is taken to be on its rank-th processor. */
void uni_topology_find(int rank, uint32_t domains[UNI_LEVELS]);

#endif
