/* One collective call on all ranks of a communicator: its buffers, the call, and what must be in them after
 * it. Every rank can work out every other one's part from the same `struct call`. */
#ifndef TESTS_CALL_H
#define TESTS_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "buffers.h"
#include "reference.h"

enum collective {
  BARRIER,
  ALL_REDUCE,
  REDUCE,
  REDUCE_SCATTER,
  BROADCAST,
  ALL_GATHER,
  GATHER,
  SCATTER,
  ALL_TO_ALL,
  ALL_TO_ALLV,
  ALL_GATHERV,
  ALL_REDUCE_CACHED,
  COLLECTIVES
};

/* Where the ranks have their buffers. */
enum mix { MIX_PRIVATE, MIX_SHARED, MIX_REGISTERED, MIX_SEND_SHARED, MIX_RECV_SHARED, MIX_RANDOM, MIXES };

/* The same on all ranks. */
struct call {
  enum collective what;
  unisono_dtype dtype;
  unisono_op op;
  int root;
  size_t count; /* for the v-forms, counts are around it */
  bool in_place, aligned;
  enum mix mix;
  uint64_t seed; /* of the data, and of what differs between ranks */
};

/* One rank's part in a call that was prepared. */
struct part {
  struct call call;
  unisono_comm *comm;
  int rank, size;
  struct buffer send, recv;          /* in place: `recv` is all of it */
  void *send_at, *recv_at;           /* what the library is given */
  size_t *send_counts, *send_displs; /* v-forms only */
  size_t *recv_counts, *recv_displs;
  unsigned char *send_expected, *recv_expected; /* of the whole buffers */
};

bool collective_reduces(enum collective what);
bool collective_has_root(enum collective what);
bool collective_has_place(enum collective what); /* there is an in-place form */
const char *collective_name(enum collective what);

/* How much is done for one call, in elements: to keep the tests short. */
size_t call_work(const struct call *call, int size);

/* A call with everything but `what` and the upper limit of the work random. */
struct call call_random(enum collective what, int size, size_t most_work, uint64_t *random);

void call_prepare(struct part *part, const struct call *call, unisono_comm *comm);

/* Blocking without `request`. */
unisono_status call_issue(struct part *part, unisono_request **request);

/* Fails the test unless every byte is as it must be. */
void call_check(const struct part *part);
void call_free(struct part *part);

/* All four. */
void call_run(const struct call *call, unisono_comm *comm);

#endif
