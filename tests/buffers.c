#include "buffers.h"

#include <stdint.h>
#include <stdlib.h>

#include "harness.h"

enum { GUARD = 64, ALIGNMENT = 64 };

unsigned char buffer_pattern(long place) {
  return (unsigned char)(0xa5 ^ (place * 7));
}

const char *memory_name(enum memory memory) {
  static const char *const names[MEMORY_KINDS] = {"private", "shared", "registered"};
  return names[memory];
}

/* Odd at both ends, and not the same as the data's. */
static void *registered_part(const struct buffer *buffer) {
  return buffer->data - 3;
}

struct buffer buffer_new(unisono_comm *comm, enum memory memory, size_t bytes, size_t offset) {
  struct buffer b = {.memory = memory, .comm = comm, .bytes = bytes};
  size_t before =
      (GUARD + offset + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; /* the data must start at `offset` */
  size_t total = before + offset + bytes + GUARD;
  if (memory == MEMORY_SHARED)
    CHECK_OK(unisono_mem_alloc(comm, total, (void **)&b.block));
  else
    b.block = aligned_alloc(ALIGNMENT, (total + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
  CHECK(b.block && (uintptr_t)b.block % ALIGNMENT == 0);
  b.data = b.block + before + offset;
  for (long i = -GUARD; i < (long)bytes + GUARD; i++)
    b.data[i] = buffer_pattern(i);
  if (memory == MEMORY_REGISTERED)
    CHECK_OK(unisono_mem_register(comm, registered_part(&b), bytes + 8));
  return b;
}

static void check_pattern(const struct buffer *b, long from, long to, const char *where) {
  for (long i = from; i < to; i++)
    if (b->data[i] != buffer_pattern(i))
      FAIL("byte %ld %s of a %s buffer of %zu bytes was written: 0x%02x", i, where, memory_name(b->memory),
           b->bytes, b->data[i]);
}

void buffer_check_guards(const struct buffer *buffer) {
  check_pattern(buffer, -GUARD, 0, "before the start");
  check_pattern(buffer, (long)buffer->bytes, (long)buffer->bytes + GUARD, "after the end");
}

void buffer_check_untouched(const struct buffer *buffer) {
  check_pattern(buffer, -GUARD, (long)buffer->bytes + GUARD, "(untouched so far)");
}

void buffer_free(struct buffer *buffer) {
  if (buffer->memory == MEMORY_REGISTERED)
    CHECK_OK(unisono_mem_deregister(buffer->comm, registered_part(buffer)));
  if (buffer->memory == MEMORY_SHARED)
    CHECK_OK(unisono_mem_free(buffer->comm, buffer->block));
  else
    free(buffer->block);
  *buffer = (struct buffer){0};
}
