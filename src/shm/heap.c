/* Two-level segregated fit: M. Masmano, I. Ripoll, A. Crespo, J. Real, "TLSF: a New Dynamic Memory Allocator
 * for Real-Time Systems", ECRTS 2004. Free blocks hang in lists by size class, 32 classes to a power of two;
 * a bitmap of lists that are not empty finds a fitting one in constant time. Unlike there, no header lies in
 * the memory served: every block has a node in private memory, found by an address map (starts) or a bitmap
 * of starts (addresses inside a block). See docs/allocator.md. */
#include "shm/heap.h"

#include <stdlib.h>
#include <unistd.h>

#include "shm/address_map.h"
#include "shm/bitmap.h"

enum {
  GRANULE = 64,
  SPLIT_LOG2 = 5, /* each power of two is divided into 32 classes */
  SPLIT = 1 << SPLIT_LOG2,
  POWERS = 56, /* enough for the granules of any size_t */
  NODES_IN_CHUNK = 128,
  NODES_FOR_TAKE = 2, /* what lies before and behind the block */
  LOOKS = 8           /* blocks of the same class that are tried before larger ones */
};

enum state {
  FREE,    /* in a list */
  TAKEN,   /* handed out */
  RETIRED, /* handed out, not to be used again */
  DEAD     /* retired and given back: belongs to nobody for good */
};

struct region {
  uintptr_t start, end;
  uint32_t id;
  struct node *first;
  struct uni_bitmap starts; /* granules in which a block starts */
};

struct node {
  uintptr_t start;
  size_t capacity;
  size_t requested;
  struct region *region;
  struct node *before, *after;  /* neighbours by address; NULL at the ends of the region */
  struct node *next, *previous; /* in the list of free blocks; next: in the list of spare nodes */
  enum state state;
  bool backed;
};

struct chunk {
  struct chunk *next;
  struct node nodes[NODES_IN_CHUNK];
};

struct uni_heap {
  size_t page;
  struct region **regions; /* by address */
  size_t region_count;
  struct uni_address_map nodes; /* by start, free blocks included */
  struct chunk *chunks;
  struct node *spare;
  size_t spare_count;
  uint64_t powers;          /* which powers of two have a list that is not empty */
  uint32_t classes[POWERS]; /* which of their classes have */
  struct node *lists[POWERS][SPLIT];
  size_t free_bytes, taken_blocks;
};

static uintptr_t round_down(uintptr_t value, size_t unit) {
  return value & ~(uintptr_t)(unit - 1);
}
static uintptr_t round_up(uintptr_t value, size_t unit) {
  return round_down(value + unit - 1, unit);
}

/* ------------------------------------------------------------------------------- nodes, regions */

static struct node *node_from_pool(struct uni_heap *heap) {
  struct node *node = heap->spare;
  heap->spare = node->next;
  heap->spare_count--;
  return node;
}

static void node_to_pool(struct uni_heap *heap, struct node *node) {
  node->next = heap->spare;
  heap->spare = node;
  heap->spare_count++;
}

/* Makes sure that `nodes` more blocks can be described, so that nothing can fail half way. */
static bool prepare(struct uni_heap *heap, size_t nodes) {
  if (!uni_address_map_reserve(&heap->nodes, nodes))
    return false;
  if (heap->spare_count >= nodes)
    return true;
  struct chunk *chunk = malloc(sizeof *chunk);
  if (!chunk)
    return false;
  chunk->next = heap->chunks;
  heap->chunks = chunk;
  for (size_t i = NODES_IN_CHUNK; i-- > 0;)
    node_to_pool(heap, &chunk->nodes[i]);
  return true;
}

static size_t granule_of(const struct region *region, uintptr_t address) {
  return (address - region->start) / GRANULE;
}

static void enter(struct uni_heap *heap, struct node *node) {
  uni_address_map_add(&heap->nodes, node->start, node);
  uni_bitmap_set(&node->region->starts, granule_of(node->region, node->start));
}

static void leave(struct uni_heap *heap, struct node *node) {
  uni_address_map_remove(&heap->nodes, node->start);
  uni_bitmap_clear(&node->region->starts, granule_of(node->region, node->start));
  node_to_pool(heap, node);
}

/* The number of regions that start at or below `address`. */
static size_t regions_up_to(const struct uni_heap *heap, uintptr_t address) {
  size_t low = 0, high = heap->region_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (heap->regions[middle]->start <= address)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static struct region *region_new(uintptr_t start, size_t bytes, uint32_t id) {
  struct region *region = malloc(sizeof *region);
  if (!region)
    return NULL;
  *region = (struct region){.start = start, .end = start + bytes, .id = id};
  if (uni_bitmap_init(&region->starts, bytes / GRANULE))
    return region;
  free(region);
  return NULL;
}

static bool insert_region(struct uni_heap *heap, struct region *region) {
  struct region **regions = realloc(heap->regions, (heap->region_count + 1) * sizeof(struct region *));
  if (!regions)
    return false;
  heap->regions = regions;
  size_t place = regions_up_to(heap, region->start);
  for (size_t i = heap->region_count++; i > place; i--)
    regions[i] = regions[i - 1];
  regions[place] = region;
  return true;
}

static void region_delete(struct region *region) {
  uni_bitmap_free(&region->starts);
  free(region);
}

/* ------------------------------------------------------------------------- lists of free blocks */

struct size_class {
  unsigned power, part;
};

static unsigned log2_of(size_t value) {
  return 63 - (unsigned)__builtin_clzll(value);
}

/* The class of blocks of `bytes`. Below SPLIT granules a class has one size only. */
static struct size_class class_of(size_t bytes) {
  size_t granules = bytes / GRANULE;
  if (granules < SPLIT)
    return (struct size_class){0, (unsigned)granules};
  unsigned log2 = log2_of(granules);
  return (struct size_class){log2 - SPLIT_LOG2 + 1, (unsigned)(granules >> (log2 - SPLIT_LOG2)) - SPLIT};
}

/* The lowest class of which every block has at least `bytes`. */
static struct size_class class_above(size_t bytes) {
  size_t granules = bytes / GRANULE;
  if (granules < SPLIT)
    return class_of(bytes);
  size_t step = (size_t)1 << (log2_of(granules) - SPLIT_LOG2);
  return class_of((granules + step - 1) * GRANULE);
}

/* What a free block counts as: the whole pages in it. Without any it serves only blocks below a page, so that
 * a class never promises a page to a block that has none at the right place. */
static size_t usable(const struct uni_heap *heap, const struct node *node) {
  uintptr_t from = round_up(node->start, heap->page),
            to = round_down(node->start + node->capacity, heap->page);
  if (to > from)
    return to - from;
  size_t below_page = heap->page - GRANULE;
  return node->capacity < below_page ? node->capacity : below_page;
}

static void add_to_list(struct uni_heap *heap, struct node *node) {
  struct size_class c = class_of(usable(heap, node));
  struct node **list = &heap->lists[c.power][c.part];
  node->state = FREE;
  node->previous = NULL;
  node->next = *list;
  if (*list)
    (*list)->previous = node;
  *list = node;
  heap->powers |= UINT64_C(1) << c.power;
  heap->classes[c.power] |= UINT32_C(1) << c.part;
  if (node->backed)
    heap->free_bytes += node->capacity;
}

static void remove_from_list(struct uni_heap *heap, struct node *node) {
  struct size_class c = class_of(usable(heap, node));
  if (node->previous)
    node->previous->next = node->next;
  else
    heap->lists[c.power][c.part] = node->next;
  if (node->next)
    node->next->previous = node->previous;
  if (!heap->lists[c.power][c.part])
    heap->classes[c.power] &= ~(UINT32_C(1) << c.part);
  if (!heap->classes[c.power])
    heap->powers &= ~(UINT64_C(1) << c.power);
  if (node->backed)
    heap->free_bytes -= node->capacity;
}

/* The first block of the lowest list from class `c` on. */
static struct node *first_from(const struct uni_heap *heap, struct size_class c) {
  uint32_t parts = heap->classes[c.power] & ~UINT32_C(0) << c.part;
  if (!parts) {
    uint64_t powers = heap->powers & ~UINT64_C(0) << c.power << 1;
    if (!powers)
      return NULL;
    c.power = (unsigned)__builtin_ctzll(powers);
    parts = heap->classes[c.power];
  }
  return heap->lists[c.power][__builtin_ctz(parts)];
}

/* A free block that holds `want` bytes. The class of `want` itself may have smaller blocks too, so only a few
 * of them are tried: they are the last ones given back, or a region added for this very request. */
static struct node *find_fit(const struct uni_heap *heap, size_t want) {
  struct size_class c = class_of(want);
  struct node *node = heap->lists[c.power][c.part];
  for (int i = 0; node && i < LOOKS; i++, node = node->next)
    if (usable(heap, node) >= want)
      return node;
  return first_from(heap, class_above(want));
}

/* ---------------------------------------------------------------------------- splitting, merging */

/* Cuts a block that is in no list after `bytes`; returns the rest. */
static struct node *split(struct uni_heap *heap, struct node *node, size_t bytes) {
  struct node *rest = node_from_pool(heap);
  *rest = (struct node){.start = node->start + bytes,
                        .capacity = node->capacity - bytes,
                        .region = node->region,
                        .before = node,
                        .after = node->after,
                        .backed = node->backed};
  if (node->after)
    node->after->before = rest;
  node->after = rest;
  node->capacity = bytes;
  enter(heap, rest);
  return rest;
}

/* Joins a block with the one after it; both are in no list. */
static void absorb_next(struct uni_heap *heap, struct node *node) {
  struct node *after = node->after;
  node->capacity += after->capacity;
  node->backed = node->backed && after->backed;
  node->after = after->after;
  if (after->after)
    after->after->before = node;
  leave(heap, after);
}

static struct node *merge(struct uni_heap *heap, struct node *node) {
  if (node->after && node->after->state == FREE) {
    remove_from_list(heap, node->after);
    absorb_next(heap, node);
  }
  if (node->before && node->before->state == FREE) {
    node = node->before;
    remove_from_list(heap, node);
    absorb_next(heap, node);
  }
  return node;
}

/* ------------------------------------------------------------------------------------ interface */

static void describe(const struct node *node, struct uni_block *block) {
  *block = (struct uni_block){.start = (char *)node->start,
                              .requested = node->requested,
                              .capacity = node->capacity,
                              .region = node->region->id,
                              .backed = node->backed};
}

static struct node *node_at(const struct uni_heap *heap, const void *start) {
  return uni_address_map_get(&heap->nodes, (uintptr_t)start);
}

static bool is_taken(const struct node *node) {
  return node->state == TAKEN || node->state == RETIRED;
}

struct uni_heap *uni_heap_new(void) {
  struct uni_heap *heap = calloc(1, sizeof *heap);
  if (heap)
    heap->page = (size_t)sysconf(_SC_PAGESIZE);
  return heap;
}

void uni_heap_delete(struct uni_heap *heap) {
  if (!heap)
    return;
  for (size_t i = 0; i < heap->region_count; i++)
    region_delete(heap->regions[i]);
  for (struct chunk *chunk = heap->chunks, *next; chunk; chunk = next) {
    next = chunk->next;
    free(chunk);
  }
  uni_address_map_free(&heap->nodes);
  free(heap->regions);
  free(heap);
}

bool uni_heap_add(struct uni_heap *heap, void *start, size_t bytes, uint32_t id) {
  bytes = round_down(bytes, heap->page);
  if (bytes == 0)
    return true; /* nothing to serve from */
  if (!prepare(heap, 1))
    return false;
  struct region *region = region_new((uintptr_t)start, bytes, id);
  if (!region)
    return false;
  if (!insert_region(heap, region)) {
    region_delete(region);
    return false;
  }
  struct node *node = region->first = node_from_pool(heap);
  *node = (struct node){.start = region->start, .capacity = bytes, .region = region, .backed = true};
  enter(heap, node);
  add_to_list(heap, node);
  return true;
}

/* What a block for `bytes` takes; 0: more than any region could have. */
static size_t size_for(const struct uni_heap *heap, size_t bytes) {
  if (bytes > SIZE_MAX / 2)
    return 0;
  size_t granules = round_up(bytes ? bytes : 1, GRANULE);
  return granules < heap->page ? granules : round_up(granules, heap->page);
}

bool uni_heap_take(struct uni_heap *heap, size_t bytes, struct uni_block *block) {
  size_t want = size_for(heap, bytes);
  if (!want || !prepare(heap, NODES_FOR_TAKE))
    return false;
  struct node *node = find_fit(heap, want);
  if (!node)
    return false;
  remove_from_list(heap, node);
  uintptr_t start = want < heap->page ? node->start : round_up(node->start, heap->page);
  if (start != node->start) {
    struct node *front = node;
    node = split(heap, front, start - front->start);
    add_to_list(heap, front);
  }
  if (node->capacity > want)
    add_to_list(heap, split(heap, node, want));
  node->state = TAKEN;
  node->requested = bytes;
  heap->taken_blocks++;
  describe(node, block);
  return true;
}

bool uni_heap_give(struct uni_heap *heap, void *start, struct uni_block *freed) {
  struct node *node = node_at(heap, start);
  if (!node || !is_taken(node))
    return false;
  heap->taken_blocks--;
  node->requested = 0;
  if (node->state == RETIRED) {
    node->state = DEAD;
    describe(node, freed);
    freed->capacity = 0;
    return true;
  }
  node = merge(heap, node);
  add_to_list(heap, node);
  describe(node, freed);
  return true;
}

bool uni_heap_find(const struct uni_heap *heap, const void *address, struct uni_block *block) {
  uintptr_t wanted = (uintptr_t)address;
  size_t place = regions_up_to(heap, wanted), granule;
  if (place == 0 || wanted >= heap->regions[place - 1]->end)
    return false;
  const struct region *region = heap->regions[place - 1];
  if (!uni_bitmap_at_or_below(&region->starts, granule_of(region, wanted), &granule))
    return false;
  const struct node *node = uni_address_map_get(&heap->nodes, region->start + granule * GRANULE);
  if (!node || !is_taken(node))
    return false;
  describe(node, block);
  return true;
}

void uni_heap_set_backed(struct uni_heap *heap, void *start, bool backed) {
  struct node *node = node_at(heap, start);
  if (!node || node->backed == backed)
    return;
  node->backed = backed;
  if (node->state == FREE)
    heap->free_bytes = backed ? heap->free_bytes + node->capacity : heap->free_bytes - node->capacity;
}

void uni_heap_retire(struct uni_heap *heap, void *start) {
  struct node *node = node_at(heap, start);
  if (node && node->state == TAKEN)
    node->state = RETIRED;
}

size_t uni_heap_free_bytes(const struct uni_heap *heap) {
  return heap->free_bytes;
}

size_t uni_heap_taken_blocks(const struct uni_heap *heap) {
  return heap->taken_blocks;
}

/* --------------------------------------------------------------------------------------- checks */

struct totals {
  size_t blocks, free_blocks, free_bytes, taken;
};

static bool check_node(const struct uni_heap *heap, const struct node *node) {
  size_t found, granule = granule_of(node->region, node->start);
  return node->capacity > 0 && node->start % GRANULE == 0 && node->capacity % GRANULE == 0 &&
         node_at(heap, (void *)node->start) == node &&
         uni_bitmap_at_or_below(&node->region->starts, granule + node->capacity / GRANULE - 1, &found) &&
         found == granule && (!node->after || node->after->before == node) &&
         !(node->state == FREE && node->after && node->after->state == FREE) &&
         (!is_taken(node) || node->requested <= node->capacity) &&
         (!is_taken(node) || node->capacity < heap->page ||
          (node->start % heap->page == 0 && node->capacity % heap->page == 0));
}

/* The blocks of a region follow each other without a gap, from its start to its end. */
static bool check_region(const struct uni_heap *heap, const struct region *region, struct totals *sum) {
  uintptr_t at = region->start;
  if (!region->first || region->first->before)
    return false;
  for (const struct node *node = region->first; node; node = node->after) {
    if (node->start != at || node->region != region || !check_node(heap, node))
      return false;
    at += node->capacity;
    sum->blocks++;
    sum->free_blocks += node->state == FREE;
    sum->free_bytes += node->state == FREE && node->backed ? node->capacity : 0;
    sum->taken += is_taken(node);
  }
  return at == region->end;
}

static bool check_list(const struct uni_heap *heap, struct size_class c, size_t *blocks) {
  const struct node *list = heap->lists[c.power][c.part], *previous = NULL;
  bool marked = heap->classes[c.power] >> c.part & 1;
  if (marked != (list != NULL))
    return false;
  for (const struct node *node = list; node; previous = node, node = node->next, (*blocks)++) {
    struct size_class own = class_of(usable(heap, node));
    if (node->state != FREE || node->previous != previous || own.power != c.power || own.part != c.part)
      return false;
  }
  return true;
}

static bool check_lists(const struct uni_heap *heap, size_t *blocks) {
  for (unsigned power = 0; power < POWERS; power++) {
    if ((heap->powers >> power & 1) != (heap->classes[power] != 0))
      return false;
    for (unsigned part = 0; part < SPLIT; part++)
      if (!check_list(heap, (struct size_class){power, part}, blocks))
        return false;
  }
  return true;
}

bool uni_heap_check(const struct uni_heap *heap) {
  struct totals sum = {0};
  size_t listed = 0;
  for (size_t i = 0; i < heap->region_count; i++) {
    if (i > 0 && heap->regions[i - 1]->end > heap->regions[i]->start)
      return false;
    if (!check_region(heap, heap->regions[i], &sum))
      return false;
  }
  return check_lists(heap, &listed) && listed == sum.free_blocks && sum.blocks == heap->nodes.used &&
         sum.free_bytes == heap->free_bytes && sum.taken == heap->taken_blocks;
}
