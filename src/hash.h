/* FNV-1a, for keys and checks: not against anybody who means ill. */
#ifndef UNI_HASH_H
#define UNI_HASH_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t uni_hash(const void *bytes, size_t n, uint64_t seed) {
  uint64_t hash = seed;
  for (size_t i = 0; i < n; i++)
    hash = (hash ^ ((const unsigned char *)bytes)[i]) * UINT64_C(0x100000001b3);
  return hash;
}

#endif
