/* Where the parts of a chunk are staged: rooms that a pair trades are written by who has read them last. */
#include <stdlib.h>

#include "algorithms/steps.h"
#include "check.h"
#include "comm.h"

enum { RANKS = 4, OPERATIONS = 200, ROOMS = UNI_TRADED_ROOMS };

static struct uni_segment segment;
static unisono_comm comm;
static struct uni_lane lane;

static char *place(int sender, int reader, uint64_t chunk) {
  struct uni_chunk c = {.index = chunk};
  struct uni_part part = {.bytes = 1};
  return uni_stage_part(&comm, &lane, &c, sender, reader, &part);
}

static char *last_read[RANKS][RANKS][ROOMS]; /* by a rank, from another */

static void read_chunk(uint64_t chunk) {
  for (int sender = 0; sender < RANKS; sender++)
    for (int reader = 0; reader < RANKS; reader++)
      if (sender != reader)
        last_read[reader][sender][chunk % ROOMS] = place(sender, reader, chunk);
}

static void check_traded(uint64_t chunk) {
  for (int sender = 0; sender < RANKS; sender++)
    for (int reader = 0; reader < RANKS; reader++)
      if (sender != reader)
        CHECK(place(sender, reader, chunk) == last_read[sender][reader][chunk % ROOMS]);
}

/* Nobody else's: the rooms of all pairs are apart, within the segment. */
static void check_apart(void) {
  size_t room = comm.layout.traded_bytes;
  char *all[RANKS * (RANKS - 1) * ROOMS];
  int n = 0;
  for (int sender = 0; sender < RANKS; sender++)
    for (int reader = 0; reader < RANKS; reader++)
      for (uint64_t chunk = 0; sender != reader && chunk < ROOMS; chunk++)
        all[n++] = place(sender, reader, chunk);
  for (int i = 0; i < n; i++) {
    CHECK(all[i] >= segment.base + comm.layout.traded && all[i] + room <= segment.base + comm.layout.total);
    for (int k = 0; k < i; k++)
      CHECK(all[i] + room <= all[k] || all[k] + room <= all[i]);
  }
}

/* For every number of ranks and lanes a room holds lines, what a peer's part of a stage's chunk takes at
 * least, and no more than the chunk; and all of them are within the segment. */
static void check_layouts(void) {
  for (uint32_t n = 2; n <= 64; n++)
    for (uint32_t lanes = 1; lanes <= 64; lanes *= 2) {
      struct uni_layout l = uni_layout_of(n, lanes);
      CHECK(l.traded_bytes >= UNI_LINE && l.traded_bytes % UNI_LINE == 0 && l.traded_bytes <= l.stage_bytes);
      CHECK(l.traded_bytes + UNI_LINE > l.stage_bytes / (n - 1));
      CHECK(l.traded + (size_t)n * lanes * (n - 1) * UNI_TRADED_ROOMS * l.traded_bytes <= l.total);
    }
}

/* A rank writes where it has read what the other staged in that room before. */
int main(void) {
  check_layouts();
  comm.size = RANKS;
  comm.layout = uni_layout_of(RANKS, 1);
  comm.segment = &segment;
  comm.run.lanes = &lane;
  comm.run.call.kind = UNI_ALL_TO_ALL;
  comm.run.plan = (struct uni_plan){.trades = true, .algorithm = UNI_STAGED, .turns = 4};
  segment.base = malloc(comm.layout.total);
  for (int i = 0; i < OPERATIONS; i++) {
    lane.chunks = 1 + (uint64_t)(i * 7 % 5);
    check_apart();
    for (uint64_t chunk = 0; chunk < lane.chunks; chunk++) {
      if (last_read[0][1][chunk % ROOMS])
        check_traded(chunk);
      read_chunk(chunk);
    }
    uni_stage_advance(&comm);
  }
  free(segment.base);
  return 0;
}
