/* The peer is the MPI library whose mpicc compiles this. */
#include <limits.h>
#include <mpi.h>

#include "paired.h"

static int started_elsewhere; /* by unisono, whose data it carries */

void peer_start(const struct world *world) {
  int rank;
  MPI_Initialized(&started_elsewhere);
  if (!started_elsewhere && MPI_Init(NULL, NULL) != MPI_SUCCESS)
    fail(world, "MPI_Init", "failed");
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (rank != world->rank)
    fail(world, "MPI_Comm_rank", "is not the rank in unisono's communicator");
}

/* The MPI standard has no bfloat16; some implementations bring their own. */
bool peer_can(enum operation operation, unisono_dtype dtype) {
  (void)operation;
#ifdef MPIX_BFLOAT16
  (void)dtype;
  return true;
#else
  return dtype == UNISONO_FLOAT32;
#endif
}

static MPI_Datatype type_of(unisono_dtype dtype) {
#ifdef MPIX_BFLOAT16
  if (dtype == UNISONO_BFLOAT16)
    return MPIX_BFLOAT16;
#endif
  (void)dtype;
  return MPI_FLOAT;
}

static int run(const struct call *c, int n, MPI_Datatype type) {
  const void *send = c->send == c->recv ? MPI_IN_PLACE : c->send;
  switch (c->operation) {
  case ALL_REDUCE:
    return MPI_Allreduce(send, c->recv, n, type, MPI_SUM, MPI_COMM_WORLD);
  case BROADCAST:
    return MPI_Bcast(c->recv, n, type, 0, MPI_COMM_WORLD);
  case ALL_GATHER:
    return MPI_Allgather(send, n, type, c->recv, n, type, MPI_COMM_WORLD);
  case REDUCE_SCATTER:
    return MPI_Reduce_scatter_block(send, c->recv, n, type, MPI_SUM, MPI_COMM_WORLD);
  case ALL_TO_ALL:
    return MPI_Alltoall(send, n, type, c->recv, n, type, MPI_COMM_WORLD);
  default:
    return MPI_Barrier(MPI_COMM_WORLD);
  }
}

void peer_run(const struct call *call) {
  if (call->count > INT_MAX || run(call, (int)call->count, type_of(call->dtype)) != MPI_SUCCESS)
    fail(call->world, "MPI", "the call failed");
}

void peer_stop(void) {
  if (!started_elsewhere)
    MPI_Finalize();
}
