/* The control group of this process, of version 1 or 2, and its ancestors as far as they can be seen: a limit
 * of any of them binds. `root` is put in front of every path: "" in earnest, a made-up tree in tests. */
#ifndef UNI_CGROUP_H
#define UNI_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct uni_cgroup {
  int version;         /* 1 or 2 */
  size_t top;          /* length of the part of `path` that is the mount point */
  char path[PATH_MAX]; /* the group's directory, `root` included */
};

/* Finds the group that `controller` ("memory", "cpu") accounts this process to. False: there is none. */
bool uni_cgroup_find(const char *root, const char *controller, struct uni_cgroup *group);

/* Turns it into its parent. False: it is the topmost one that can be seen. */
bool uni_cgroup_up(struct uni_cgroup *group);

/* Reads a whole file of the group, cut off after n - 1 bytes. False: it cannot be read. */
bool uni_cgroup_text(const struct uni_cgroup *group, const char *file, char *text, size_t n);

/* Reads a file that holds one number; "max" is UINT64_MAX. False: it is missing or holds something else. */
bool uni_cgroup_number(const struct uni_cgroup *group, const char *file, uint64_t *number);

/* Sets *number to the number behind `key` at the start of a line of `text`. False: there is none. */
bool uni_text_number(const char *text, const char *key, uint64_t *number);

/* Reads a whole file, cut off after n - 1 bytes. False: it cannot be read. */
bool uni_text_read(const char *path, char *text, size_t n);

#endif
