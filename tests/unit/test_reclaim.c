/* When lines are taken back, where a clock says what an all_reduce takes either way. */
#include <time.h>

#include "algorithms/part.h"
#include "check.h"
#include "collectives/arrive.h"
#include "collectives/reclaim.h"
#include "collectives/select.h"

enum { BYTES = 16 << 10, OTHER = 4 << 10, OPERATIONS = 512, SHARED = 3, WAITED = 1000000 };

static struct uni_place places[2];
static struct uni_reclaim reclaims[2];
static struct uni_lane lanes[2];
static unisono_comm ranks[2];
static char results[2][BYTES];
static bool took_back[2]; /* in this operation */
static int64_t ns;
static int64_t takes[UNI_WAYS];

int __wrap_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_clock_gettime(clockid_t clock, struct timespec *t) {
  (void)clock;
  *t = (struct timespec){.tv_nsec = ns % 1000000000, .tv_sec = ns / 1000000000};
  return 0;
}

bool uni_select_reclaims(const unisono_comm *comm, const struct uni_call *call) {
  (void)comm;
  return call->block <= (size_t)BYTES;
}

struct uni_chunk uni_chunk_of_lane(const unisono_comm *comm, const struct uni_lane *lane) {
  (void)lane;
  return (struct uni_chunk){.from = 0, .to = comm->run.call.block};
}

struct uni_part uni_part_of(const unisono_comm *comm, const struct uni_chunk *chunk, int sender, int reader) {
  CHECK(sender == comm->rank && reader != comm->rank);
  took_back[comm->rank] = true;
  return (struct uni_part){.bytes = chunk->to / 2, .to = (size_t)sender * chunk->to / 2};
}

static void arrive(unisono_comm *comm, size_t bytes) {
  struct uni_run *run = &comm->run;
  took_back[comm->rank] = false;
  run->sequence++;
  run->call.block = bytes;
  run->call.recv = results[comm->rank];
  run->plan = (struct uni_plan){.lanes = 1, .algorithm = UNI_PUSH};
  run->send_ref = run->recv_ref = (struct uni_ref){.segment = SHARED};
  uni_reclaim_begin(comm);
  uni_line_of(comm, comm->rank, run->sequence)->send = run->send_ref;
  uni_reclaim_arrived(comm);
}

/* One all_reduce; did they take back their lines? Both must do the same. */
static bool operation(size_t bytes, int64_t delay) {
  arrive(&ranks[0], bytes);
  arrive(&ranks[1], bytes);
  CHECK(took_back[0] == took_back[1]);
  ns += WAITED;
  uni_reclaim_met(&ranks[0]);
  uni_reclaim_met(&ranks[1]);
  ns += takes[took_back[0]] + delay;
  uni_reclaim_end(&ranks[0]);
  uni_reclaim_end(&ranks[1]);
  return took_back[0];
}

/* How many of so many operations have taken lines back. */
static int operations(size_t bytes, int64_t as_they_are, int64_t taken_back) {
  int n = 0;
  takes[UNI_RECLAIM_NOTHING] = as_they_are;
  takes[UNI_RECLAIM_LINES] = taken_back;
  for (int i = 0; i < OPERATIONS; i++)
    n += operation(bytes, i % 50 == 0 ? 100 * WAITED : 0);
  return n;
}

static void test_takes_the_faster(void) {
  CHECK(operations(BYTES, 1000, 1500) < OPERATIONS / 16);
  operations(BYTES, 1500, 1000); /* it notices */
  CHECK(operations(BYTES, 1500, 1000) > OPERATIONS - OPERATIONS / 16);
  CHECK(operations(OTHER, 1000, 1500) < OPERATIONS / 16); /* each size by itself */
  CHECK(operations(BYTES, 1500, 1000) > OPERATIONS - OPERATIONS / 16);
  operations(BYTES, 1000, 1500);
  CHECK(operations(BYTES, 1000, 1500) < OPERATIONS / 16);
}

static void test_keeps_to_it(void) {
  operations(BYTES, 1000, 1500);
  operations(BYTES, 1000, 1500);
  CHECK(operations(BYTES, 1000, 980) < OPERATIONS / 16); /* not worth a change */
}

/* Thrice dear and once cheap is dear, though the least is less than what taking back takes. */
static void test_averages(void) {
  int n = 0;
  takes[UNI_RECLAIM_LINES] = 1000;
  for (int i = 0; i < 4 * OPERATIONS; i++) {
    takes[UNI_RECLAIM_NOTHING] = i % 4 ? 2000 : 900;
    n += operation(BYTES, 0);
  }
  CHECK(n > 3 * OPERATIONS);
}

static void test_others_are_left_alone(void) {
  operations(BYTES, 1500, 1000);
  for (int i = 0; i < OPERATIONS; i++)
    CHECK(!operation((size_t)BYTES + 64, 0));
}

int main(void) {
  for (int r = 0; r < 2; r++) {
    ranks[r] = (unisono_comm){.rank = r, .size = 2, .is_pair = true, .places = places};
    ranks[r].run.reclaim = &reclaims[r];
    ranks[r].run.lanes = &lanes[r];
  }
  test_takes_the_faster();
  test_keeps_to_it();
  test_averages();
  test_others_are_left_alone();
  return 0;
}
