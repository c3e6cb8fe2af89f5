/* The n-ary fold over whole buffers, once for all types and operations: a kernel calls fold() with its steps,
 * which the compiler puts in place.
 *
 * Each input is read once and each output written once, UNROLL vectors at a time, to have that many chains
 * of operations in flight. All of a piece is read before any of it is written: an output may be an input. */
#ifndef UNI_KERNELS_VECTOR_FOLD_H
#define UNI_KERNELS_VECTOR_FOLD_H

#include <stdbool.h>

#include "kernels/vector/vector.h"

enum { UNROLL = 4 };

struct steps {
  size_t bytes; /* of a buffer that make one vector */
  /* Between memory and `vectors` vectors, 1 or UNROLL: which element goes to which lane is their affair. */
  void (*load)(vec *acc, const char *from, int vectors);
  void (*store)(char *to, const vec *acc, int vectors);
  vec (*combine)(vec a, vec b);
  vec (*finish)(vec a, size_t n_in);
  bool (*is_final)(const vec *acc, int vectors); /* may finish be left out? */
};

INLINE const char *input(const void *const *in, size_t j, size_t at) {
  return (const char *)in[j] + at;
}
INLINE char *output(void *const *out, size_t k, size_t at) {
  return (char *)out[k] + at;
}

/* Folds `vectors` vectors (a constant: 1 or UNROLL) at byte offset `at` of every buffer. */
INLINE void fold_vectors(void *const *out, size_t n_out, const void *const *in, size_t n_in, size_t at,
                         int vectors, struct steps s) {
  vec acc[UNROLL], next[UNROLL];
  s.load(acc, input(in, 0, at), vectors);
  for (size_t j = 1; j < n_in; j++) {
    s.load(next, input(in, j, at), vectors);
    for (int u = 0; u < vectors; u++)
      acc[u] = s.combine(acc[u], next[u]);
  }
  if (!s.is_final(acc, vectors))
    for (int u = 0; u < vectors; u++)
      acc[u] = s.finish(acc[u], n_in);
  for (size_t k = 0; k < n_out; k++)
    s.store(output(out, k, at), acc, vectors);
}

/* Folds from the start as many bytes as UNROLL vectors at a time can; returns how many. */
INLINE size_t fold_body(void *const *out, size_t n_out, const void *const *in, size_t n_in, size_t bytes,
                        struct steps s) {
  size_t at = 0, step = UNROLL * s.bytes;
  for (; bytes - at >= step; at += step)
    fold_vectors(out, n_out, in, n_in, at, UNROLL, s);
  return at;
}

#ifndef HAVE_PARTS /* else the includer knows better */
INLINE void copy_part(char *to, const char *from, size_t bytes) {
  for (; bytes >= 8; bytes -= 8, to += 8, from += 8)
    memcpy(to, from, 8);
  if (bytes & 4)
    memcpy(to, from, 4), to += 4, from += 4;
  if (bytes & 2)
    memcpy(to, from, 2), to += 2, from += 2;
  if (bytes & 1)
    *to = *from;
}

/* Reads less than VECTOR_BYTES bytes into a vector's worth of memory; the rest becomes zeros. */
INLINE void read_part(char part[VECTOR_BYTES], const char *from, size_t bytes) {
  memset(part, 0, VECTOR_BYTES);
  copy_part(part, from, bytes);
}

INLINE void write_part(char *to, const char part[VECTOR_BYTES], size_t bytes) {
  copy_part(to, part, bytes);
}
#endif

/* Folds the last `bytes` bytes, which do not fill a vector: no byte beside them is touched. */
INLINE void fold_part(void *const *out, size_t n_out, const void *const *in, size_t n_in, size_t at,
                      size_t bytes, struct steps s) {
  char part[VECTOR_BYTES];
  vec acc, next;
  read_part(part, input(in, 0, at), bytes);
  s.load(&acc, part, 1);
  for (size_t j = 1; j < n_in; j++) {
    read_part(part, input(in, j, at), bytes);
    s.load(&next, part, 1);
    acc = s.combine(acc, next);
  }
  acc = s.finish(acc, n_in);
  s.store(part, &acc, 1);
  for (size_t k = 0; k < n_out; k++)
    write_part(output(out, k, at), part, bytes);
}

/* Two inputs to one or two outputs are the most frequent cases: with the numbers and pointers as constants
 * of the loop, it has nothing in it but vector instructions. */
INLINE void fold(void *const *out, size_t n_out, const void *const *in, size_t n_in, size_t bytes,
                 struct steps s) {
  size_t at;
  if (n_in == 2 && n_out == 1)
    at = fold_body((void *[]){out[0]}, 1, (const void *[]){in[0], in[1]}, 2, bytes, s);
  else if (n_in == 2 && n_out == 2)
    at = fold_body((void *[]){out[0], out[1]}, 2, (const void *[]){in[0], in[1]}, 2, bytes, s);
  else
    at = fold_body(out, n_out, in, n_in, bytes, s);
  for (; bytes - at >= s.bytes; at += s.bytes)
    fold_vectors(out, n_out, in, n_in, at, 1, s);
  if (at < bytes)
    fold_part(out, n_out, in, n_in, at, bytes - at, s);
}

#endif
