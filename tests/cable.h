/* A bad cable between two network interfaces: frames come late, and some never. In user space, for kernels
 * without netem. */
#ifndef TESTS_CABLE_H
#define TESTS_CABLE_H

#include <sys/types.h>

/* Large packets are cut up before they leave the interface, and have their checksums: so frames can be
 * carried over. */
void cable_prepare(const char *interface);

/* Carries frames between the interfaces of this network namespace as long as process `owner` lives. */
_Noreturn void cable_run(const char *a, const char *b, int delay_ms, int loss_percent, pid_t owner);

#endif
