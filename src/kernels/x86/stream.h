/* Copies past the caches, for memory that another processor reads next. The includer has defined
 * VECTOR_BYTES, read_vec, and stream_vec, which stores a vector to an aligned address without reading its
 * line before. */
#ifndef UNI_KERNELS_X86_STREAM_H
#define UNI_KERNELS_X86_STREAM_H

#include <immintrin.h>
#include <string.h>

enum { UNI_STREAM_ALIGN = 64 }; /* a line */

/* Streamed stores are not ordered with others: the fence puts them before the release store that tells of
 * them. */
static void stream(void *to, const void *from, size_t bytes) {
  char *out = to;
  const char *in = from;
  size_t head = -(uintptr_t)out % UNI_STREAM_ALIGN;
  if (head >= bytes)
    head = bytes;
  memcpy(out, in, head);
  size_t at = head;
  for (; bytes - at >= UNI_STREAM_ALIGN; at += UNI_STREAM_ALIGN)
    for (size_t i = 0; i < UNI_STREAM_ALIGN; i += VECTOR_BYTES) /* a line at a time */
      stream_vec(out + at + i, read_vec(in + at + i));
  memcpy(out + at, in + at, bytes - at);
  _mm_sfence();
}

#endif
