#include "rendezvous/letter.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"

enum { WIRE_BYTES = offsetof(struct uni_letter, fds), RETRY_MS = 2 };

void uni_letter_init(struct uni_letter *letter, enum uni_letter_kind kind) {
  memset(letter, 0, sizeof *letter);
  letter->kind = kind;
  for (int i = 0; i < UNI_LETTER_FDS; i++)
    letter->fds[i] = -1;
}

void uni_letter_close_fds(struct uni_letter *letter) {
  for (int i = 0; i < UNI_LETTER_FDS; i++)
    if (letter->fds[i] >= 0) {
      close(letter->fds[i]);
      letter->fds[i] = -1;
    }
}

union control {
  char bytes[CMSG_SPACE(sizeof(int) * UNI_LETTER_FDS)];
  struct cmsghdr align;
};

static void attach_fds(struct msghdr *message, union control *control, const struct uni_letter *letter) {
  int n = 0;
  while (n < UNI_LETTER_FDS && letter->fds[n] >= 0)
    n++;
  if (n == 0)
    return;
  memset(control, 0, sizeof *control);
  message->msg_control = control->bytes;
  message->msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)n);
  struct cmsghdr *c = CMSG_FIRSTHDR(message);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)n);
  memcpy(CMSG_DATA(c), letter->fds, sizeof(int) * (size_t)n);
}

enum uni_delivery uni_letter_send(int socket, const struct uni_letter *letter) {
  union control control;
  struct iovec part = {.iov_base = (void *)(uintptr_t)letter, .iov_len = WIRE_BYTES};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  attach_fds(&message, &control, letter);
  ssize_t sent;
  do
    sent = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (sent < 0 && errno == EINTR);
  if (sent == WIRE_BYTES)
    return UNI_DELIVERED;
  if (sent < 0 && (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN))
    return UNI_CLOSED;
  /* ETOOMANYREFS: too many descriptors of this user are on their way; they are read sooner or later */
  if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ETOOMANYREFS || errno == ENOBUFS))
    return UNI_NOT_YET;
  return UNI_FAILED;
}

enum uni_delivery uni_letter_send_wait(int socket, const struct uni_letter *letter, int64_t deadline) {
  enum uni_delivery d;
  while ((d = uni_letter_send(socket, letter)) == UNI_NOT_YET && uni_now() < deadline)
    uni_sleep_ms(RETRY_MS);
  return d;
}

/* Takes the descriptors out of a received message; those beyond the letter's places are closed. */
static void detach_fds(struct msghdr *message, struct uni_letter *letter) {
  int taken = 0;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
      continue;
    size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < n; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
      if (taken < UNI_LETTER_FDS)
        letter->fds[taken++] = fd;
      else
        close(fd);
    }
  }
}

enum uni_delivery uni_letter_receive(int socket, struct uni_letter *letter) {
  union control control;
  uni_letter_init(letter, 0);
  struct iovec part = {.iov_base = letter, .iov_len = WIRE_BYTES};
  struct msghdr message = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = control.bytes,
                           .msg_controllen = sizeof control.bytes};
  ssize_t got;
  int resets = 0;
  /* a peer that ends without having read all of its letters resets the socket: told once, and before what it
   * had sent, which is still there */
  do
    got = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  while (got < 0 && (errno == EINTR || (errno == ECONNRESET && resets++ == 0)));
  if (got < 0)
    return errno == EAGAIN || errno == EWOULDBLOCK ? UNI_NOT_YET : UNI_CLOSED;
  detach_fds(&message, letter);
  letter->text[UNI_LETTER_TEXT - 1] = 0;
  if (got == WIRE_BYTES && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
    return UNI_DELIVERED;
  uni_letter_close_fds(letter);
  return got == 0 ? UNI_CLOSED : UNI_FAILED;
}

enum uni_delivery uni_letter_receive_wait(int socket, struct uni_letter *letter, int64_t deadline) {
  for (;;) {
    enum uni_delivery d = uni_letter_receive(socket, letter);
    if (d != UNI_NOT_YET || uni_now() >= deadline)
      return d;
    struct pollfd p = {.fd = socket, .events = POLLIN};
    poll(&p, 1, uni_ms_until(deadline, 100));
  }
}
