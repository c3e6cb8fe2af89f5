/* Whole pages of this process's memory: what they are, and moving them between private and shared. */
#ifndef UNI_SHM_PAGES_H
#define UNI_SHM_PAGES_H

#include <stddef.h>

#include "unisono.h"

struct uni_pages {
  char *start;
  size_t bytes;
};

/* The whole pages inside [ptr, ptr + bytes). */
struct uni_pages uni_pages_inside(const void *ptr, size_t bytes);

/* INVALID unless all of it is private, anonymous, writable memory. */
unisono_status uni_pages_check_private(const void *ptr, size_t bytes);

/* Writes the pages' contents into a memfd. */
unisono_status uni_pages_save(struct uni_pages pages, int fd);

/* Replaces the pages by private anonymous ones of the same contents. */
unisono_status uni_pages_make_private(struct uni_pages pages);

#endif
