#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engines/pmi.h"

static bool say(int fd, const char *line) {
  size_t n = strlen(line);
  ssize_t sent;
  do
    sent = send(fd, line, n, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent == (ssize_t)n;
}

/* Reads one line to its end and not further. As in MPI_Finalize there is no time limit: other ranks may have
 * much to do yet. Where one dies the launcher ends them all, and where the launcher does the connection ends.
 */
static void await_line(int fd) {
  char c = 0;
  ssize_t got;
  do
    got = read(fd, &c, 1);
  while ((got == 1 && c != '\n') || (got < 0 && errno == EINTR));
}

bool uni_pmi_leave(void) {
  const char *text = getenv("PMI_FD");
  int fd = text ? atoi(text) : -1;
  if (fd < 0 || !say(fd, "cmd=barrier_in\n"))
    return false;
  await_line(fd); /* cmd=barrier_out; whatever it is, or where the launcher is gone, this rank is over */
  if (say(fd, "cmd=finalize\n"))
    await_line(fd);
  return true;
}
