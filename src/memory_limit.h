/* How much memory this process may still have. */
#ifndef UNI_MEMORY_LIMIT_H
#define UNI_MEMORY_LIMIT_H

#include <stddef.h>
#include <stdint.h>

struct uni_memory_limit {
  uint64_t available; /* bytes that may be reserved now, the margin taken off; UINT64_MAX: nobody knows */
  uint64_t margin;    /* bytes that are left to everybody else */
  char limit[192];    /* what sets the limit, in words */
};

/* Looks at the machine and at this process's control groups; `root` is put in front of every path (for
 * tests). */
void uni_memory_limit_look(const char *root, struct uni_memory_limit *memory);

/* The bytes that may be reserved now; `limit_text` (n bytes) gets what limits them. */
uint64_t uni_memory_available(char *limit_text, size_t n);

#endif
