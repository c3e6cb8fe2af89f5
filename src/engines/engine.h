/* What the library needs of an engine, something that carries data between machines (MPI, ...). It is loaded
 * when there is more than one machine. All of it is started and tested, never waited for, so that a wait ends
 * when a peer is lost; a request that was not seen done is abandoned, and its buffers are never touched again
 * by us, nor given back, as the engine may still use them. */
#ifndef UNI_ENGINES_ENGINE_H
#define UNI_ENGINES_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unisono.h"

/* Where an engine starts: the ranks, and a way to tell each other what it needs to connect them. */
struct uni_engine_start {
  const struct uni_engine *engine; /* which one */
  int rank, size;
  const char *iface;     /* the network interface to use, or "" */
  const char *algorithm; /* ring, recursive_doubling, recursive_halving, tree, or NULL: the engine's choice */
  uint64_t session;      /* names this start */
  int64_t deadline;
  /* Collective over the ranks: as uni_cluster_exchange. */
  unisono_status (*exchange)(void *what, const void *mine, size_t bytes, int64_t deadline,
                             unsigned char **all, size_t *all_bytes);
  void *what;
};

/* How long to wait for others. */
struct uni_patience {
  int64_t deadline;
  bool (*is_vain)(void *what); /* somebody was lost */
  void *what;
};

/* A message that has come: what engine->match found. */
struct uni_engine_message {
  void *handle;
  int peer;
  size_t bytes;
};

typedef void *uni_engine_request;

struct uni_engine {
  const char *name;
  int most_tag;
  size_t most_bytes;  /* of one message or block */
  size_t most_fitted; /* a message up to this may be shorter than its receive asks for, and fails one that
                       * asks for less; 0: sizes have to agree */

  /* All ranks: connects them. */
  unisono_status (*open)(const struct uni_engine_start *start, void **world);
  void (*close)(void *world);
  void (*broken)(
      void); /* something was abandoned: the process ends without the engine's farewell, which would wait */

  /* The listed ranks only: a group of theirs, in this order. `tag` tells apart those that have ranks in
   * common and are made at the same time. */
  unisono_status (*group)(void *world, const int *ranks, int n, int tag, const struct uni_patience *patience,
                          void **group); /* to free one would be to wait for its members: it lasts */

  /* Started operations; ranks are the group's. Reductions: no 16-bit floats, no AVG; in place. */
  unisono_status (*all_reduce)(void *group, void *buffer, size_t count, unisono_dtype dtype, unisono_op op,
                               uni_engine_request *request);
  unisono_status (*broadcast)(void *group, void *buffer, size_t bytes, int root, uni_engine_request *request);
  /* Rank i's bytes[i] bytes at displs[i] of everybody's buffer. */
  unisono_status (*all_gather)(void *group, void *buffer, const int *bytes, const int *displs,
                               uni_engine_request *request);
  /* `synchronous`: it is done only when it is being received. */
  unisono_status (*send)(void *group, const void *buffer, size_t bytes, int peer, int tag, bool synchronous,
                         uni_engine_request *request);
  unisono_status (*recv)(void *group, void *buffer, size_t bytes, int peer, int tag,
                         uni_engine_request *request);

  /* Looks for a message of any rank under this tag. Found: it is the caller's, who receives it. */
  unisono_status (*match)(void *group, int tag, bool *found, struct uni_engine_message *message);
  unisono_status (*recv_matched)(struct uni_engine_message *message, void *buffer,
                                 uni_engine_request *request);

  unisono_status (*test)(uni_engine_request *request, bool *done);
};

/* The engine of that name, loaded; NULL: the default. UNSUPPORTED says which package brings what is missing.
 */
unisono_status uni_engine_find(const char *name, const struct uni_engine **engine);

/* All engines as text, one a line: its name, then its version or what is missing. */
void uni_engines_describe(char *text, size_t bytes);

#endif
