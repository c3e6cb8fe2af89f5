/* Two ways to do the same thing, of which now the one and now the other is faster: by what came before, which
 * left the lines in one cache or the other, and because a virtual machine's processors move from sharing a
 * cache to not sharing one while it runs. So both ways are timed now and then. */
#ifndef UNI_SHM_TRIAL_H
#define UNI_SHM_TRIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  UNI_WAYS = 2,
  UNI_TRIAL_LEAST = 1 << 10, /* bytes */
  UNI_TRIAL_CLASSES = 16     /* powers of two from there on; the last one is for all that is more */
};

/* What a way takes. */
struct uni_sample {
  uint32_t ps; /* picoseconds a byte, as last judged; 0: not known yet */
  uint32_t learnt;
  uint32_t last[3];
};

/* What is known of the ways, for one class of sizes. All zero at first. */
struct uni_trial {
  int way; /* the better one, as whoever times them finds */
  uint32_t turns;
  struct uni_sample cost[UNI_WAYS];
};

/* One use: which way it shall take, and when it began if it is timed. */
struct uni_turn {
  int way;
  bool timed;
  int64_t began;
};

/* The class of so many bytes, which are UNI_TRIAL_LEAST at least. */
int uni_trial_class(size_t bytes);

/* Ranks that do the same take the same turns at the same time. */
struct uni_turn uni_trial_begin(struct uni_trial *trial);

/* What is learnt of a cost from `bytes` whose work began then and is done: the median of the last three
 * times, or what it takes on the average, where that is sometimes much and sometimes little. */
void uni_trial_learn(struct uni_sample *cost, int64_t began, size_t bytes);
void uni_trial_average(struct uni_sample *cost, int64_t began, size_t bytes);

#endif
