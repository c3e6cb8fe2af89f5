/* What the launcher (torchrun, unisono run, Open MPI, MPICH, Intel MPI, Slurm) says in the environment. */
#ifndef UNI_RENDEZVOUS_LAUNCHER_H
#define UNI_RENDEZVOUS_LAUNCHER_H

#include "rendezvous/identity.h"

struct uni_launch {
  int rank, size;
  struct uni_identity identity; /* where the ranks meet; unset for size 1 */
};

/* Counts the calls: the n-th communicator of a process meets the n-th of the others. */
unisono_status uni_launch_read(struct uni_launch *launch);

#endif
