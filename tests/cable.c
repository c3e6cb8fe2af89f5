#include "cable.h"

#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LONGEST = 2048, MOST = 4096, LOOK_MS = 100 };

struct frame {
  int64_t due_us;
  int to; /* a socket */
  size_t bytes;
  char data[LONGEST];
};

static struct frame *frames; /* a ring: all have the same delay */
static size_t first, number;

static void must(int result, const char *what) {
  if (result < 0) {
    perror(what);
    _exit(1);
  }
}

void cable_prepare(const char *interface) {
  static const uint32_t off[] = {ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_STXCSUM};
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  must(fd, "socket");
  for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
    struct ethtool_value value = {.cmd = off[i]};
    struct ifreq request = {.ifr_data = (void *)&value};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
    must(ioctl(fd, SIOCETHTOOL, &request), interface);
  }
  close(fd);
}

static int tap(const char *interface) {
  int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), yes = 1, room = 8 << 20;
  struct sockaddr_ll place = {.sll_family = AF_PACKET,
                              .sll_protocol = htons(ETH_P_ALL),
                              .sll_ifindex = (int)if_nametoindex(interface)};
  must(fd, "socket(AF_PACKET)");
  must(bind(fd, (struct sockaddr *)&place, sizeof place), interface);
  must(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof yes), "PACKET_IGNORE_OUTGOING");
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  return fd;
}

static int64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void take(int from, int to, int delay_ms, int loss_percent) {
  struct frame *f = &frames[(first + number) % MOST];
  ssize_t bytes;
  while (number < MOST && (bytes = recv(from, f->data, sizeof f->data, MSG_DONTWAIT)) > 0) {
    if (rand() % 100 < loss_percent)
      continue;
    f->bytes = (size_t)bytes;
    f->to = to;
    f->due_us = now_us() + delay_ms * 1000;
    f = &frames[(first + ++number) % MOST];
  }
}

/* Milliseconds until the next one. */
static int give(void) {
  int64_t now = now_us();
  for (; number && frames[first].due_us <= now; first = (first + 1) % MOST, number--)
    if (send(frames[first].to, frames[first].data, frames[first].bytes, 0) < 0)
      continue; /* it is lost: the link is down, or full */
  return number ? (int)((frames[first].due_us - now + 999) / 1000) : LOOK_MS;
}

_Noreturn void cable_run(const char *a, const char *b, int delay_ms, int loss_percent, pid_t owner) {
  struct pollfd ends[2] = {{.fd = tap(a), .events = POLLIN}, {.fd = tap(b), .events = POLLIN}};
  frames = calloc(MOST, sizeof *frames);
  while (frames && kill(owner, 0) == 0) {
    int wait = give();
    poll(ends, 2, wait < LOOK_MS ? wait : LOOK_MS);
    take(ends[0].fd, ends[1].fd, delay_ms, loss_percent);
    take(ends[1].fd, ends[0].fd, delay_ms, loss_percent);
  }
  _exit(0);
}
