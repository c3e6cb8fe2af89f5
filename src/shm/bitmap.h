/* A set of numbers below a limit that answers "which is the largest at or below this one?" in a step or two a
 * level: a bitmap, with a bitmap above it of which words are not empty, and so on until one word is left. */
#ifndef UNI_SHM_BITMAP_H
#define UNI_SHM_BITMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UNI_BITMAP_LEVELS 11 /* 64^11 > SIZE_MAX */

struct uni_bitmap {
  int levels;
  uint64_t *level[UNI_BITMAP_LEVELS]; /* level[0] has a bit a number */
  uint64_t *words;                    /* of all levels, one behind the other */
};

/* Makes an empty set of numbers below `limit` (> 0). False: out of memory. */
bool uni_bitmap_init(struct uni_bitmap *map, size_t limit);
void uni_bitmap_free(struct uni_bitmap *map);

void uni_bitmap_set(struct uni_bitmap *map, size_t number);
void uni_bitmap_clear(struct uni_bitmap *map, size_t number);

/* Sets *found to the largest member that is not above `number`. */
bool uni_bitmap_at_or_below(const struct uni_bitmap *map, size_t number, size_t *found);

#endif
