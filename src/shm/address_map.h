/* From an address to what lies there: a hash table with open addressing. */
#ifndef UNI_SHM_ADDRESS_MAP_H
#define UNI_SHM_ADDRESS_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct uni_address_entry {
  uintptr_t address; /* 0: empty */
  void *value;
};

/* All zero: an empty map. */
struct uni_address_map {
  struct uni_address_entry *entries;
  size_t slots; /* a power of two, or 0 */
  size_t used;
  int shift; /* 64 - log2(slots) */
};

void uni_address_map_free(struct uni_address_map *map);

/* Makes room for `more` entries. False: out of memory; the map is as it was. */
bool uni_address_map_reserve(struct uni_address_map *map, size_t more);

/* Adds an address (not 0) that is not in the map yet, into room made before. */
void uni_address_map_add(struct uni_address_map *map, uintptr_t address, void *value);

/* Removes an address that is in the map. */
void uni_address_map_remove(struct uni_address_map *map, uintptr_t address);

void *uni_address_map_get(const struct uni_address_map *map, uintptr_t address); /* NULL: not there */

#endif
