/* What the ranks write: cut into lines, prefixed with the rank, written without ever waiting
 * for the reader. */
#include "run.h"
#include "tool.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void need(char **data, size_t *capacity, size_t bytes) {
  if (bytes <= *capacity)
    return;
  size_t wanted = bytes > 2 * *capacity ? bytes : 2 * *capacity;
  char *larger = realloc(*data, wanted);
  if (!larger) {
    fputs("unisono run: not enough memory for a line of this length\n", stderr);
    _exit(TOOL_FAILED); /* the keeper ends the ranks */
  }
  *data = larger;
  *capacity = wanted;
}

static void put(struct output *output, const char *data, size_t bytes) {
  need(&output->data, &output->capacity, output->used + bytes);
  memcpy(output->data + output->used, data, bytes);
  output->used += bytes;
}

static void put_line(struct output *output, int rank, const char *line, size_t bytes) {
  char prefix[24];
  int length = snprintf(prefix, sizeof prefix, "[%d] ", rank);
  put(output, prefix, (size_t)length);
  put(output, line, bytes);
}

/* Moves the whole lines of a stream to the output, and at the stream's end the rest as well, ended
 * as a line. */
static void put_lines(struct output *output, int rank, struct stream *stream, size_t searched, bool end) {
  char *from = stream->data, *limit = stream->data + stream->used, *newline;
  output->to = stream->to;
  for (char *at = from + searched; (newline = memchr(at, '\n', (size_t)(limit - at))); at = from) {
    put_line(output, rank, from, (size_t)(newline + 1 - from));
    from = newline + 1;
  }
  stream->used = (size_t)(limit - from);
  memmove(stream->data, from, stream->used);
  if (end && stream->used) {
    put_line(output, rank, stream->data, stream->used);
    put(output, "\n", 1);
    stream->used = 0;
  }
}

void run_read(struct job *job, int rank, struct stream *stream) {
  enum { CHUNK = 1 << 16 };
  need(&stream->data, &stream->capacity, stream->used + CHUNK);
  ssize_t got = read(stream->fd, stream->data + stream->used, CHUNK);
  if (got < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  size_t searched = stream->used;
  stream->used += got > 0 ? (size_t)got : 0;
  if (!job->output.broken)
    put_lines(&job->output, rank, stream, searched, got <= 0);
  else
    stream->used = 0;
  if (got <= 0) {
    close(stream->fd);
    stream->fd = -1;
  }
}

bool run_output_waits(const struct job *job) {
  return job->output.written < job->output.used;
}

/* Called when poll has said that the descriptor takes something: PIPE_BUF bytes then don't block. */
void run_write(struct job *job) {
  struct output *output = &job->output;
  size_t rest = output->used - output->written;
  ssize_t put = write(output->to, output->data + output->written, rest < PIPE_BUF ? rest : PIPE_BUF);
  if (put < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  if (put < 0) {
    output->broken = true;
    output->written = output->used;
  } else
    output->written += (size_t)put;
  if (output->written == output->used)
    output->written = output->used = 0;
}

/* Goes behind the lines that wait, so that it does not tear one. */
void run_message(struct job *job, const char *format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (job->output.to == STDERR_FILENO || !run_output_waits(job)) {
    job->output.to = STDERR_FILENO;
    put(&job->output, text, strlen(text));
  } else
    fputs(text, stderr);
}
