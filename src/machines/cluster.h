/* The processes of several machines that met in one unisono_comm_init. Each keeps its connection to rank 0,
 * and a thread, the keeper, that reads from it: who has died or was cut off, and why a communicator is
 * broken, and who comes to shrink it. Rank 0 passes on what it hears. So every living rank gets to know,
 * whatever the engine between machines does.
 *
 * When rank 0 itself is gone the others go on without this knowledge: then only time limits end a wait. */
#ifndef UNI_MACHINES_CLUSTER_H
#define UNI_MACHINES_CLUSTER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "rendezvous/roster.h"

enum { UNI_BREAK_TEXT = 320 };

/* A communicator to be broken when the news come. */
struct uni_listener {
  uint64_t id; /* of the communicator: the same on all of its ranks */
  void (*on_break)(void *what, unisono_status status, const char *text);
  void *what;
  struct uni_listener *next;
};

/* A rank that has come to shrink a communicator. */
struct uni_comer {
  uint64_t id; /* of the communicator */
  uint32_t rank, attempt;
  struct uni_comer *next; /* not sent */
};

struct uni_cluster {
  struct uni_roster roster;
  _Atomic bool *gone; /* by rank: dead, cut off, or through with this cluster */
  _Atomic int uses;
  pthread_t keeper;
  bool keeper_runs;
  int wake;             /* eventfd: the keeper ends */
  pthread_mutex_t lock; /* guards what follows */
  pthread_cond_t changed;
  struct uni_listener *listeners;
  struct uni_break *breaks; /* all that were heard of, the first for each communicator */
  struct uni_comer *comers; /* of other machines */
  struct uni_round *round;  /* of uni_cluster_exchange, at rank 0 */
  unsigned char *exchanged; /* what the last round brought; NULL: it is under way */
  size_t exchanged_bytes;
  struct uni_cluster *next; /* of all in this process: for fork */
};

/* Takes over the roster. */
unisono_status uni_cluster_open(struct uni_roster *roster, struct uni_cluster **cluster);
void uni_cluster_use(struct uni_cluster *cluster);
void uni_cluster_put(struct uni_cluster *cluster); /* the last one closes it */

static inline bool uni_cluster_is_gone(const struct uni_cluster *cluster, int rank) {
  /* acquire: what was heard before of it, and of others by it, is seen */
  return atomic_load_explicit(&cluster->gone[rank], memory_order_acquire);
}

/* From now on the listener hears of its communicator; at once if that is broken already. */
void uni_cluster_listen(struct uni_cluster *cluster, struct uni_listener *listener);
void uni_cluster_forget(struct uni_cluster *cluster, struct uni_listener *listener);

/* Tells all ranks that communicator `id` is broken. They all, this one too, hear of the first cause that
 * reached rank 0. False: rank 0 is gone. */
bool uni_cluster_break(struct uni_cluster *cluster, uint64_t id, unisono_status status, const char *text);

/* Tells all ranks that this one has come to shrink communicator `id`; asks whether one of another machine
 * said so. Who hears that a rank is gone has heard before what it said. */
void uni_cluster_come(struct uni_cluster *cluster, uint64_t id, uint32_t attempt);
bool uni_cluster_has_comers(struct uni_cluster *cluster, uint64_t id, uint32_t attempt);

/* Collective over all ranks: everybody's bytes, one after the other in rank order, each behind its length
 * (uint32_t). *all is the caller's to free. For the start of an engine: it goes through rank 0. */
unisono_status uni_cluster_exchange(struct uni_cluster *cluster, const void *mine, size_t bytes,
                                    int64_t deadline, unsigned char **all, size_t *all_bytes);

#endif
