/* In the place of topology.c, where the command was built without hwloc: what the C library knows. */
#include "machine.h"

#include <stdio.h>
#include <unistd.h>

void machine_read_topology(struct machine *machine) {
  snprintf(machine->model, sizeof machine->model, "unknown processor (built without hwloc)");
  machine->processors = (int)sysconf(_SC_NPROCESSORS_CONF);
  machine->memory = (unsigned long long)sysconf(_SC_PHYS_PAGES) * (unsigned long long)sysconf(_SC_PAGESIZE);
}
