/* An engine as a caller of the library would bring it: TCP between all ranks, everybody sends everything to
 * everybody. For tests of machines (machines.h). */
#ifndef TESTS_SOCKETS_H
#define TESTS_SOCKETS_H

#include <unisono.h>

/* "sockets". */
extern const unisono_engine sockets_engine;

/* Skips the test where another one carries the data. */
void sockets_needed(void);

#endif
