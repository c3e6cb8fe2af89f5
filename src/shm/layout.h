/* The shared segment of a communicator: who writes what, and who reads it.
 *
 *   header                      the first cause of a failure, set once by whoever finds it
 *   ranks[size]                 one struct uni_place a rank, written by that rank alone, but for its doorbell
 *                               and the slot of a pair
 *   counts[size][4*size]        the v-collectives' arrays, by rank
 *   channels[size][size]        point to point, by sender and receiver
 *   rings[size][size]           their lines, written by the sender
 *   stages[size][lanes][2]      private data on its way, and results, written by its rank, or results that
 *                               peers return where they have read that data
 *   traded[size][lanes][size-1][UNI_TRADED_ROOMS]
 *                               the same between pairs of ranks, which trade these rooms: see steps.h
 *
 * All of it is zero at first. Sequence numbers and steps only grow, so nothing is ever set back. */
#ifndef UNI_SHM_LAYOUT_H
#define UNI_SHM_LAYOUT_H

#include <stdatomic.h>
#include <stdint.h>

#include "shm/handover.h"
#include "shm/memory.h"
#include "topology.h"

enum {
  UNI_LINE = 64,           /* bytes that travel together */
  UNI_SLOTS = 4,           /* arrival lines a rank, used in turn: see arrive.h */
  UNI_HEADER_PAYLOAD = 32, /* inline payload that rides in the arrival line itself */
  UNI_SLOT_PAYLOAD = 1408, /* behind it in the slot */
  UNI_ROOMS = 2,           /* for larger ones, used in turn */
  UNI_ROOM_PAYLOAD = 4096,
  UNI_INLINE_MAX = 8192, /* in the stage, or in the slot of a pair */
  UNI_TRADED_ROOMS = 2,  /* chunks of a pair that are alive at a time */
  UNI_TEXT = 320
};

/* How a rank enters a collective. The stamp is stored last (release) and loaded first (acquire): who sees it
 * sees the rest of the line and the payload. */
struct uni_arrival {
  _Atomic uint64_t stamp; /* sequence number of the operation, from 1 */
  uint64_t call;          /* kind, type, op and root: see arrive.h */
  uint64_t count;
  uint64_t match; /* hash of the match id */
  union {
    struct {
      struct uni_ref send, recv; /* recv: what peers may write; else none */
    };
    unsigned char payload[UNI_HEADER_PAYLOAD];
  };
};
_Static_assert(sizeof(struct uni_arrival) == UNI_LINE, "an arrival is one line");

struct uni_slot {
  _Alignas(UNI_LINE) struct uni_arrival arrival;
  _Alignas(UNI_LINE) unsigned char payload[UNI_SLOT_PAYLOAD + UNI_LINE]; /* the last line is only ever read */
};

/* The slot of a pair's rank. */
struct uni_traded_slot {
  _Alignas(UNI_LINE) struct uni_arrival arrival;
  _Alignas(UNI_LINE) unsigned char payload[UNI_INLINE_MAX + UNI_LINE];
};

struct uni_room {
  _Alignas(UNI_LINE) unsigned char payload[UNI_ROOM_PAYLOAD + UNI_LINE];
};

/* What one rank publishes. */
struct uni_place {
  struct uni_traded_slot traded; /* of a pair, whose ranks write to it in turn: see arrive.h */
  struct uni_slot slots[UNI_SLOTS];
  struct uni_room rooms[UNI_ROOMS];
  _Alignas(UNI_LINE) _Atomic uint32_t sleepers; /* threads of this rank about to sleep or asleep */
  _Atomic uint32_t bell;                        /* they sleep on it; peers add 1 to wake them */
  _Alignas(UNI_LINE) _Atomic uint32_t left;     /* this rank has destroyed the communicator */
  _Atomic uint32_t regroup;                     /* how often this rank has called shrink */
  _Alignas(UNI_LINE) char text[UNI_TEXT];       /* words to the cause, if this rank found it */
  _Alignas(UNI_LINE) struct uni_handover_reads reads;
  uint32_t domains[UNI_LEVELS]; /* where this rank is; written before the communicator is there */
};

struct uni_step {
  _Alignas(UNI_LINE) _Atomic uint64_t done; /* steps that this lane of this rank has finished, ever */
};

enum { UNI_ANSWERS = 6 }; /* as many as a line holds beside two counters */

/* Sender to receiver: the counters of a ring of lines, and what the receiver has to say back. */
struct uni_channel {
  /* by the sender */
  _Alignas(UNI_LINE) _Atomic uint64_t head; /* lines written */
  _Atomic uint64_t heard;                   /* answers read */
  /* by the receiver */
  _Alignas(UNI_LINE) _Atomic uint64_t tail; /* lines read */
  _Atomic uint64_t said;                    /* answers written */
  _Atomic uint64_t answers[UNI_ANSWERS];    /* to large messages, in turn: ticket << 1 | taken */
};

struct uni_header {
  _Atomic uint64_t magic; /* stored last by who makes the segment */
  uint64_t id;
  uint32_t size, lanes;
  uint64_t stage_bytes;                          /* the largest chunk */
  _Alignas(UNI_LINE) _Atomic uint64_t cause;     /* 0, or the first failure: see comm.c */
  _Atomic uint32_t sleepers;                     /* threads of all ranks about to sleep or asleep */
  _Alignas(UNI_LINE) _Atomic uint64_t survivors; /* who decided on them in shrink: attempt << 32 | rank + 1 */
};

/* Where the parts of a segment for `size` ranks and `lanes` lanes begin. */
struct uni_layout {
  uint32_t size, lanes;
  size_t stage_bytes;  /* the largest chunk in a stage */
  size_t traded_bytes; /* the same in a room that a pair trades */
  size_t stage_ring;   /* a stage: some chunks, one behind the other */
  size_t ring_bytes;   /* a power of two */
  size_t ranks, places, steps, counts, survivors, channels, rings, stages, traded, total; /* offsets */
};

struct uni_layout uni_layout_of(uint32_t size, uint32_t lanes);

static inline size_t uni_whole_lines(size_t bytes) {
  return (bytes + UNI_LINE - 1) / UNI_LINE * UNI_LINE;
}

#endif
