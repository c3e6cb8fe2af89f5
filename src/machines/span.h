/* A communicator that spans machines: a communicator of each machine's ranks, and groups of an engine between
 * the machines. Its unisono_comm has `span` set, and the header of the machine's communicator for its own, so
 * that the two are broken together; every function of the API that takes a communicator comes here then.
 *
 * The i-th ranks of all machines are a column; there are as many columns as the smallest machine has ranks.
 */
#ifndef UNI_MACHINES_SPAN_H
#define UNI_MACHINES_SPAN_H

#include <pthread.h>

#include "comm.h"
#include "engines/engine.h"
#include "machines/cluster.h"
#include "p2p/p2p.h"

/* What it costs; picoseconds, alike on all ranks of a cluster. */
struct uni_link {
  uint64_t latency; /* of a step between machines, one rank of each taking part */
  uint64_t column;  /* what each further rank of a machine adds to that */
  uint64_t line;    /* 64 bytes that a machine sends and receives */
  uint64_t turn;    /* a step within a machine */
  uint64_t copy;    /* 64 bytes reduced, or gathered, within a machine */
};
extern const struct uni_link uni_link_default;

/* The engine of a cluster, opened once for all communicators. */
struct uni_carrier {
  const struct uni_engine *engine;
  void *world;
  struct uni_cluster *cluster;
  bool narrow; /* sums of 16-bit floats travel in 16 bits: narrow.h */
  struct uni_link link;
  bool forced; /* the engine's algorithm, by the user */
  _Atomic int uses;
};

void uni_carrier_use(struct uni_carrier *carrier);
void uni_carrier_put(struct uni_carrier *carrier);

struct uni_span {
  struct uni_carrier *carrier;
  unisono_comm *comm;  /* whose span this is */
  unisono_comm *local; /* this machine's ranks of it */
  struct uni_listener listener;
  int *cluster_ranks;         /* of the members */
  int machines, machine;      /* how many, and which is this one */
  int *machine_of, *local_of; /* by rank */
  int *first;                 /* by machine: where its ranks begin in `order`; one more entry for the end */
  int *order;                 /* the ranks, machine by machine */
  int columns;                /* ranks of each machine that talk to other machines in collectives */
  void *column;               /* of this rank; NULL: it is in none */
  void *whole;                /* all ranks */
  struct uni_link link;       /* its carrier's */
  int *block_bytes, *block_displs; /* the engine's, while it gathers: an entry a machine */
  uint64_t sequence;               /* of the collective under way or done last */
  bool entered;                    /* others have heard of it from this rank */
  int64_t deadline;                /* of the operation under way */
  int64_t lost_at;                 /* when a member was seen to be gone; 0: not */
  char *bounce;                    /* what the engine reads and writes; abandoned with its requests */
  size_t bounce_bytes;
  bool abandoned;        /* what is the engine's stays its */
  struct uni_line *line; /* started operations: line.h */
};

/* After the ranks met: takes over the roster, and the world of this machine's ranks. */
unisono_status uni_span_open(struct uni_world *world, struct uni_roster *roster, const char *engine,
                             const struct uni_birth *birth, unisono_comm **comm);

/* The communicator of these ranks of `comm`; one of this machine alone is an ordinary one. */
unisono_status uni_span_part(unisono_comm *comm, const int *ranks, int n, uint32_t times,
                             unisono_comm **part);

unisono_status uni_span_destroy(unisono_comm *comm);

/* All ranks: finds out what their carrier's link costs. */
unisono_status uni_span_measure(struct uni_span *span);

/* Breaks it everywhere; returns the failure that counts. */
unisono_status uni_span_break(struct uni_span *span, unisono_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A local phase has failed, or the engine (SYSTEM): all other machines get to know. */
unisono_status uni_span_failed(struct uni_span *span, unisono_status status);

/* Ranks on a machine, and the rank of this process on its own. */
static inline int uni_span_count(const struct uni_span *span, int machine) {
  return span->first[machine + 1] - span->first[machine];
}

/* The rank of `comm` that is the local-th of that machine. */
static inline int uni_span_rank(const struct uni_span *span, int machine, int local) {
  return span->order[span->first[machine] + local];
}

/* Has this rank died, left or been cut off, as far as is known? Then nothing is sent to it any more:
 * MPICH 5.0.2 may crash where that is tried. What it sent before may still come. */
static inline bool uni_span_is_gone(const struct uni_span *span, int rank) {
  return uni_cluster_is_gone(span->carrier->cluster, span->cluster_ranks[rank]);
}

/* At least `bytes` for the engine; NULL: MEMORY with words. */
char *uni_span_bounce(struct uni_span *span, size_t bytes);

/* Waits for a request of the engine. A failure has broken the communicator. */
unisono_status uni_span_wait(struct uni_span *span, uni_engine_request *request, const char *what);

/* A reason to give up a wait: broken, late, or a member lost. Looked for every now and then. */
unisono_status uni_span_check(struct uni_span *span, const char *what);

#endif
