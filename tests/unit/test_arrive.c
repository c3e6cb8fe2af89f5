/* Where arrival lines and payloads lie: a pair trades them, others have slots that come round. */
#include <stdlib.h>

#include "algorithms/inline.h"
#include "check.h"

enum { RANKS = 3, OPERATIONS = 16 };

static struct uni_place places[RANKS];

/* what inline.h may ask for, and does not here */
void uni_stage_map(unisono_comm *comm) {
  (void)comm;
  abort();
}

static unisono_comm comm_of(int size, bool is_pair) {
  return (unisono_comm){.size = size, .is_pair = is_pair, .places = places};
}

static unsigned char *payload_of(unisono_comm *comm, struct uni_call call, uint64_t sequence, int rank) {
  return uni_inline_of(comm, &call, sequence, rank);
}

/* A rank writes where it has read the operation before, and nobody writes anywhere else. */
static void check_pair(void) {
  unisono_comm comm = comm_of(2, true);
  struct uni_call all = {.kind = UNI_ALL_REDUCE, .block = UNI_INLINE_MAX};
  for (uint64_t s = 2; s < OPERATIONS; s++)
    for (int r = 0; r < 2; r++) {
      CHECK(uni_line_of(&comm, r, s) == uni_line_of(&comm, 1 - r, s - 1));
      CHECK(uni_line_of(&comm, r, s) != uni_line_of(&comm, 1 - r, s));
      CHECK(payload_of(&comm, all, s, r) == payload_of(&comm, all, s - 1, 1 - r));
      CHECK(payload_of(&comm, all, s, r) == (unsigned char *)uni_line_of(&comm, r, s) + UNI_LINE);
    }
}

/* What has a root is in its own slots, and its line is traded all the same. */
static void check_rooted(void) {
  unisono_comm comm = comm_of(2, true);
  struct uni_call large = {.kind = UNI_BROADCAST, .block = 512}, small = {.kind = UNI_BROADCAST, .block = 8};
  for (uint64_t s = 2; s < OPERATIONS; s++)
    for (int r = 0; r < 2; r++) {
      unsigned char *payload = payload_of(&comm, large, s, r);
      CHECK(payload > (unsigned char *)&places[r] && payload < (unsigned char *)&places[r + 1]);
      CHECK(payload != payload_of(&comm, large, s - 1, r));
      CHECK(payload_of(&comm, small, s, r) == uni_line_of(&comm, r, s)->payload);
    }
}

/* The slot of the operation before, and of the two before that, is another one. */
static void check_many(void) {
  unisono_comm comm = comm_of(RANKS, false);
  for (uint64_t s = UNI_SLOTS; s < OPERATIONS; s++)
    for (int r = 0; r < RANKS; r++) {
      CHECK(uni_line_of(&comm, r, s) == uni_line_of(&comm, r, s - UNI_SLOTS));
      for (uint64_t back = 1; back < UNI_SLOTS; back++)
        CHECK(uni_line_of(&comm, r, s) != uni_line_of(&comm, r, s - back));
      CHECK(uni_line_of(&comm, r, s) != uni_line_of(&comm, (r + 1) % RANKS, s));
    }
}

/* A root that ran ahead may arrive before it has taken in the last lines, but not one of a pair. */
static void check_ahead(void) {
  struct uni_call call = {.kind = UNI_BROADCAST, .block = 8};
  for (int is_pair = 0; is_pair < 2; is_pair++) {
    unisono_comm comm = comm_of(is_pair ? 2 : RANKS, is_pair);
    for (int kind = 0; kind < UNI_KINDS; kind++)
      comm.run.inline_ends[kind] = UNI_INLINE_MAX;
    comm.run.met = 5;
    CHECK(uni_may_arrive(&comm, &call, 6));
    CHECK(uni_may_arrive(&comm, &call, 7) == !is_pair);
    call.block = UNI_ROOM_PAYLOAD;
    CHECK(!uni_may_arrive(&comm, &call, 7));
    call.block = 8;
  }
}

int main(void) {
  check_pair();
  check_rooted();
  check_many();
  check_ahead();
  return 0;
}
