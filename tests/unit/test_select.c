/* The choice between machines: what it must never depend on, and which way it leans. */
#include <stdlib.h>

#include "check.h"
#include "collectives/run.h"
#include "collectives/select.h"
#include "comm.h"
#include "machines/swap.h"

/* the parts of select.c that are of one machine ask for it */
void uni_stage_begin(unisono_comm *comm, size_t room) {
  (void)comm, (void)room;
  abort();
}

enum { KI = 1 << 10, MI = 1 << 20 };

static struct uni_carrier carrier;

static struct uni_span span_of(int machines, int columns) {
  return (struct uni_span){
      .carrier = &carrier, .machines = machines, .columns = columns, .link = uni_link_default};
}

/* A network that is a thousand times as fast, or as slow. */
static struct uni_link link_of(uint64_t latency, uint64_t column, uint64_t line) {
  struct uni_link link = uni_link_default;
  link.latency = latency;
  link.column = column;
  link.line = line;
  return link;
}

/* The same call gives the same bits in every run, so its grouping must not follow what was measured. */
static void check_grouping(void) {
  for (int machines = 2; machines <= 200; machines++)
    for (size_t bytes = 4; bytes <= 64 * MI; bytes *= 4) {
      struct uni_span usual = span_of(machines, 4), fast = usual, slow = usual;
      fast.link = link_of(20000, 0, 1);
      slow.link = link_of(20000000000, 10000000000, 51200000);
      bool swaps = uni_select_swaps(&usual, bytes);
      CHECK(swaps == uni_select_swaps(&fast, bytes) && swaps == uni_select_swaps(&slow, bytes));
      if (swaps)
        continue;
      CHECK(uni_select_reducers(&fast, bytes, false) == uni_select_reducers(&slow, bytes, false));
      CHECK(uni_select_piece(&fast, bytes, false) == uni_select_piece(&slow, bytes, false));
    }
}

static void check_swaps(void) {
  struct uni_span two = span_of(2, 2), four = span_of(4, 2), many = span_of(64, 2), most = span_of(1000, 2);
  CHECK(uni_select_swaps(&two, 64 * MI));
  CHECK(uni_select_swaps(&four, 4 * KI) && !uni_select_swaps(&four, 64 * MI));
  CHECK(uni_select_swaps(&many, 100) && !uni_select_swaps(&many, 4 * KI));
  CHECK(!uni_select_swaps(&most, 8) && uni_select_rider(1000) == 0);
  carrier.forced = true; /* the engine shall do it */
  CHECK(!uni_select_swaps(&two, 64 * KI) && uni_select_swaps(&two, 100));
  carrier.forced = false;
}

static void check_columns(void) {
  struct uni_span span = span_of(2, 8);
  int before = 1;
  for (size_t bytes = 64; bytes <= 64 * MI; bytes *= 2) {
    int columns = uni_select_columns(&span, bytes);
    CHECK(columns >= before && (columns == 1 || columns == 8));
    before = columns;
  }
  CHECK(before == 8);
  span.link.column = UINT64_C(1) << 56; /* each message of its own costs more than all copying */
  CHECK(uni_select_columns(&span, 64 * MI) == 1);
}

static void check_pieces(void) {
  for (int columns = 1; columns <= 64; columns *= 4)
    for (size_t bytes = 1; bytes < 256 * MI; bytes = bytes * 3 + 1) {
      struct uni_span span = span_of(2, columns);
      size_t piece = uni_select_piece(&span, bytes, true);
      CHECK(piece > 0 && piece % 64 == 0 && piece <= (size_t)MI * (size_t)columns);
      span.link.latency *= 100;
      CHECK(uni_select_piece(&span, bytes, true) >= piece); /* dear steps: fewer of them */
    }
}

/* The step that one shot saves costs a switch for each further rank of a processor. */
static void check_crowded(void) {
  struct uni_world world = {.settings = {.crowded = true, .processors = 2}};
  unisono_comm comm = {.world = &world, .size = 4};
  struct uni_call call = {.kind = UNI_ALL_REDUCE, .block = 16 * KI};
  world.settings.costs.ps[UNI_COST_READ] = 1800;
  world.settings.costs.ps[UNI_COST_FOLD] = 1100;
  CHECK(uni_select_one_shot(&comm, &call) && uni_select_hides(&comm, &call));
  call.block = 64 * KI;
  CHECK(!uni_select_one_shot(&comm, &call) && !uni_select_hides(&comm, &call));
  struct uni_call gather = {.kind = UNI_ALL_GATHER, .block = 16 * KI}, varied = {.kind = UNI_ALL_GATHERV};
  CHECK(uni_select_hides(&comm, &gather) && !uni_select_hides(&comm, &varied));
  gather.block = 32 * KI;
  CHECK(!uni_select_hides(&comm, &gather));
  world.settings.processors = 3;
  call.block = 16 * KI;
  CHECK(!uni_select_one_shot(&comm, &call));
}

/* Two ranks with a processor each trade their slots, whatever was measured; what goes from a root or to it
 * rides where a line costs little. */
static void check_inline(void) {
  static struct uni_world world = {.settings = {.algorithm = UNI_AUTO}};
  unisono_comm comm = {.size = 2, .is_pair = true, .world = &world};
  size_t dear[UNI_KINDS], cheap[UNI_KINDS];
  uint32_t *ps = world.settings.costs.ps;
  ps[UNI_COST_TURN] = 200000;
  ps[UNI_COST_WRITE] = ps[UNI_COST_READ] = 50000;
  uni_select_inline(&comm, dear);
  ps[UNI_COST_WRITE] = ps[UNI_COST_READ] = 1500;
  uni_select_inline(&comm, cheap);
  const enum uni_kind traded[] = {UNI_ALL_REDUCE, UNI_REDUCE_SCATTER, UNI_ALL_GATHER, UNI_ALL_TO_ALL};
  for (size_t i = 0; i < sizeof traded / sizeof *traded; i++)
    CHECK(dear[traded[i]] == UNI_INLINE_MAX + 1 && cheap[traded[i]] == UNI_INLINE_MAX + 1);
  CHECK(dear[UNI_BROADCAST] < KI && cheap[UNI_BROADCAST] == UNI_INLINE_MAX + 1);
  CHECK(dear[UNI_SCATTER] < KI / 2 && cheap[UNI_SCATTER] == UNI_ROOM_PAYLOAD / 2 + 1);
  comm.is_pair = false;
  world.settings.crowded = true;
  uni_select_inline(&comm, dear);
  CHECK(dear[UNI_ALL_GATHER] == UNI_INLINE_MAX + 1 && dear[UNI_ALL_TO_ALL] == UNI_INLINE_MAX / 2 + 1);
}

/* Chunks fill rooms of lines, as few as can be, and no last one is much shorter than the others. */
static void check_chunks(void) {
  enum { ROOM = 128 * KI, TRADED = 37440 };
  static struct uni_world world;
  struct uni_lane lane = {0};
  unisono_comm comm = {.world = &world, .size = 8, .layout = {.stage_bytes = ROOM, .traded_bytes = TRADED}};
  struct uni_call call = {.kind = UNI_ALL_TO_ALL};
  comm.run.lanes = &lane;
  for (int trades = 0; trades < 2; trades++)
    for (size_t bytes = 1; bytes < 2 * MI; bytes += bytes / 9 + 1) {
      size_t most = trades ? TRADED : ROOM / 7 / UNI_LINE * UNI_LINE, chunks = (bytes + most - 1) / most;
      comm.run.plan.trades = trades;
      lane.bytes = bytes;
      size_t chunk = uni_select_staged_chunk(&comm, &call);
      CHECK(chunk % UNI_LINE == 0 && chunk <= most && (chunks - 1) * chunk < bytes &&
            bytes <= chunks * chunk);
      CHECK(bytes - (chunks - 1) * chunk + chunks * UNI_LINE >= chunk);
    }
}

/* What is sent to each of few ranks that share processors goes to a room for each, if it fits. */
static void check_trades(void) {
  static struct uni_world world = {.settings = {.crowded = true}};
  struct uni_lane lane = {.bytes = 128 * KI};
  unisono_comm comm = {.world = &world, .size = 4, .layout = {.traded_bytes = 128 * KI}};
  struct uni_call gather = {.kind = UNI_ALL_GATHER}, scatter = {.kind = UNI_ALL_TO_ALL};
  comm.run.lanes = &lane;
  CHECK(uni_select_trades(&comm, &gather));
  lane.bytes++;
  CHECK(!uni_select_trades(&comm, &gather) && uni_select_trades(&comm, &scatter));
  comm.size = 3;
  CHECK(uni_select_trades(&comm, &gather));
  comm.size = 5;
  lane.bytes = 64;
  CHECK(!uni_select_trades(&comm, &gather) && uni_select_trades(&comm, &scatter));
  world.settings.crowded = false;
  comm.size = 3;
  CHECK(!uni_select_trades(&comm, &gather));
}

int main(void) {
  check_chunks();
  check_trades();
  check_inline();
  check_grouping();
  check_swaps();
  check_columns();
  check_crowded();
  check_pieces();
  return 0;
}
