#include "shm/layout.h"

enum { STAGE_MOST = 128 << 10, STAGE_LEAST = 16 << 10, STAGE_ALL = 2 << 20, STAGE_RING = 2 << 20, FEW = 4 };
enum { RING_MOST = 32 << 10, RING_LEAST = 4 << 10, RING_ALL = 4 << 20 };

static size_t place(size_t *total, size_t bytes) {
  size_t at = (*total + 4095) / 4096 * 4096;
  *total = at + bytes;
  return at;
}

/* A chunk is large enough to make its barrier cheap, and small enough that all ranks' chunks stay in the
 * caches: 128 KiB for few ranks, less for many. */
static size_t stage_bytes(size_t ranks, size_t lanes) {
  size_t bytes = STAGE_ALL / (ranks * lanes) / 4096 * 4096;
  size_t least = ranks * UNI_LINE > STAGE_LEAST ? ranks * UNI_LINE : STAGE_LEAST; /* a line for each peer */
  return bytes > STAGE_MOST ? STAGE_MOST : bytes < least ? (least + 4095) / 4096 * 4096 : bytes;
}

/* As large as a stage's chunk, if all pairs' rooms then stay in the caches; else at least what a peer's part
 * of such a chunk takes. */
static size_t traded_bytes(size_t ranks, size_t lanes, size_t chunk) {
  size_t others = ranks > 1 ? ranks - 1 : 1, bytes = STAGE_ALL / (ranks * others * lanes);
  bytes = bytes < chunk ? bytes : chunk;
  bytes = bytes > chunk / others ? bytes : chunk / others;
  return bytes / UNI_LINE * UNI_LINE;
}

/* A stage has room for at least four chunks, as uni_stage_begin wants it. For few ranks it is so large that a
 * line has left the nearest caches when its turn comes again: a store to a line that is there, and in the
 * reader's cache too, waits until the reader's copy is given up, one line after the other. */
static size_t stage_ring(size_t ranks, size_t lanes, size_t chunk) {
  return ranks * lanes <= FEW ? STAGE_RING : 4 * chunk;
}

/* Rings are smaller where they are many. */
static size_t ring_bytes(size_t channels) {
  size_t bytes = RING_MOST;
  while (bytes > RING_LEAST && bytes * channels > RING_ALL)
    bytes /= 2;
  return bytes;
}

struct uni_layout uni_layout_of(uint32_t size, uint32_t lanes) {
  struct uni_layout l = {.size = size, .lanes = lanes};
  size_t n = size, total = 0;
  l.stage_bytes = stage_bytes(n, lanes);
  l.traded_bytes = traded_bytes(n, lanes, l.stage_bytes);
  l.stage_ring = stage_ring(n, lanes, l.stage_bytes);
  l.ring_bytes = ring_bytes(n * n);
  place(&total, sizeof(struct uni_header));
  l.ranks = place(&total, n * sizeof(uint32_t));
  l.places = place(&total, n * sizeof(struct uni_place));
  l.steps = place(&total, n * lanes * sizeof(struct uni_step));
  l.counts = place(&total, n * 4 * n * sizeof(uint64_t));
  l.survivors = place(&total, n * ((n + 63) / 64) * sizeof(uint64_t));
  l.channels = place(&total, n * n * sizeof(struct uni_channel));
  l.rings = place(&total, n * n * l.ring_bytes);
  l.stages = place(&total, n * lanes * 2 * l.stage_ring);
  l.traded = place(&total, n * lanes * (n - 1) * UNI_TRADED_ROOMS * l.traded_bytes);
  l.total = (total + 4095) / 4096 * 4096;
  return l;
}
