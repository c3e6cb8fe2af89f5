#include "collectives/select.h"

#include "algorithms/steps.h"
#include "collectives/refs.h"
#include "comm.h"
#include "machines/swap.h"

enum {
  LANE_BYTES = 64 << 10,    /* a thread is worth its synchronisation from here on */
  AHEAD = 1 << 20,          /* who is read from by ranks that share its processor runs ahead so far */
  RECLAIMS_UNTIL = 1 << 20, /* two buffers of it do not stay in the nearest caches */
  RETURNED_TO = 8           /* ranks */
};

static size_t least(size_t a, size_t b) {
  return a < b ? a : b;
}

/* One at least. */
static size_t whole_lines(size_t bytes) {
  return uni_whole_lines(bytes ? bytes : 1);
}

/* ---- the cost model: where two algorithms take the same time. docs/performance.md has the formulas. In
 * whole numbers: floating point would follow the rounding mode of each rank's caller, and all have to choose
 * alike. */

struct price { /* of a step, and of a line of data; picoseconds */
  uint64_t turn, write, read, fold;
};

static uint64_t processors_of(const unisono_comm *comm) {
  int processors = comm->world->settings.processors;
  return processors > 1 ? (uint64_t)processors : 1;
}

/* Where ranks share processors, in a step each processor switches from rank to rank until it has run all of
 * its own, and all else is little. */
static uint64_t crowded_turn(const unisono_comm *comm) {
  const uint64_t a_switch = 2500000;
  uint64_t processors = processors_of(comm);
  uint64_t ranks = (uint64_t)comm->size, more = ranks > processors ? ranks - processors : 0;
  uint64_t turn = a_switch * more / processors;
  return turn > a_switch / 2 ? turn : a_switch / 2;
}

static struct price price_of(const unisono_comm *comm) {
  const uint32_t *ps = comm->world->settings.costs.ps;
  uint64_t turn = comm->world->settings.crowded ? crowded_turn(comm) : ps[UNI_COST_TURN];
  return (struct price){turn, ps[UNI_COST_WRITE], ps[UNI_COST_READ], ps[UNI_COST_FOLD]};
}

/* What is not reduced, and has no root. */
static bool goes_between_pairs(enum uni_kind kind) {
  return !uni_kind_shares_result(kind) && !uni_kind_has_root(kind);
}

/* Bytes at which what `fixed` costs more is made up for by what a line costs less. */
static size_t crossing(uint64_t fixed, uint64_t line) {
  return line ? (size_t)(fixed / line) * UNI_LINE : SIZE_MAX;
}

/* Inline, every rank writes its block, reads all others' and folds all. Where the buffers turn out to be
 * shared, a rank reads its slice of each, writes it to each, and folds no more; for that it takes two turns.
 * Where two ranks that share processors trade rooms, lines go one way only, for the work of a plan, as if
 * that were half a turn; of what is scattered the peer reads a half. */
static size_t inline_until(const unisono_comm *comm, enum uni_kind kind) {
  struct price p = price_of(comm);
  uint64_t n = (uint64_t)comm->size, others = n - 1;
  if (n == 2 && goes_between_pairs(kind))
    return crossing(p.turn / 2, p.write + p.read) * (uni_kind_scatters(kind) ? 2 : 1);
  if (!uni_kind_shares_result(kind))
    return crossing(2 * p.turn, p.write); /* a copy that a shared buffer does not need */
  return crossing(2 * p.turn * n, p.write + p.read * others * others + p.fold * others * n);
}

/* In one shot, every rank reads and folds everything, else a slice, and reads the others' results: which is a
 * step more. What it begins with, the readers' processors hold: it takes the time of several. Where results
 * return, nobody waits for that; two ranks in one shot trade rooms, and each folds twice as much, for a step
 * less in which lines go back. */
static size_t one_shot_until(const unisono_comm *comm) {
  struct price p = price_of(comm);
  uint64_t n = (uint64_t)comm->size, others = n - 1;
  uint64_t step = comm->world->settings.crowded ? p.turn : 4 * p.turn;
  if (n < 2)
    return 0;
  if (comm->is_pair)
    return crossing(2 * p.turn, p.fold);
  return crossing(step * n, others * (p.read * (n - 2) + p.fold * n));
}

/* A line of data through all ranks, flat: near are the k - 1 others of the group, far the n - k outside. */
static uint64_t flat_line(const unisono_comm *comm, enum uni_kind kind, uint64_t near, uint64_t far) {
  uint64_t n = (uint64_t)comm->size, k = (uint64_t)comm->groups.size;
  uint64_t all = (k - 1) * near + (n - k) * far;
  return kind == UNI_ALL_GATHER ? all : kind == UNI_BROADCAST ? far : 2 * all / n;
}

/* By levels: a share of it comes from afar, and is written once more for the others of the group. */
static uint64_t levels_line(const unisono_comm *comm, enum uni_kind kind, uint64_t near, uint64_t far,
                            uint64_t write) {
  uint64_t k = (uint64_t)comm->groups.size, others = (uint64_t)comm->groups.count - 1;
  if (kind == UNI_ALL_GATHER)
    return (k - 1) * near + others * (far + write + (k - 1) * near);
  uint64_t spread = ((k - 1) * near + far + write) / k;
  return kind == UNI_BROADCAST ? spread : 2 * spread;
}

/* By levels it takes some steps more, in which chunks follow each other. */
static bool levels_win(const unisono_comm *comm, const struct uni_call *call, size_t chunk) {
  const struct uni_reach *reach = &comm->world->settings.reach;
  struct price p = price_of(comm);
  uint64_t lines = call->block / UNI_LINE, chunks = call->block / chunk + 1;
  uint64_t steps = uni_levels_steps(comm, call->kind), flat_steps = call->kind == UNI_ALL_REDUCE ? 2 : 1;
  uint64_t flat = lines * flat_line(comm, call->kind, reach->near, reach->far);
  uint64_t levels = lines * levels_line(comm, call->kind, reach->near, reach->far, p.write);
  return reach->far && flat > levels + levels / chunks * (steps - flat_steps) + (chunks + steps) * p.turn;
}

/* ---- what follows from it */

/* The bytes that one rank may write behind its line. */
static size_t most_inline(const unisono_comm *comm, enum uni_kind kind) {
  bool is_large = comm->world->settings.crowded || kind == UNI_BROADCAST; /* whose root does not wait */
  size_t room = is_large ? UNI_INLINE_MAX : UNI_ROOM_PAYLOAD;
  switch (comm->world->settings.algorithm) {
  case UNI_INLINE:
    return UNI_INLINE_MAX;
  case UNI_AUTO:
    if (uni_comm_trades(comm, kind)) /* lines go one way by any algorithm, and inline with the least work */
      return UNI_INLINE_MAX;
    room = least(room, inline_until(comm, kind));
    return room < UNI_HEADER_PAYLOAD ? UNI_HEADER_PAYLOAD : room;
  default:
    return 0;
  }
}

/* That a rank writes. */
static size_t inline_blocks(const unisono_comm *comm, enum uni_kind kind) {
  return uni_kind_scatters(kind) && !uni_comm_trades(comm, kind) ? (size_t)comm->size : 1;
}

void uni_select_inline(const unisono_comm *comm, size_t ends[UNI_KINDS]) {
  for (int kind = 0; kind < UNI_KINDS; kind++)
    ends[kind] = 1 + most_inline(comm, (enum uni_kind)kind) / inline_blocks(comm, (enum uni_kind)kind);
  ends[UNI_ALL_TO_ALLV] = ends[UNI_ALL_GATHERV] = 0; /* the ranks' blocks differ */
}

bool uni_select_one_shot(const unisono_comm *comm, const struct uni_call *call) {
  enum uni_algorithm forced = comm->world->settings.algorithm;
  if (call->kind != UNI_ALL_REDUCE)
    return false;
  return forced == UNI_ONE_SHOT || (forced == UNI_AUTO && call->block < one_shot_until(comm));
}

/* As many as are alive at a time, and one more, fit into a stage. */
static size_t levels_chunk(const unisono_comm *comm, enum uni_kind kind) {
  size_t chunk = comm->layout.stage_ring / (uni_levels_alive(comm, kind) + 1) / uni_levels_rooms(comm, kind);
  size_t most = comm->layout.stage_bytes / uni_levels_rooms(comm, kind);
  return least(chunk, most) / 4096 * 4096;
}

bool uni_select_by_levels(const unisono_comm *comm, const struct uni_call *call) {
  enum uni_algorithm forced = comm->world->settings.algorithm;
  bool is_asked = forced == UNI_BY_LEVELS || (forced == UNI_AUTO && !comm->world->settings.crowded);
  if (!is_asked || !uni_levels_serve(comm, call) || levels_chunk(comm, call->kind) == 0)
    return false;
  return forced == UNI_BY_LEVELS || levels_win(comm, call, levels_chunk(comm, call->kind));
}

uint32_t uni_select_lanes(const unisono_comm *comm, size_t total) {
  size_t lanes = total / LANE_BYTES;
  return lanes <= 1 ? 1 : lanes < comm->layout.lanes ? (uint32_t)lanes : comm->layout.lanes;
}

/* Do results go back into the stages that their inputs came from? A line that is read, written and read again
 * by two ranks in turn goes from one cache to the other, and its store waits for nobody. But who folds writes
 * to each of many ranks what they else read in one place. */
static bool results_return(const unisono_comm *comm) {
  return comm->is_pair || (comm->world->settings.crowded && comm->size <= RETURNED_TO);
}

/* All that is staged has the root at one of its ends. */
static bool is_rooted_copy(enum uni_kind kind) {
  return uni_kind_has_root(kind) && !uni_kind_shares_result(kind);
}

bool uni_select_hands_over(const unisono_comm *comm, enum uni_kind kind) {
  return comm->is_pair && is_rooted_copy(kind);
}

/* Few ranks that share processors trade rooms for what all of them read, too, and write it to each: their
 * stores do not wait for the readers then. More of four ranks' copies than a room holds would not stay in the
 * nearest caches. */
static bool spreads(const unisono_comm *comm, const struct uni_call *call) {
  return call->kind == UNI_ALL_GATHER && comm->world->settings.crowded &&
         (comm->size == 3 || (comm->size == 4 && comm->run.lanes[0].bytes <= comm->layout.traded_bytes));
}

bool uni_select_trades(const unisono_comm *comm, const struct uni_call *call) {
  if (uni_kind_shares_result(call->kind))
    return comm->size == 2 && comm->run.plan.one_shot;
  if (comm->run.plan.by_levels || !goes_between_pairs(call->kind))
    return false;
  return comm->size == 2 || uni_kind_scatters(call->kind) || spreads(comm, call);
}

/* Is the step that shared buffers cost, where ranks share processors, dearer than to copy what goes to the
 * peers, for all ranks of a processor? */
static bool copies_are_cheaper(const unisono_comm *comm, const struct uni_call *call) {
  const uint64_t line = 1500; /* picoseconds, into rooms whose lines are in the own caches */
  uint64_t ranks = (uint64_t)comm->size, processors = processors_of(comm);
  uint64_t sharing = (ranks + processors - 1) / processors;
  return call->block * (size_t)(ranks - 1) <= crossing(crowded_turn(comm), line * sharing);
}

/* By way of the stages no rank has to wait until the others are through with its buffers: a step less. */
bool uni_select_hides(const unisono_comm *comm, const struct uni_call *call) {
  if (comm->world->settings.algorithm != UNI_AUTO || !comm->world->settings.crowded)
    return false;
  if (goes_between_pairs(call->kind))
    return !uni_kind_is_v(call->kind) && copies_are_cheaper(comm, call);
  return call->kind == UNI_ALL_REDUCE && uni_select_one_shot(comm, call);
}

/* A buffer that was sent from was written by its owner, who has its lines. Each of two ranks has a
 * processor. */
bool uni_select_reclaims(const unisono_comm *comm, const struct uni_call *call) {
  enum uni_algorithm forced = comm->world->settings.algorithm;
  return comm->is_pair && (forced == UNI_AUTO || forced == UNI_PUSH) && call->kind == UNI_ALL_REDUCE &&
         call->send != call->recv && call->block > (size_t)UNI_INLINE_MAX &&
         call->block <= (size_t)RECLAIMS_UNTIL && !comm->world->settings.guard;
}

/* Where lines go to and fro between two caches, and where ranks share their caches, the fewest lines are the
 * best. Where others only read them, the lines have to leave the caches first: see layout.c. */
size_t uni_select_ring(const unisono_comm *comm, size_t room) {
  /* The last chunk of the operation before may still be read, at the end of a larger ring: with room for two
   * of the largest chunks, this operation's first ones do not get there. */
  size_t kept = 2 * comm->layout.stage_bytes, ring = comm->layout.stage_ring;
  bool to_and_fro = comm->size == 2 && !comm->run.plan.one_shot;
  if (comm->run.plan.by_levels || (!to_and_fro && !comm->world->settings.crowded))
    return ring;
  if (is_rooted_copy(comm->run.call.kind) && comm->world->settings.crowded)
    return least(ring, AHEAD);
  return least(ring, 4 * room > kept ? 4 * room : kept);
}

size_t uni_select_rooms(const unisono_comm *comm, const struct uni_call *call) {
  if (comm->run.plan.by_levels)
    return uni_levels_rooms(comm, call->kind);
  bool scatters = uni_kind_scatters(call->kind) && !comm->run.plan.trades;
  return scatters && comm->size > 1 ? (size_t)comm->size - 1 : 1;
}

/* A root stages while the others still copy what it staged before. With n pieces all of it takes n + 1 steps
 * of a piece: the fewest bytes a step are the root of bytes times what a step costs, in bytes. */
static size_t pipelined_chunk(const unisono_comm *comm, size_t bytes) {
  struct price p = price_of(comm);
  size_t step = crossing(p.turn, p.read + p.write), pieces = 1;
  while (pieces * pieces * step < bytes)
    pieces++;
  return whole_lines(bytes / pieces + 1);
}

/* Chunks of one size: a short one at the end would take a step as long as any, and leave most lines of its
 * room to who read them when it is another one's turn to write. */
static size_t even_chunk(size_t bytes, size_t most) {
  size_t chunks = (bytes + most - 1) / most;
  return chunks ? whole_lines((bytes + chunks - 1) / chunks) : UNI_LINE;
}

size_t uni_select_staged_chunk(const unisono_comm *comm, const struct uni_call *call) {
  size_t most = comm->layout.stage_bytes;
  if (comm->run.plan.by_levels)
    return least(levels_chunk(comm, call->kind), whole_lines(comm->run.lanes[0].bytes));
  most = comm->run.plan.trades ? comm->layout.traded_bytes
                               : most / uni_select_rooms(comm, call) / UNI_LINE * UNI_LINE;
  if (call->kind == UNI_BROADCAST && !comm->world->settings.crowded)
    most = least(most, pipelined_chunk(comm, comm->run.lanes[0].bytes));
  /* the ranks' shares are known to be alike, but for v-collectives */
  return uni_kind_is_v(call->kind) ? most : even_chunk(comm->run.lanes[0].bytes, most);
}

/* Can every rank read all that the others send? */
static bool all_send_covered(const unisono_comm *comm) {
  const struct uni_run *run = &comm->run;
  for (int r = 0; r < comm->size; r++)
    if (run->send_bytes[r] && !uni_view_covers(&run->send[r], 0, run->send_bytes[r]))
      return false;
  return true;
}

static bool any_covered(const unisono_comm *comm) {
  const struct uni_run *run = &comm->run;
  bool is_written = uni_kind_shares_result(run->call.kind);
  for (int r = 0; r < comm->size; r++)
    if (run->send[r].to > run->send[r].from || (is_written && run->recv[r].to > run->recv[r].from))
      return true;
  return false;
}

/* What all ranks write takes half of the last-level cache, and what they read the rest: who reads a result
 * will not find its beginning there. */
static bool overflows_cache(const unisono_comm *comm) {
  size_t written = 0;
  for (int r = 0; r < comm->size; r++)
    written += uni_call_recv_bytes(&comm->run.call, comm->size, r);
  return written >= comm->run.cache_bytes / 2;
}

static bool takes_result(const struct uni_call *call, int rank) {
  return call->kind != UNI_REDUCE || rank == call->root;
}

/* The middle that all who take the result can be pushed to; false: there is none. */
static bool find_middle(const unisono_comm *comm, size_t edges[2]) {
  const struct uni_run *run = &comm->run;
  edges[0] = 0;
  edges[1] = run->plan.total;
  for (int r = 0; r < comm->size; r++) {
    if (!takes_result(&run->call, r))
      continue;
    if (run->recv[r].push_from > edges[0])
      edges[0] = run->recv[r].push_from;
    if (run->recv[r].push_to < edges[1])
      edges[1] = run->recv[r].push_to;
  }
  edges[0] = uni_whole_lines(edges[0]);
  return edges[0] < edges[1];
}

/* Can the results be read where their owners have put them? */
static bool all_recv_covered(const unisono_comm *comm) {
  const struct uni_run *run = &comm->run;
  for (int r = 0; r < comm->size; r++)
    if (run->recv[r].from > 0 || run->recv[r].to < run->plan.total)
      return false;
  return run->call.kind == UNI_ALL_REDUCE;
}

/* all_reduce and reduce: results have to get from who folds them to who wants them. */
static void plan_results(unisono_comm *comm, bool send_covered) {
  struct uni_plan *plan = &comm->run.plan;
  size_t edges[2];
  bool middle = find_middle(comm, edges);
  bool has_edges = middle && (edges[0] > 0 || edges[1] < plan->total);
  plan->gathers = true;
  plan->one_shot = plan->one_shot && !plan->together;
  if (plan->by_levels && !plan->together) {
    plan->chunk = uni_select_staged_chunk(comm, &comm->run.call);
    plan->algorithm = UNI_BY_LEVELS;
    plan->gathers = false;
  } else if (plan->one_shot) {
    plan->chunk = uni_select_staged_chunk(comm, &comm->run.call);
    plan->algorithm = UNI_ONE_SHOT;
    plan->gathers = false;
  } else if (!send_covered) {
    plan->chunk = uni_select_staged_chunk(comm, &comm->run.call);
    plan->algorithm = UNI_STAGED;
    plan->returns = results_return(comm);
    plan->gathers = !middle || has_edges;
  } else if (middle && (!has_edges || all_recv_covered(comm))) {
    plan->chunk = plan->total;
    plan->algorithm = UNI_PUSH;
    plan->gathers = has_edges;
    plan->has_edges = has_edges && plan->lanes == 1;
    plan->edges[0] = edges[0];
    plan->edges[1] = edges[1];
  } else if (all_recv_covered(comm)) {
    plan->chunk = plan->total;
    plan->algorithm = UNI_PULL;
  } else { /* results go through the owners' stages: a slice must fit */
    plan->chunk = least(comm->layout.stage_bytes * (size_t)comm->size, whole_lines(comm->run.lanes[0].bytes));
    plan->algorithm = UNI_STAGED;
    uni_stage_begin(comm, whole_lines((plan->chunk + (size_t)comm->size - 1) / (size_t)comm->size));
  }
}

void uni_select_plan(unisono_comm *comm) {
  struct uni_run *run = &comm->run;
  struct uni_plan *plan = &run->plan;
  bool covered = all_send_covered(comm);
  plan->has_edges = false;
  plan->gathers = false;
  plan->returns = false;
  plan->helps = false;
  plan->streams = false;
  plan->flows = false;
  plan->together = any_covered(comm);
  plan->lag = uni_kind_is_v(run->call.kind) ? 1 : 0;
  if (uni_kind_shares_result(run->call.kind)) {
    plan_results(comm, covered);
    return;
  }
  plan->helps = covered && uni_kind_has_root(run->call.kind);
  plan->streams = comm->kernels->stream && overflows_cache(comm);
  plan->algorithm = covered ? UNI_PULL : plan->by_levels && !plan->together ? UNI_BY_LEVELS : UNI_STAGED;
  plan->chunk = covered ? plan->total : uni_select_staged_chunk(comm, &run->call);
  plan->flows =
      plan->algorithm == UNI_STAGED && is_rooted_copy(run->call.kind) && !plan->together && !plan->hands_over;
}

/* ---- between machines. A step takes the link's latency, and what further ranks of a machine add to it; a
 * machine's ranks share its link. What decides on the grouping of a sum goes by the built-in costs, so that
 * the same call gives the same bits in every run; the rest goes by those that were measured. */

enum {
  RIDER = 960,
  RIDER_OF_MANY = 192,         /* with an entry, 1024 and 256 bytes */
  COLUMN_BYTES = 16 << 10,     /* one rank's message is cheaper than several ranks' */
  PIECE_OF_COLUMN = 512 << 10, /* with its copies, in the caches */
  LEAST_PIECE = 64 << 10
};

/* Ethernet of 10 Gb/s with TCP, between machines as uni_costs_default has them. */
const struct uni_link uni_link_default = {
    .latency = 20000000, .column = 2000000, .line = 51200, .turn = 450000, .copy = 6800};

size_t uni_select_rider(int machines) {
  return machines <= UNI_SWAP_DIRECT ? RIDER : machines <= UNI_MOST_RIDING ? RIDER_OF_MANY : 0;
}

static uint64_t steps_of(int machines) {
  uint64_t steps = 0;
  while (1 << steps < machines)
    steps++;
  return steps;
}

/* Swapped, all goes to every machine, in one step, together with the entries. Else it is halved and doubled,
 * in two steps for each power of two, after the entries' own. Two machines send as much either way. */
bool uni_select_swaps(const struct uni_span *span, size_t bytes) {
  uint64_t machines = (uint64_t)span->machines, lines = bytes / UNI_LINE, steps = steps_of(span->machines);
  const struct uni_link *link = &uni_link_default;
  if (bytes <= uni_select_rider(span->machines))
    return true;
  if (machines > UNI_SWAP_DIRECT || span->carrier->forced)
    return false;
  if (machines == 2)
    return true;
  uint64_t swapped = link->latency + lines * (machines - 1) * link->line,
           reduced = 3 * steps * link->latency + 2 * lines * (machines - 1) / machines * link->line;
  return swapped < reduced;
}

/* One rank alone has its machine's data sent to it and the result sent from it, by copying all of it once
 * more. */
int uni_select_columns(const struct uni_span *span, size_t bytes) {
  uint64_t lines = bytes / UNI_LINE, more = (uint64_t)span->columns - 1;
  return lines * span->link.copy < more * span->link.column ? 1 : span->columns;
}

int uni_select_reducers(const struct uni_span *span, size_t bytes, bool swaps) {
  if (swaps)
    return uni_select_columns(span, bytes);
  return bytes < (size_t)COLUMN_BYTES ? 1 : span->columns;
}

static uint64_t root_of(uint64_t square) {
  uint64_t root = 0;
  for (uint64_t bit = UINT64_C(1) << 31; bit; bit >>= 1)
    if ((root + bit) * (root + bit) <= square)
      root += bit;
  return root;
}

/* In k pieces, what the machine does for the first and the last of them is not hidden behind the network, and
 * each takes a step more: the least at the root of what is hidden by what a step takes. */
size_t uni_select_piece(const struct uni_span *span, size_t bytes, bool swaps) {
  const struct uni_link *link = &span->link;
  size_t most = (size_t)PIECE_OF_COLUMN * (size_t)span->columns;
  if (!swaps)
    return most;
  uint64_t hidden = bytes / UNI_LINE * link->copy,
           step = link->latency + (uint64_t)(span->columns - 1) * link->column + 3 * link->turn;
  size_t pieces = 1 + root_of(hidden / step), piece = whole_lines((bytes + pieces - 1) / pieces);
  return least(most, piece > LEAST_PIECE ? piece : LEAST_PIECE);
}

/* What the model takes of this machine; the costs of all machines' are made one by the slowest. */
void uni_select_local_prices(const unisono_comm *local, uint64_t *turn, uint64_t *copy) {
  struct price p = price_of(local);
  *turn = p.turn;
  *copy = p.write + p.read + p.fold;
}
