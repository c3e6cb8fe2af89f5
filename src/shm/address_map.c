#include "shm/address_map.h"

#include <stdlib.h>

enum { FIRST_SLOTS_LOG2 = 8 };

/* Fibonacci hashing: the upper bits of the product depend on all bits of the address. */
static size_t home_of(const struct uni_address_map *map, uintptr_t address) {
  return (size_t)((uint64_t)address * UINT64_C(0x9E3779B97F4A7C15) >> map->shift);
}

/* The slot that holds `address`, or the empty one where it would go. */
static size_t slot_of(const struct uni_address_map *map, uintptr_t address) {
  size_t slot = home_of(map, address);
  while (map->entries[slot].address && map->entries[slot].address != address)
    slot = (slot + 1) & (map->slots - 1);
  return slot;
}

void uni_address_map_free(struct uni_address_map *map) {
  free(map->entries);
}

bool uni_address_map_reserve(struct uni_address_map *map, size_t more) {
  struct uni_address_map larger = *map;
  while (map->used + more > larger.slots / 2) { /* at most half full: probes stay short */
    larger.shift = larger.slots ? larger.shift - 1 : 64 - FIRST_SLOTS_LOG2;
    larger.slots = (size_t)1 << (64 - larger.shift);
  }
  if (larger.slots == map->slots)
    return true;
  larger.entries = calloc(larger.slots, sizeof *larger.entries);
  if (!larger.entries)
    return false;
  for (size_t i = 0; i < map->slots; i++)
    if (map->entries[i].address)
      larger.entries[slot_of(&larger, map->entries[i].address)] = map->entries[i];
  free(map->entries);
  *map = larger;
  return true;
}

void uni_address_map_add(struct uni_address_map *map, uintptr_t address, void *value) {
  map->entries[slot_of(map, address)] = (struct uni_address_entry){address, value};
  map->used++;
}

/* Closes the gap: an entry behind it moves up unless its home lies between the gap and itself, so that no
 * search ends too early. */
void uni_address_map_remove(struct uni_address_map *map, uintptr_t address) {
  size_t mask = map->slots - 1, gap = slot_of(map, address);
  for (size_t i = (gap + 1) & mask; map->entries[i].address; i = (i + 1) & mask)
    if (((i - home_of(map, map->entries[i].address)) & mask) >= ((i - gap) & mask)) {
      map->entries[gap] = map->entries[i];
      gap = i;
    }
  map->entries[gap] = (struct uni_address_entry){0, NULL};
  map->used--;
}

void *uni_address_map_get(const struct uni_address_map *map, uintptr_t address) {
  return map->slots && address ? map->entries[slot_of(map, address)].value : NULL;
}
