/* A short check that a communicator works, by all of its ranks. */
#ifndef TESTS_WORKS_H
#define TESTS_WORKS_H

#include <unisono.h>

void check_works(unisono_comm *comm);

#endif
