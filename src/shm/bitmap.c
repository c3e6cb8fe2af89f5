#include "shm/bitmap.h"

#include <stdlib.h>

static size_t words_for(size_t bits) {
  return bits / 64 + (bits % 64 != 0);
}

bool uni_bitmap_init(struct uni_bitmap *map, size_t limit) {
  size_t total = 0, bits = limit;
  map->levels = 0;
  do {
    bits = words_for(bits);
    total += bits;
    map->levels++;
  } while (bits > 1);
  map->words = calloc(total, sizeof *map->words);
  if (!map->words)
    return false;
  uint64_t *next = map->words;
  bits = limit;
  for (int i = 0; i < map->levels; i++) {
    map->level[i] = next;
    bits = words_for(bits);
    next += bits;
  }
  return true;
}

void uni_bitmap_free(struct uni_bitmap *map) {
  free(map->words);
}

void uni_bitmap_set(struct uni_bitmap *map, size_t number) {
  for (int i = 0; i < map->levels; i++) {
    uint64_t *word = &map->level[i][number / 64], old = *word;
    *word = old | UINT64_C(1) << number % 64;
    if (old)
      return; /* the levels above know already */
    number /= 64;
  }
}

void uni_bitmap_clear(struct uni_bitmap *map, size_t number) {
  for (int i = 0; i < map->levels; i++) {
    uint64_t *word = &map->level[i][number / 64];
    *word &= ~(UINT64_C(1) << number % 64);
    if (*word)
      return;
    number /= 64;
  }
}

static size_t highest(uint64_t word) {
  return 63 - (size_t)__builtin_clzll(word);
}

bool uni_bitmap_at_or_below(const struct uni_bitmap *map, size_t number, size_t *found) {
  uint64_t allowed = ~UINT64_C(0) >> (63 - number % 64); /* bits up to and including `number` */
  for (int i = 0; i < map->levels; i++) {
    uint64_t word = map->level[i][number / 64] & allowed;
    if (word) {
      number = number / 64 * 64 + highest(word);
      for (; i > 0; i--) /* down again, always to the last member */
        number = number * 64 + highest(map->level[i - 1][number]);
      *found = number;
      return true;
    }
    number /= 64;
    allowed = (UINT64_C(1) << number % 64) - 1; /* the word just seen is empty from there down */
  }
  return false;
}
