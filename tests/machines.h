/* Machines for tests: namespaces of this one, each with its own network interface (eth0), host name, /dev/shm
 * and System V memory, on a bridge. Between them there is nothing but the network. All of it ends with the
 * process.
 *
 * TEST_MACHINES=2,1,1 in the environment: that many ranks on each machine; the harness then runs its ranks
 * there. */
#ifndef TESTS_MACHINES_H
#define TESTS_MACHINES_H

#include <stdbool.h>

/* Builds what TEST_MACHINES says; exits with 77 where namespaces are not allowed or a tool is missing. */
void machines_build(void);

int machines_number(void); /* 0: TEST_MACHINES is not set */
int machines_ranks(void);  /* of the layout, all together */

/* The machine of a rank: as the layout says, or by turns for another number of ranks. */
int machines_of(int rank, int size);

/* The calling process, with one thread, moves there. */
void machines_enter(int machine);

/* A process that is there as long as the machine. */
int machines_keeper(int machine);

/* "10.77.0.1" for machine 0. */
const char *machines_address(int machine);

/* "fd77::1"; where the kernel has IPv6. */
const char *machines_address6(int machine);
bool machines_have_ipv6(void);

/* This rank's environment as torchrun would set it, with rank 0 to be found there. */
void machines_set_environment(const char *address, int port, const char *secret);

/* Cuts a machine off and joins it again, or lets what comes and goes be late and partly lost, to the end of
 * the program. From any rank. */
void machines_cut(int machine);
void machines_join(int machine);
void machines_trouble(int machine, int delay_ms, int loss_percent);

#endif
