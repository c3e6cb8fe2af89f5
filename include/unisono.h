/* unisono: collective communication between CPU processes.
 *
 * Copyright 2026 the unisono authors. SPDX-License-Identifier: Apache-2.0
 *
 * The processes ("ranks") of one machine sum, share and exchange arrays through shared memory.
 * Every function returns a status; unisono_last_error() has the words to it. Unless said otherwise
 *   - a count is in elements of the data type, a byte size is called `bytes`;
 *   - buffers belong to the caller, and the library uses them only until the call returns
 *     (for the _async form: until unisono_wait or a successful unisono_test has returned);
 *   - a communicator serves one thread at a time; beside it any number of threads may send and receive,
 *     each with requests of its own, and any thread may call unisono_comm_abort.
 */
#ifndef UNISONO_H
#define UNISONO_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define UNISONO_API __attribute__((visibility("default")))
#else
#define UNISONO_API
#endif

#define UNISONO_VERSION_MAJOR 0
#define UNISONO_VERSION_MINOR 1
#define UNISONO_VERSION_PATCH 0

/* ------------------------------------------------------------------------------------- types */

typedef struct unisono_comm unisono_comm;       /* a communicator: an ordered set of ranks */
typedef struct unisono_request unisono_request; /* one started operation */

/* What the ranks of one communicator must hold in common to find each other. */
typedef struct {
  char bytes[256];
} unisono_unique_id;

typedef enum {
  UNISONO_OK = 0,
  UNISONO_ERROR_INVALID,    /* a bad argument; nothing was started */
  UNISONO_ERROR_MISMATCH,   /* the ranks called different operations, counts, types, ops, roots or
                               match ids */
  UNISONO_ERROR_PEER_LOST,  /* a rank of the communicator died, left or aborted */
  UNISONO_ERROR_TIMEOUT,    /* a rank did not arrive in time; the message names it */
  UNISONO_ERROR_MEMORY,     /* not enough memory */
  UNISONO_ERROR_SYSTEM,     /* a system call or an engine failed; the message has errno's text */
  UNISONO_ERROR_UNSUPPORTED /* not possible here; the message says what is missing */
} unisono_status;

typedef enum {
  UNISONO_INT8,
  UNISONO_UINT8,
  UNISONO_INT16,
  UNISONO_UINT16,
  UNISONO_INT32,
  UNISONO_UINT32,
  UNISONO_INT64,
  UNISONO_UINT64,
  UNISONO_FLOAT16,  /* IEEE binary16; accumulated in float32, rounded once to nearest even */
  UNISONO_BFLOAT16, /* the upper half of a float32; accumulated in float32, rounded once */
  UNISONO_FLOAT32,
  UNISONO_FLOAT64
} unisono_dtype;

/* Integers wrap around. MIN and MAX of floats are IEEE 754-2019 minimum and maximum: a NaN stays a
 * NaN, and -0 < +0. AVG divides the sum once and is for floats only; the bitwise ones are for
 * integers only. A NaN result is always the same quiet NaN. */
typedef enum {
  UNISONO_SUM,
  UNISONO_PROD,
  UNISONO_MIN,
  UNISONO_MAX,
  UNISONO_AVG,
  UNISONO_BAND,
  UNISONO_BOR,
  UNISONO_BXOR
} unisono_op;

/* Runs body(arg, i) for every i in [0, n) on the threads of `pool` and returns when all are done.
 * It may run them in any order and on fewer than n threads. */
typedef void (*unisono_parallel_for)(void *pool, size_t n, void (*body)(void *arg, size_t i), void *arg);

/* Start from UNISONO_CONFIG_INIT, which has every default and fills in struct_size. */
typedef struct {
  size_t struct_size; /* sizeof(unisono_config): lets the struct grow */
  int timeout_ms;     /* limit for each operation, in ms; 0: UNISONO_TIMEOUT or 10 minutes; -1: none */
  int threads;        /* threads one rank may use; 0: 1 */
  unisono_parallel_for parallel_for; /* NULL: the library's own (OpenMP) */
  void *pool;                        /* handed to parallel_for */
  const char *engine; /* between machines: "oneccl", "mpi", ...; NULL: UNISONO_ENGINE or the default */
} unisono_config;

#define UNISONO_CONFIG_INIT                                                                                  \
  { sizeof(unisono_config), 0, 0, NULL, NULL, NULL }

/* -------------------------------------------------------------------------------- communicators */

/* Makes an id for one new communicator and writes it to *id. One process calls it and hands the
 * bytes to the ranks by any means (a file, a pipe, fork, MPI_Bcast). The id carries a secret: who
 * has it can join. The process must live until unisono_comm_init has returned on every rank; it may
 * be a rank or not, and may fork the ranks afterwards.
 * Errors: INVALID (id is NULL), SYSTEM (no randomness). */
UNISONO_API unisono_status unisono_get_unique_id(unisono_unique_id *id);

/* Joins as `rank` (0 <= rank < size) the communicator of `size` ranks that `id` stands for, and
 * waits until all of them have. `config` may be NULL. *comm is NULL after a failure; after success it
 * belongs to the caller, who gives it back to unisono_comm_destroy.
 * Errors: INVALID (arguments; a rank twice; an id used before), MISMATCH (ranks gave different
 * sizes), TIMEOUT (names the ranks that did not come), PEER_LOST, MEMORY, SYSTEM,
 * UNSUPPORTED (ranks of several machines, or of containers that cannot see each other, and what connects them
 * is missing: an engine, libsodium, or this library's part for it). */
UNISONO_API unisono_status unisono_comm_init(unisono_comm **comm, int size, int rank,
                                             const unisono_unique_id *id, const unisono_config *config);

/* The same with rank, size and meeting place read from the environment: RANK, WORLD_SIZE,
 * LOCAL_RANK, LOCAL_WORLD_SIZE (or LOCAL_SIZE), MASTER_ADDR and MASTER_PORT as torchrun sets them,
 * else those of Open MPI, MPICH and Intel MPI (PMI) or Slurm. Without any of them: one rank.
 * Every rank calls it equally often. Errors: as unisono_comm_init; INVALID names the variable. */
UNISONO_API unisono_status unisono_comm_init_env(unisono_comm **comm, const unisono_config *config);

/* Divides `comm`: ranks with the same color make a new communicator each, ordered by key, then by
 * rank in `comm`. color < 0: this rank is in none and *part = NULL. Collective over `comm`. */
UNISONO_API unisono_status unisono_comm_split(unisono_comm *comm, int color, int key, unisono_comm **part);

/* Makes a communicator of the n listed ranks of `comm`, in the order of the list. Called, with the
 * same list, by the listed ranks only. */
UNISONO_API unisono_status unisono_comm_create(unisono_comm *comm, const int *ranks, int n,
                                               unisono_comm **part);

/* After PEER_LOST (or TIMEOUT, MISMATCH, SYSTEM): makes a communicator of the ranks still alive, in
 * their order. Collective over the survivors; one that comes too late is lost to the others and
 * gets PEER_LOST. A rank that is stopped is waited for until the time limit. `comm` stays broken and
 * has to be destroyed as ever.
 * Where `comm` spans machines, the ranks of one go on when those of all others are gone; else it is
 * UNSUPPORTED on all, who can call it again. */
UNISONO_API unisono_status unisono_comm_shrink(unisono_comm *comm, unisono_comm **survivors);

/* Ends every operation of `comm` on every rank with PEER_LOST, now and later. From any thread. */
UNISONO_API unisono_status unisono_comm_abort(unisono_comm *comm);

/* Gives the communicator back. Local: never waits for peers. Peers that still need this rank get
 * PEER_LOST. Requests not finished yet end with PEER_LOST and are still freed by unisono_wait.
 * NULL is allowed. */
UNISONO_API unisono_status unisono_comm_destroy(unisono_comm *comm);

/* Sets the time limit of every later operation: in ms, 0: the default, -1: none. Local. */
UNISONO_API unisono_status unisono_comm_set_timeout(unisono_comm *comm, int timeout_ms);

/* This process's rank in the communicator, from 0; -1 for NULL. */
UNISONO_API int unisono_comm_rank(const unisono_comm *comm);

/* The number of ranks in the communicator; -1 for NULL. */
UNISONO_API int unisono_comm_size(const unisono_comm *comm);

/* ---------------------------------------------------------------------------------- messages */

/* This thread's last failure: what, which rank, which argument, what to do. Never NULL; valid until
 * the thread's next failing call. */
UNISONO_API const char *unisono_last_error(void);

/* The name of a status, as "peer lost". Never NULL. */
UNISONO_API const char *unisono_status_string(unisono_status status);

/* The library's version, as "0.1.0". */
UNISONO_API const char *unisono_version(void);

/* ------------------------------------------------------------------------------------ memory */

/* Memory that every rank of the machine can reach: collectives on it copy nothing that they need
 * not. It belongs to the process: it serves every communicator derived from the same ancestor,
 * outlives unisono_comm_destroy, and can be freed after a failure. In a forked child it turns into a
 * private copy. After a failed operation its contents in the receive buffer are undefined, and it
 * may have lost its zero-copy speed until it is freed. */

/* Sets *ptr to `bytes` bytes, 64-byte aligned at least, zero-filled or not. Not collective. The
 * memory is reserved now: too little of it is MEMORY here and never a signal later. bytes == 0 gives
 * a pointer that can be freed. */
UNISONO_API unisono_status unisono_mem_alloc(unisono_comm *comm, size_t bytes, void **ptr);

/* Frees what unisono_mem_alloc gave; ptr NULL does nothing. `comm` is any communicator of the same
 * ancestor, or NULL (for when all of them are destroyed). Errors: INVALID (not such a pointer). */
UNISONO_API unisono_status unisono_mem_free(unisono_comm *comm, void *ptr);

/* Makes memory that already exists reachable for the peers. It must be private, anonymous, writable
 * memory (malloc, mmap), of any address and size. Its whole pages are moved to shared memory under
 * the same addresses; the rest stays and is staged. While this runs no thread may write to it, and
 * it must be deregistered before it is freed or unmapped.
 * Errors: INVALID (not such memory, or overlapping memory registered before), MEMORY, SYSTEM. */
UNISONO_API unisono_status unisono_mem_register(unisono_comm *comm, void *ptr, size_t bytes);

/* Undoes unisono_mem_register; the contents stay. `comm` as in unisono_mem_free. No thread may write
 * to the memory meanwhile. */
UNISONO_API unisono_status unisono_mem_deregister(unisono_comm *comm, void *ptr);

/* -------------------------------------------------------------------------------- collectives
 *
 * Every rank of the communicator calls the same function with the same count, type, op and root, in
 * the same order. In place, as in NCCL: send == recv; for all_gather and gather send == recv +
 * rank*count, for reduce_scatter and scatter recv == send + rank*count (in elements). For
 * all_gatherv send == recv + recv_displs[rank], for all_to_allv send == recv with the same counts and
 * displacements on both sides. Other overlap is INVALID. count 0 is valid and does nothing but keep the
 * order; pointers may be NULL then. Pointers that a rank's role does not use are ignored.
 *
 * Reductions fold in rank order: every rank gets bitwise the same result, whatever the algorithm, the
 * kind of memory, the number of threads, the instruction set and the caller's rounding mode.
 *
 * Errors of all of them. INVALID, UNSUPPORTED, MEMORY: nothing was sent, the communicator is as it
 * was. MISMATCH, PEER_LOST, TIMEOUT, SYSTEM: the communicator is broken, every later operation
 * returns that status at once, receive buffers are undefined (after MISMATCH: untouched). Once a call
 * has returned, whatever its status, no peer writes its buffers any more. */

/* Returns when every rank has called it. */
UNISONO_API unisono_status unisono_barrier(unisono_comm *comm);

/* recv[i] = send of rank 0 [i] op ... op send of the last rank [i], on every rank; both `count`. */
UNISONO_API unisono_status unisono_all_reduce(const void *send, void *recv, size_t count, unisono_dtype dtype,
                                              unisono_op op, unisono_comm *comm);

/* As all_reduce, but only `root` gets the result; recv is ignored elsewhere. */
UNISONO_API unisono_status unisono_reduce(const void *send, void *recv, size_t count, unisono_dtype dtype,
                                          unisono_op op, int root, unisono_comm *comm);

/* send has size * recv_count elements; rank r gets elements [r*recv_count, (r+1)*recv_count) of the
 * reduction. */
UNISONO_API unisono_status unisono_reduce_scatter(const void *send, void *recv, size_t recv_count,
                                                  unisono_dtype dtype, unisono_op op, unisono_comm *comm);

/* Every rank's buffer gets the `count` elements of root's. The root may return before the others
 * have them. */
UNISONO_API unisono_status unisono_broadcast(void *buffer, size_t count, unisono_dtype dtype, int root,
                                             unisono_comm *comm);

/* recv[r*send_count + i] = send of rank r [i], on every rank; recv has size * send_count elements. */
UNISONO_API unisono_status unisono_all_gather(const void *send, void *recv, size_t send_count,
                                              unisono_dtype dtype, unisono_comm *comm);

/* As all_gather, but only `root` gets the result; recv is ignored elsewhere. */
UNISONO_API unisono_status unisono_gather(const void *send, void *recv, size_t send_count,
                                          unisono_dtype dtype, int root, unisono_comm *comm);

/* Rank r gets elements [r*recv_count, (r+1)*recv_count) of root's send, which has size * recv_count;
 * send is ignored elsewhere. */
UNISONO_API unisono_status unisono_scatter(const void *send, void *recv, size_t recv_count,
                                           unisono_dtype dtype, int root, unisono_comm *comm);

/* recv[r*count + i] = send of rank r [me*count + i]; both buffers have size * count elements. */
UNISONO_API unisono_status unisono_all_to_all(const void *send, void *recv, size_t count, unisono_dtype dtype,
                                              unisono_comm *comm);

/* Sends send_counts[r] elements from send + send_displs[r] to rank r, and receives recv_counts[r]
 * from it at recv + recv_displs[r]. What r sends and what is awaited from r must agree. The arrays
 * have `size` entries, in elements, and are read before the call (or the _async start) returns. */
UNISONO_API unisono_status unisono_all_to_allv(const void *send, const size_t *send_counts,
                                               const size_t *send_displs, void *recv,
                                               const size_t *recv_counts, const size_t *recv_displs,
                                               unisono_dtype dtype, unisono_comm *comm);

/* As all_gather with recv_counts[r] elements from rank r at recv + recv_displs[r]; send_count must be
 * the others' recv_counts of this rank. */
UNISONO_API unisono_status unisono_all_gatherv(const void *send, size_t send_count, void *recv,
                                               const size_t *recv_counts, const size_t *recv_displs,
                                               unisono_dtype dtype, unisono_comm *comm);

/* all_reduce for the same reduction again and again: what the first call with `match_id` worked out is
 * kept for the next ones. All ranks give the same id. Used again with another count, type or op it
 * is INVALID; other buffers are fine. */
UNISONO_API unisono_status unisono_all_reduce_cached(const void *send, void *recv, size_t count,
                                                     unisono_dtype dtype, unisono_op op, const char *match_id,
                                                     unisono_comm *comm);

/* ---------------------------------------------------------------------------- point to point
 *
 * Messages between two ranks with the same tag (>= 0) are received in the order of sending. A send of
 * a small message may return before it is received; a larger one waits for its receive. A message
 * longer than the receive's count, or of another type, is MISMATCH; a shorter one is fine. */

/* What a receive got. */
typedef struct {
  int peer, tag;
  size_t count;
} unisono_message;

/* Sends `count` elements to rank `peer` (0 <= peer < size) under `tag`. */
UNISONO_API unisono_status unisono_send(const void *buffer, size_t count, unisono_dtype dtype, int peer,
                                        int tag, unisono_comm *comm);

/* Receives at most `count` elements. peer -1: from any rank; tag -1: under any tag. */
UNISONO_API unisono_status unisono_recv(void *buffer, size_t count, unisono_dtype dtype, int peer, int tag,
                                        unisono_comm *comm);

/* The same, and tells in *message (may be NULL) who sent how much under which tag. */
UNISONO_API unisono_status unisono_recv_message(void *buffer, size_t count, unisono_dtype dtype, int peer,
                                                int tag, unisono_comm *comm, unisono_message *message);

/* ------------------------------------------------------------------------------ asynchronous
 *
 * The same operations, started: the call returns at once, and the operation completes without further
 * calls. Collectives of one communicator run in the order in which they were started, blocking ones
 * included; sends and receives run beside them. *request belongs to the caller, who must give it to
 * unisono_wait; it is NULL when the start failed. Buffers must stay until the operation is done. */

/* Sets *done to 1 when the operation is done, to 0 when not, and returns at once. When done, returns
 * the operation's status; the request still has to be waited for. */
UNISONO_API unisono_status unisono_test(unisono_request *request, int *done);

/* What a done receive got; INVALID before it is done or for other operations. */
UNISONO_API unisono_status unisono_request_message(unisono_request *request, unisono_message *message);

/* Waits until the operation is done, frees the request, sets *request = NULL and returns the
 * operation's status. *request == NULL is OK and does nothing. */
UNISONO_API unisono_status unisono_wait(unisono_request **request);

UNISONO_API unisono_status unisono_barrier_async(unisono_comm *comm, unisono_request **request);
UNISONO_API unisono_status unisono_all_reduce_async(const void *send, void *recv, size_t count,
                                                    unisono_dtype dtype, unisono_op op, unisono_comm *comm,
                                                    unisono_request **request);
UNISONO_API unisono_status unisono_reduce_async(const void *send, void *recv, size_t count,
                                                unisono_dtype dtype, unisono_op op, int root,
                                                unisono_comm *comm, unisono_request **request);
UNISONO_API unisono_status unisono_reduce_scatter_async(const void *send, void *recv, size_t recv_count,
                                                        unisono_dtype dtype, unisono_op op,
                                                        unisono_comm *comm, unisono_request **request);
UNISONO_API unisono_status unisono_broadcast_async(void *buffer, size_t count, unisono_dtype dtype, int root,
                                                   unisono_comm *comm, unisono_request **request);
UNISONO_API unisono_status unisono_all_gather_async(const void *send, void *recv, size_t send_count,
                                                    unisono_dtype dtype, unisono_comm *comm,
                                                    unisono_request **request);
UNISONO_API unisono_status unisono_gather_async(const void *send, void *recv, size_t send_count,
                                                unisono_dtype dtype, int root, unisono_comm *comm,
                                                unisono_request **request);
UNISONO_API unisono_status unisono_scatter_async(const void *send, void *recv, size_t recv_count,
                                                 unisono_dtype dtype, int root, unisono_comm *comm,
                                                 unisono_request **request);
UNISONO_API unisono_status unisono_all_to_all_async(const void *send, void *recv, size_t count,
                                                    unisono_dtype dtype, unisono_comm *comm,
                                                    unisono_request **request);
UNISONO_API unisono_status unisono_all_to_allv_async(const void *send, const size_t *send_counts,
                                                     const size_t *send_displs, void *recv,
                                                     const size_t *recv_counts, const size_t *recv_displs,
                                                     unisono_dtype dtype, unisono_comm *comm,
                                                     unisono_request **request);
UNISONO_API unisono_status unisono_all_gatherv_async(const void *send, size_t send_count, void *recv,
                                                     const size_t *recv_counts, const size_t *recv_displs,
                                                     unisono_dtype dtype, unisono_comm *comm,
                                                     unisono_request **request);
UNISONO_API unisono_status unisono_all_reduce_cached_async(const void *send, void *recv, size_t count,
                                                           unisono_dtype dtype, unisono_op op,
                                                           const char *match_id, unisono_comm *comm,
                                                           unisono_request **request);
UNISONO_API unisono_status unisono_send_async(const void *buffer, size_t count, unisono_dtype dtype, int peer,
                                              int tag, unisono_comm *comm, unisono_request **request);
UNISONO_API unisono_status unisono_recv_async(void *buffer, size_t count, unisono_dtype dtype, int peer,
                                              int tag, unisono_comm *comm, unisono_request **request);
/* *message, if not NULL, is filled in before unisono_wait returns and must stay until then. */
UNISONO_API unisono_status unisono_recv_message_async(void *buffer, size_t count, unisono_dtype dtype,
                                                      int peer, int tag, unisono_comm *comm,
                                                      unisono_message *message, unisono_request **request);

/* ---------------------------------------------------------------------------------- engines */

/* Gives every rank what all ranks give, one after the other in rank order: `bytes` each, the same number on
 * all, into `all`. */
typedef unisono_status (*unisono_exchange)(void *what, const void *mine, size_t bytes, void *all);

/* What carries data between machines, where the caller brings it. All of its functions return OK, or a status
 * that the communicator's users get; they may be called by several threads. Ranks are numbered within the
 * group. An operation is started, then tested until it is done; its buffers must stay until then, and in a
 * failure are left to the engine for ever. Operations of a group start in the same order on all its ranks,
 * send and recv apart; these match in order by peer and tag, of which there are few. `peer` is never the rank
 * itself. */
typedef struct {
  size_t struct_size; /* sizeof(unisono_engine) */
  const char *name;   /* for unisono_config.engine and UNISONO_ENGINE */
  void *self;         /* for open */

  /* All ranks of all machines connect. May wait for the others, in a thread that is left behind when that is
   * in vain. `exchange` may be used until it returns. */
  unisono_status (*open)(void *self, int rank, int size, unisono_exchange exchange, void *what, void **world);
  void (*close)(void *world); /* local */
  /* Called by the listed ranks alone, in that order; may wait for them. `tag` tells apart groups that have
   * ranks in common and are made at the same time. Groups last as long as the world. */
  unisono_status (*group)(void *world, const int *ranks, int n, int tag, void **group);

  unisono_status (*all_reduce)(
      void *group, void *buffer, size_t count, unisono_dtype, unisono_op,
      void **request); /* in place; not float16, bfloat16 and AVG; the same bits on all */
  unisono_status (*broadcast)(void *group, void *buffer, size_t bytes, int root, void **request);
  /* Rank i's bytes[i] bytes at displs[i] of everybody's buffer, in place. The arrays are the caller's. */
  unisono_status (*all_gather)(void *group, void *buffer, const size_t *bytes, const size_t *displs,
                               void **request);
  /* Done: the buffer is free, and what was sent arrives without further calls. */
  unisono_status (*send)(void *group, const void *buffer, size_t bytes, int peer, int tag, void **request);
  unisono_status (*recv)(void *group, void *buffer, size_t bytes, int peer, int tag, void **request);
  unisono_status (*test)(void *request, int *done); /* never waits; a request that was seen done is over */
  const char *(*last_error)(void *self);            /* words for this thread's last failure; may be NULL */
} unisono_engine;

/* From now on communicators of this process can use the engine, which is copied, with its name; `self` and
 * what the functions need must stay as long as the process. Errors: INVALID (a function or the name is
 * missing, or an engine has this name), MEMORY. */
UNISONO_API unisono_status unisono_engine_register(const unisono_engine *engine);

/* ---------------------------------------------------------------------------------- insight */

/* What the library found on this machine, for tools. The strings live as long as the process. */
typedef struct {
  size_t struct_size;                  /* in: sizeof(unisono_info) */
  const char *processor;               /* features found, as "avx2 f16c avx512f" */
  const char *isa;                     /* the kernels picked: "scalar", "avx2", "avx512", ... */
  const char *isa_reason;              /* why, in words */
  int processors;                      /* processors that this process may use (affinity and cgroup quota) */
  unsigned long long memory_available; /* bytes that may be reserved now, cgroup's limit counted */
  const char *memory_limit;            /* what sets that limit, in words */
  const char *costs;                   /* what the choice of algorithms rests on, and where it is from */
  const char *engines;                 /* between machines, one a line: "NAME: version, or what is missing" */
} unisono_info;

/* Fills in *info, whose struct_size the caller has set. Errors: INVALID. */
UNISONO_API unisono_status unisono_get_info(unisono_info *info);

#ifdef __cplusplus
}
#endif
#endif
