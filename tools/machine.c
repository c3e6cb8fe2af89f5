/* Facts about the machine: its topology, the kernel's name, and what the library found. */
#include "machine.h"

#include <gnu/libc-version.h>
#include <stdio.h>
#include <sys/utsname.h>

void machine_read(struct machine *machine) {
  struct utsname names;
  *machine = (struct machine){.library.struct_size = sizeof machine->library};
  unisono_get_info(&machine->library);
  machine_read_topology(machine);
  if (uname(&names) == 0)
    snprintf(machine->kernel, sizeof machine->kernel, "%.40s %.80s", names.sysname, names.release);
  machine->libc = gnu_get_libc_version();
}
