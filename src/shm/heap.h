/* An allocator that keeps all its bookkeeping in private memory: the memory it serves is shared with peers,
 * who must not be able to lead it astray. It hands out pieces of the regions that it was given; it never
 * touches them. Not thread-safe. */
#ifndef UNI_SHM_HEAP_H
#define UNI_SHM_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct uni_heap;

struct uni_block {
  char *start;      /* of the block */
  size_t requested; /* bytes asked for */
  size_t capacity;  /* bytes it really has: [start + requested, start + capacity) is nobody's */
  uint32_t region;  /* the id that its region was added with */
  bool backed;      /* false: its memory was given back to the system and must be reserved before use */
};

/* NULL: out of memory. */
struct uni_heap *uni_heap_new(void);
void uni_heap_delete(struct uni_heap *heap); /* frees the bookkeeping only */

/* Adds a region, page-aligned, whose memory is backed and that overlaps no other; what is not a whole page at
 * its end is left out. Blocks of different regions are never merged. False: out of (private) memory. */
bool uni_heap_add(struct uni_heap *heap, void *start, size_t bytes, uint32_t region);

/* Takes a block of at least `bytes`: 64-byte aligned; from a page on, page-aligned with a capacity of whole
 * pages. False: no free block is large enough (add a region: one of `bytes`, in whole pages, always serves
 * the next take), or out of private memory. */
bool uni_heap_take(struct uni_heap *heap, size_t bytes, struct uni_block *block);

/* Gives the block that starts at `start` back and merges it with its free neighbours. *freed is the free
 * block that it is now part of, backed only if all its parts are (where it is not, some of its pages may
 * still be there); capacity 0 for a retired block. Needs no memory. False: `start` is not the start of a
 * taken block. */
bool uni_heap_give(struct uni_heap *heap, void *start, struct uni_block *freed);

/* The taken block that contains `address`; false: none does. O(log of the regions and their sizes). */
bool uni_heap_find(const struct uni_heap *heap, const void *address, struct uni_block *block);

/* Notes that the taken block at `start` is backed, or that the free block there is (not) backed any more. */
void uni_heap_set_backed(struct uni_heap *heap, void *start, bool backed);

/* Makes the taken block unusable for good: its addresses are never handed out again (it still ends with
 * uni_heap_give, which then frees no memory). */
void uni_heap_retire(struct uni_heap *heap, void *start);

size_t uni_heap_free_bytes(const struct uni_heap *heap); /* backed free bytes */
size_t uni_heap_taken_blocks(const struct uni_heap *heap);

/* Checks every invariant; for tests. */
bool uni_heap_check(const struct uni_heap *heap);

#endif
