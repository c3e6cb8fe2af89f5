/* The world: the processes that met in one unisono_comm_init, and what they hold in common. Every
 * communicator derived from that one uses its sockets, its knowledge of deaths and its memory. */
#ifndef UNI_WORLD_H
#define UNI_WORLD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "costs/costs.h"
#include "env.h"
#include "rendezvous/letter.h"
#include "shm/segment.h"

/* What all ranks of a world agree on when they meet. */
struct uni_settings {
  enum uni_algorithm algorithm; /* forced by rank 0's environment */
  bool guard;                   /* peers' memory is mapped read-only */
  bool fences;                  /* some process has no membarrier: who publishes has to fence itself */
  bool crowded;                 /* more threads of ranks than processors */
  int processors;               /* for all ranks together; 0: not known */
  int lanes;                    /* threads that every rank may use */
  int rounds;                   /* of measuring the machine when all have met; 0: it is known */
  bool tunes;                   /* machines may be measured at all */
  struct uni_costs costs;
  struct uni_reach reach; /* all 0: not measured */
};

struct uni_inbox_entry {
  struct uni_letter letter;
  int from;
  struct uni_inbox_entry *next;
};

struct uni_peer {
  int socket, pidfd;           /* -1 for this rank itself */
  _Atomic bool gone;           /* dead, or has left the world: set once */
  struct uni_segment **memory; /* its segments as mapped here, by id; NULL where not known yet */
  size_t memory_count;
};

struct uni_memory; /* the memory that this rank serves: shm/memory.h */

struct uni_world {
  int size, rank;
  _Atomic int uses;
  struct uni_settings settings;
  struct uni_peer *peers;
  int epoll;                 /* of all sockets and pidfds; -1 for one rank */
  _Atomic int64_t next_look; /* when to look for deaths again */
  pthread_mutex_t lock;      /* guards the inbox, the peers' segments and the sockets' reading ends */
  struct uni_inbox_entry *inbox;
  struct uni_inbox_entry *spare; /* for the next letter: got before the letter is read */
  struct uni_memory *memory;
  uint64_t next_comm_id; /* of communicators that this rank leads; under lock */
};

/* A world of `size` ranks, none of whose peers is known yet. */
unisono_status uni_world_new(int size, int rank, struct uni_world **world);

/* Called when every peer's socket is there. */
unisono_status uni_world_start(struct uni_world *world);

void uni_world_use(struct uni_world *world);
void uni_world_put(struct uni_world *world); /* the last one closes it */

/* Looks for peers that are gone and takes in what they have sent; at most every few ms unless `now`. */
void uni_world_look(struct uni_world *world, bool now);

bool uni_world_is_gone(struct uni_world *world, int peer);

/* Takes the first letter out of the inbox for which match() holds; false: there is none yet. */
bool uni_world_take(struct uni_world *world, int from, bool (*match)(const struct uni_letter *, const void *),
                    const void *what, struct uni_letter *letter);

/* Waits for such a letter: TIMEOUT or PEER_LOST without words of the caller's. */
unisono_status uni_world_await(struct uni_world *world, int from,
                               bool (*match)(const struct uni_letter *, const void *), const void *what,
                               int64_t deadline, struct uni_letter *letter);

/* The peer's segment `id`, mapped here; NULL (with the last error set) when it cannot be had. */
struct uni_segment *uni_world_segment(struct uni_world *world, int peer, uint32_t id);

#endif
