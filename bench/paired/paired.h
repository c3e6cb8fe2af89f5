/* The paired benchmark: unisono, its peer and the limits of the machine take turns in one process a rank, so
 * that whatever else the machine does meets all of them alike. */
#ifndef PAIRED_H
#define PAIRED_H

#include <stdbool.h>
#include <stddef.h>
#include <unisono.h>

#ifdef __cplusplus
extern "C" {
#endif

enum operation { ALL_REDUCE, BROADCAST, ALL_GATHER, REDUCE_SCATTER, ALL_TO_ALL, BARRIER, OPERATIONS };

struct world {
  unisono_comm *comm;
  int rank, size;
  bool crowded; /* more ranks than processors */
  bool apart;   /* the ranks are on several machines: they have no memory in common */
};

/* One call. `count` is MPI's: all elements for all_reduce and broadcast (in place where send == recv), those
 * of one rank's block for the others. */
struct call {
  const struct world *world;
  enum operation operation;
  unisono_dtype dtype; /* UNISONO_FLOAT32 or UNISONO_BFLOAT16 */
  void *send, *recv;
  size_t count;
};

size_t element_bytes(unisono_dtype dtype);
void fail(const struct world *world, const char *what, const char *why);

/* The peer: mpi.c, oneccl.cpp, tcp.c or none.c, one of them in each program. */
void peer_start(const struct world *world);
bool peer_can(enum operation operation, unisono_dtype dtype);
void peer_run(const struct call *call);
void peer_stop(void);

#ifdef __cplusplus
}
#endif
#endif
