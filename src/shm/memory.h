/* The memory that this rank serves to the peers of its world: pieces of segments (unisono_mem_alloc) and
 * pages of the caller's own (unisono_mem_register). Peers learn of a segment by a letter when it is made. */
#ifndef UNI_SHM_MEMORY_H
#define UNI_SHM_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unisono.h"

struct uni_world;

#define UNI_PRIVATE UINT32_MAX /* no segment */
#define UNI_OFFSET_MAX (UINT64_MAX >> 3)

/* Where a buffer is, as its owner tells its peers. */
struct uni_ref {
  uint64_t offset : 61; /* in the segment, of the buffer's byte `head` */
  uint64_t way : 1;     /* words that a rank sends along: see reclaim.h, handover.h */
  uint64_t timed : 1;
  uint64_t whole : 1;  /* the last page holds nothing but this buffer, even where it ends inside */
  uint32_t segment;    /* UNI_PRIVATE: not reachable */
  uint16_t head, tail; /* bytes at the start and at the end that are not in the segment: less than a page */
};
_Static_assert(sizeof(struct uni_ref) == 16, "two of them ride in an arrival line");

unisono_status uni_memory_open(struct uni_world *world);

/* The world ends; blocks that the caller still holds stay. */
void uni_memory_close(struct uni_world *world);

unisono_status uni_memory_alloc(struct uni_world *world, size_t bytes, void **ptr);
unisono_status uni_memory_register(struct uni_world *world, void *ptr, size_t bytes);

/* From whichever memory of this process it came. */
unisono_status uni_memory_free(void *ptr);
unisono_status uni_memory_deregister(void *ptr);

/* Changes whenever an answer of uni_memory_resolve may have become wrong. */
uint64_t uni_memory_epoch(struct uni_world *world);

/* Where [buffer, buffer + bytes) is. False: some peer could not be told of its segment yet, so that it counts
 * as private for now. */
bool uni_memory_resolve(struct uni_world *world, const void *buffer, size_t bytes, struct uni_ref *ref);

/* Replaces the whole pages of a receive buffer that peers may still write to by private copies: whatever a
 * peer writes from now on goes nowhere. */
void uni_memory_detach(struct uni_world *world, void *start, size_t bytes);

#endif
