/* Memory for tests: of every kind that a rank can hand to the library, with guard bytes around it. */
#ifndef TESTS_BUFFERS_H
#define TESTS_BUFFERS_H

#include <unisono.h>

enum memory {
  MEMORY_PRIVATE,    /* malloc */
  MEMORY_SHARED,     /* unisono_mem_alloc */
  MEMORY_REGISTERED, /* malloc, part of it with unisono_mem_register: from an odd address, an odd number of
                        bytes */
  MEMORY_KINDS
};

struct buffer {
  enum memory memory;
  unisono_comm *comm;
  unsigned char *block; /* what was allocated */
  unsigned char *data;  /* `bytes` between the guards */
  size_t bytes;
};

/* `offset`: bytes from a 64-byte boundary to the data. Everything is filled with the guard pattern. */
struct buffer buffer_new(unisono_comm *comm, enum memory memory, size_t bytes, size_t offset);

/* Fails the test when something was written outside the data. */
void buffer_check_guards(const struct buffer *buffer);

/* Fails the test unless all of the data is still as buffer_new left it. */
void buffer_check_untouched(const struct buffer *buffer);

/* After the communicator is gone set buffer->comm to NULL first. */
void buffer_free(struct buffer *buffer);

/* What buffer_new puts at `place` bytes from the data. */
unsigned char buffer_pattern(long place);

const char *memory_name(enum memory memory);

#endif
