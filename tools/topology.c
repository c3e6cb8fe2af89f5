/* The topology of the machine, by hwloc. */
#include "machine.h"

#include <hwloc.h>
#include <stdio.h>

static int count(hwloc_topology_t topology, hwloc_obj_type_t type) {
  int n = hwloc_get_nbobjs_by_type(topology, type);
  return n > 0 ? n : 0;
}

static void read_caches(struct machine *machine, hwloc_topology_t topology) {
  for (int level = 1; level <= 5; level++) {
    hwloc_obj_type_t type = (hwloc_obj_type_t)(HWLOC_OBJ_L1CACHE + level - 1);
    hwloc_obj_t first = hwloc_get_obj_by_type(topology, type, 0);
    if (first)
      machine->caches[machine->cache_levels++] =
          (struct cache){.level = level,
                         .number = count(topology, type),
                         .shared_by = hwloc_bitmap_weight(first->cpuset),
                         .bytes = first->attr->cache.size};
  }
}

static void read_model(struct machine *machine, hwloc_topology_t topology) {
  hwloc_obj_t package = hwloc_get_obj_by_type(topology, HWLOC_OBJ_PACKAGE, 0);
  const char *model = package ? hwloc_obj_get_info_by_name(package, "CPUModel") : NULL;
  snprintf(machine->model, sizeof machine->model, "%s", model ? model : "unknown processor");
}

void machine_read_topology(struct machine *machine) {
  hwloc_topology_t topology;
  if (hwloc_topology_init(&topology) != 0)
    return;
  if (hwloc_topology_load(topology) == 0) {
    machine->packages = count(topology, HWLOC_OBJ_PACKAGE);
    machine->numa_nodes = count(topology, HWLOC_OBJ_NUMANODE);
    machine->cores = count(topology, HWLOC_OBJ_CORE);
    machine->processors = count(topology, HWLOC_OBJ_PU);
    machine->memory = hwloc_get_root_obj(topology)->total_memory;
    read_model(machine, topology);
    read_caches(machine, topology);
  }
  hwloc_topology_destroy(topology);
}
