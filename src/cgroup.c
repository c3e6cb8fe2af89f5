#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---------------------------------------------------------------------------------- small files */

bool uni_text_read(const char *path, char *text, size_t n) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return false;
  size_t used = 0;
  ssize_t got = 1;
  while (used < n - 1 && got != 0) {
    got = read(fd, text + used, n - 1 - used);
    if (got > 0)
      used += (size_t)got;
    else if (got < 0 && errno != EINTR)
      break;
  }
  close(fd);
  text[used] = '\0';
  return got >= 0;
}

/* A number without a sign, followed by white space or the end. */
static bool parse_number(const char *text, uint64_t *number) {
  text += strspn(text, " \t");
  if (*text < '0' || *text > '9')
    return false;
  char *end;
  errno = 0;
  unsigned long long value = strtoull(text, &end, 10);
  if (errno || (*end && !strchr(" \t\n", *end)))
    return false;
  *number = value;
  return true;
}

bool uni_text_number(const char *text, const char *key, uint64_t *number) {
  size_t length = strlen(key);
  for (const char *line = text; line; line = strchr(line, '\n')) {
    line += *line == '\n';
    if (strncmp(line, key, length) == 0 && line[length] && strchr(" \t", line[length]))
      return parse_number(line + length, number);
  }
  return false;
}

bool uni_cgroup_text(const struct uni_cgroup *group, const char *file, char *text, size_t n) {
  char path[PATH_MAX + 64];
  snprintf(path, sizeof path, "%s/%s", group->path, file);
  return uni_text_read(path, text, n);
}

bool uni_cgroup_number(const struct uni_cgroup *group, const char *file, uint64_t *number) {
  char text[64];
  if (!uni_cgroup_text(group, file, text, sizeof text))
    return false;
  if (strcmp(text, "max\n") == 0 || strcmp(text, "max") == 0) {
    *number = UINT64_MAX;
    return true;
  }
  return parse_number(text, number);
}

/* ----------------------------------------------------------------------------- finding the group */

/* Whether `word` is one of the parts of a comma-separated list. */
static bool lists(const char *list, const char *word) {
  size_t length = strlen(word);
  for (const char *at = list; at; at = strchr(at, ',')) {
    at += *at == ',';
    if (strncmp(at, word, length) == 0 && (at[length] == ',' || at[length] == '\0'))
      return true;
  }
  return false;
}

/* Calls look(line, arg) for every line of a file, its end cut off, until it returns true. */
static bool any_line(const char *root, const char *file, bool (*look)(char *line, void *arg), void *arg) {
  char path[PATH_MAX], *line = NULL;
  size_t room = 0;
  snprintf(path, sizeof path, "%s%s", root, file);
  FILE *stream = fopen(path, "re");
  if (!stream)
    return false;
  bool found = false;
  while (!found && getline(&line, &room, stream) >= 0) {
    line[strcspn(line, "\n")] = '\0';
    found = look(line, arg);
  }
  free(line);
  fclose(stream);
  return found;
}

struct search {
  const char *root, *controller;
  struct uni_cgroup *group;
  int version;           /* 0: not in any group seen so far */
  char member[PATH_MAX]; /* the group's path within its hierarchy */
  bool mounted;
};

/* /proc/self/cgroup has a line "hierarchy:controllers:path" for each hierarchy; "0::path" is version 2, which
 * serves the controllers that no version 1 hierarchy has. */
static bool look_at_membership(char *line, void *arg) {
  struct search *s = arg;
  char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
  if (!path)
    return false;
  *controllers++ = '\0';
  *path++ = '\0';
  bool second = strcmp(line, "0") == 0 && *controllers == '\0';
  if (!second && !lists(controllers, s->controller))
    return false;
  s->version = second ? 2 : 1;
  snprintf(s->member, sizeof s->member, "%s", path);
  return !second;
}

/* mountinfo writes blanks and backslashes in paths as octal numbers: "\040". */
static void unescape(char *path) {
  char *to = path;
  for (const char *from = path; *from; to++) {
    unsigned code = 0;
    if (from[0] == '\\' && sscanf(from + 1, "%3o", &code) == 1 && code < 256) {
      *to = (char)code;
      from += 4;
    } else {
      *to = *from++;
    }
  }
  *to = '\0';
}

/* The part of `path` below the directory `top`; NULL: it is not below it. */
static const char *below(const char *path, const char *top) {
  size_t length = strcmp(top, "/") == 0 ? 0 : strlen(top);
  if (strncmp(path, top, length) != 0 || (path[length] != '/' && path[length] != '\0'))
    return NULL;
  return strcmp(path + length, "/") == 0 ? "" : path + length;
}

/* Sets the group's directory; false when it does not exist, or does not fit. */
static bool settle(struct search *s, const char *mount_point, const char *member) {
  struct uni_cgroup *group = s->group;
  int length = snprintf(group->path, sizeof group->path, "%s%s%s", s->root, mount_point, member);
  if (length < 0 || (size_t)length >= sizeof group->path || access(group->path, X_OK) != 0)
    return false;
  group->version = s->version;
  group->top = strlen(s->root) + strlen(mount_point);
  s->mounted = true;
  return true;
}

/* A line of mountinfo: "id parent device root mount-point options ... - type source options". In a container
 * the group may not lie below the root of the mount: then what is mounted is taken for the group. */
static bool look_at_mount(char *line, void *arg) {
  struct search *s = arg;
  char *tail = strstr(line, " - "), *field[5], *rest = line;
  for (int i = 0; i < 5; i++)
    if (!(field[i] = strsep(&rest, " ")))
      return false;
  char type[16], options[256];
  if (!tail || sscanf(tail, " - %15s %*s %255s", type, options) != 2)
    return false;
  bool fits = s->version == 2 ? strcmp(type, "cgroup2") == 0
                              : strcmp(type, "cgroup") == 0 && lists(options, s->controller);
  if (!fits)
    return false;
  unescape(field[3]);
  unescape(field[4]);
  const char *member = below(s->member, field[3]);
  if (member && !strstr(member, "/..") && settle(s, field[4], member))
    return true;
  if (!s->mounted)
    settle(s, field[4], "");
  return false; /* a later mount may show the group itself */
}

bool uni_cgroup_find(const char *root, const char *controller, struct uni_cgroup *group) {
  struct search s = {.root = root, .controller = controller, .group = group};
  any_line(root, "/proc/self/cgroup", look_at_membership, &s);
  if (!s.version)
    return false;
  return any_line(root, "/proc/self/mountinfo", look_at_mount, &s) || s.mounted;
}

bool uni_cgroup_up(struct uni_cgroup *group) {
  char *slash = strrchr(group->path, '/');
  if (!slash || strlen(group->path) <= group->top)
    return false;
  *slash = '\0';
  return true;
}
