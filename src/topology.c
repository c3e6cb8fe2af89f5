#include "topology.h"

#ifdef UNISONO_HWLOC
#include <hwloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "processors.h"

/* A rank that may use all processors is nowhere in particular: that is known without reading the topology,
 * which takes milliseconds. */
static bool is_bound(void) {
  return uni_processors_allowed() < sysconf(_SC_NPROCESSORS_ONLN) || getenv("HWLOC_SYNTHETIC") ||
         getenv("HWLOC_XMLFILE");
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static hwloc_topology_t topology; /* read once a process, kept to its end; NULL: it could not be read */

static void load(void) {
  if (hwloc_topology_init(&topology) != 0)
    topology = NULL;
  else if (hwloc_topology_load(topology) != 0) {
    hwloc_topology_destroy(topology);
    topology = NULL;
  }
}

/* The processors that the calling thread may use. */
static bool find_processors(int rank, hwloc_bitmap_t set) {
  if (!hwloc_topology_is_thissystem(topology)) {
    int n = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU);
    hwloc_obj_t processor =
        n > 0 ? hwloc_get_obj_by_type(topology, HWLOC_OBJ_PU, (unsigned)(rank % n)) : NULL;
    return processor && hwloc_bitmap_copy(set, processor->cpuset) == 0;
  }
  return hwloc_get_cpubind(topology, set, HWLOC_CPUBIND_THREAD) == 0;
}

/* The number of the object of this type that all of `set` is in. */
static uint32_t number_of(hwloc_obj_type_t type, hwloc_const_bitmap_t set) {
  hwloc_obj_t object = NULL;
  while ((object = hwloc_get_next_obj_by_type(topology, type, object)) != NULL)
    if (hwloc_bitmap_isincluded(set, object->cpuset))
      return object->logical_index + 1;
  return 0;
}

void uni_topology_find(int rank, uint32_t domains[UNI_LEVELS]) {
  domains[UNI_LEVEL_CACHE] = domains[UNI_LEVEL_SOCKET] = 0;
  if (!is_bound())
    return;
  pthread_once(&once, load);
  hwloc_bitmap_t set = topology ? hwloc_bitmap_alloc() : NULL;
  if (set && find_processors(rank, set)) {
    domains[UNI_LEVEL_CACHE] = number_of(HWLOC_OBJ_L3CACHE, set);
    domains[UNI_LEVEL_SOCKET] = number_of(HWLOC_OBJ_PACKAGE, set);
  }
  hwloc_bitmap_free(set);
}

#else

void uni_topology_find(int rank, uint32_t domains[UNI_LEVELS]) {
  (void)rank;
  domains[UNI_LEVEL_CACHE] = domains[UNI_LEVEL_SOCKET] = 0;
}

#endif
