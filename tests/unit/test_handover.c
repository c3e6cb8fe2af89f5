/* Which way of handing over blocks is taken, from what both sides' work is said to take. */
#include <stdint.h>
#include <string.h>

#include "check.h"
#include "clock.h"
#include "shm/handover.h"

enum { BYTES = 8 << 10, TURNS = 256 };

static struct uni_handover handover;
static struct uni_handover_reads theirs;
static char from[BYTES];
static _Alignas(64) char stage[BYTES];
static int streamed;

static void stream(void *to, const void *what, size_t bytes) {
  memcpy(to, what, bytes);
  streamed++;
}

/* The reader's words: so far above what this rank's own copies take that they decide. */
static void say(uint32_t plain, uint32_t stream_read) {
  int class = uni_trial_class(BYTES);
  atomic_store(&theirs.ps[class][UNI_OUTFLOW_PLAIN], plain);
  atomic_store(&theirs.ps[class][UNI_OUTFLOW_STREAM], stream_read);
}

/* How many of the last half of the turns were streamed. */
static int take_turns(void) {
  for (int i = 0; i < 2 * TURNS; i++) {
    if (i == TURNS)
      streamed = 0;
    uni_handover_begin(&handover, BYTES, true);
    memset(from, i, BYTES);
    uni_handover_write(&handover, true, stream, stage, from, BYTES, &theirs);
    CHECK(memcmp(from, stage, BYTES) == 0);
  }
  return streamed;
}

static void test_readers_word_decides(void) {
  CHECK(take_turns() < TURNS / 8); /* nothing said yet: plain, and some tries */
  say(1000000, 1);
  CHECK(take_turns() > TURNS * 7 / 8);
  say(1, 1000000);
  CHECK(take_turns() < TURNS / 8);
}

static void test_no_streams(void) {
  say(1000000, 1);
  for (int i = 0; i < TURNS; i++) {
    uni_handover_begin(&handover, BYTES, true);
    memset(from, i, BYTES);
    uni_handover_write(&handover, true, NULL, stage, from, BYTES, &theirs);
    CHECK(memcmp(from, stage, BYTES) == 0);
  }
}

/* The reader gets the data, and leaves it as it was. */
static void test_reading(void) {
  static char to[BYTES], before[BYTES];
  static struct uni_handover_reads mine;
  int class = uni_trial_class(BYTES);
  for (int streams = 0; streams < 2; streams++) {
    for (int i = 0; i < TURNS; i++) {
      memset(stage, i + streams, BYTES);
      memcpy(before, stage, BYTES);
      uni_handover_begin(&handover, BYTES, false);
      CHECK(!handover.turn.timed);
      handover.peer = (struct uni_turn){.way = streams, .timed = true};
      uni_handover_read(&handover, true, NULL, to, stage, BYTES, &mine);
      CHECK(memcmp(to, before, BYTES) == 0 && memcmp(stage, before, BYTES) == 0);
    }
    CHECK(atomic_load(&mine.ps[class][streams]) > 0);
  }
}

/* A time that is not like the others is not the cost, the first one neither. */
static void test_odd_times(void) {
  static const int64_t ns_a_byte[] = {900, 20, 20, 1, 20, 900, 20};
  struct uni_sample cost = {0};
  for (size_t i = 0; i < sizeof ns_a_byte / sizeof *ns_a_byte; i++) {
    uni_trial_learn(&cost, uni_now() - ns_a_byte[i] * BYTES, BYTES);
    CHECK(i < 2 || (cost.ps >= 20000 && cost.ps < 100000));
  }
}

int main(void) {
  test_odd_times();
  test_readers_word_decides();
  test_no_streams();
  test_reading();
  return 0;
}
