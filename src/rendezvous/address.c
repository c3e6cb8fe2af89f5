#include "rendezvous/address.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"

enum { BACKLOG = 512 };

static const char *wanted_iface(void) {
  const char *name = getenv("UNISONO_IFACE");
  return name && *name ? name : NULL;
}

/* ---- addresses */

static bool read_address(const struct sockaddr *from, struct uni_address *to) {
  memset(to, 0, sizeof *to);
  if (from && from->sa_family == AF_INET) {
    to->family = 4;
    memcpy(to->bytes, &((const struct sockaddr_in *)(const void *)from)->sin_addr, 4);
  } else if (from && from->sa_family == AF_INET6) {
    const struct in6_addr *a = &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(a)) {
      to->family = 4;
      memcpy(to->bytes, a->s6_addr + 12, 4);
    } else {
      to->family = 6;
      memcpy(to->bytes, a, 16);
    }
  }
  return to->family != 0;
}

static socklen_t write_address(const struct uni_address *from, uint16_t port, struct sockaddr_storage *to) {
  memset(to, 0, sizeof *to);
  if (from->family == 4) {
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)to;
    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    memcpy(&in->sin_addr, from->bytes, 4);
    return sizeof *in;
  }
  struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)to;
  in6->sin6_family = AF_INET6;
  in6->sin6_port = htons(port);
  memcpy(&in6->sin6_addr, from->bytes, 16);
  return sizeof *in6;
}

static bool same_address(const struct uni_address *a, const struct uni_address *b) {
  return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

/* An address of the link's own has no meaning without the interface, which another machine names otherwise.
 */
static bool is_local_to_link(const struct uni_address *a) {
  return a->family == 6 && a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

static bool is_loopback(const struct uni_address *a) {
  static const uint8_t one[16] = {[15] = 1};
  return a->family == 4 ? a->bytes[0] == 127 : memcmp(a->bytes, one, sizeof one) == 0;
}

static void add_address(struct uni_addresses *addresses, const struct uni_address *a) {
  bool known = addresses->n == UNI_MOST_ADDRESSES || is_local_to_link(a);
  for (int i = 0; i < addresses->n && !known; i++)
    known = same_address(&addresses->list[i], a);
  if (!known)
    addresses->list[addresses->n++] = *a;
}

unisono_status uni_addresses_here(struct uni_addresses *addresses) {
  struct ifaddrs *all;
  const char *wanted = wanted_iface();
  addresses->n = 0;
  if (getifaddrs(&all) != 0)
    return uni_fail_errno("listing the network interfaces");
  for (int family = 4; family <= 6; family += 2)
    for (struct ifaddrs *i = all; i; i = i->ifa_next) {
      struct uni_address a;
      bool fits =
          wanted ? strcmp(i->ifa_name, wanted) == 0 : (i->ifa_flags & (IFF_UP | IFF_LOOPBACK)) == IFF_UP;
      if (fits && read_address(i->ifa_addr, &a) && a.family == family)
        add_address(addresses, &a);
    }
  freeifaddrs(all);
  if (wanted && addresses->n == 0)
    return uni_fail(UNISONO_ERROR_INVALID,
                    "UNISONO_IFACE=%s is no network interface with an address; see `ip addr`", wanted);
  return UNISONO_OK;
}

unisono_status uni_addresses_of(const char *host, struct uni_addresses *addresses) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *all;
  int error = getaddrinfo(host, NULL, &hints, &all);
  if (error) {
    hints.ai_flags = 0;
    error = getaddrinfo(host, NULL, &hints, &all);
  }
  addresses->n = 0;
  if (error)
    return uni_fail(UNISONO_ERROR_INVALID, "MASTER_ADDR=%s cannot be resolved: %s", host,
                    gai_strerror(error));
  for (struct addrinfo *i = all; i; i = i->ai_next) {
    struct uni_address a;
    if (read_address(i->ai_addr, &a))
      add_address(addresses, &a);
  }
  freeaddrinfo(all);
  return UNISONO_OK;
}

bool uni_addresses_are_loopback(const struct uni_addresses *addresses) {
  bool all = addresses->n > 0;
  for (int i = 0; i < addresses->n; i++)
    all = all && is_loopback(&addresses->list[i]);
  return all;
}

/* One can bind to one's own addresses only. */
bool uni_addresses_are_here(const struct uni_addresses *addresses) {
  bool here = false;
  for (int i = 0; i < addresses->n && !here; i++) {
    struct sockaddr_storage address;
    socklen_t n = write_address(&addresses->list[i], 0, &address);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    here = fd >= 0 && bind(fd, (struct sockaddr *)&address, n) == 0;
    if (fd >= 0)
      close(fd);
  }
  return here;
}

/* ---- sockets */

static int bind_at(const struct uni_address *address, uint16_t port) {
  struct sockaddr_storage where;
  socklen_t n = write_address(address, port, &where);
  int on = 1, off = 0, fd = socket(where.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return -1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (where.ss_family == AF_INET6)
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off); /* IPv4 comes in here too */
  if (bind(fd, (struct sockaddr *)&where, n) == 0 && listen(fd, BACKLOG) == 0)
    return fd;
  int saved = errno;
  close(fd);
  errno = saved;
  return -1;
}

/* Of this interface's addresses, the one that the others look for rank 0 at comes first. */
static void put_told_first(struct uni_addresses *here, const struct uni_addresses *told) {
  for (int i = 0; i < here->n; i++)
    for (int k = 0; k < told->n; k++)
      if (same_address(&here->list[i], &told->list[k])) {
        here->list[0] = told->list[k];
        return;
      }
}

unisono_status uni_listen(const struct uni_addresses *addresses, int *listener) {
  struct uni_addresses at = {.n = 0};
  if (wanted_iface()) {
    unisono_status status = uni_addresses_here(&at);
    if (status)
      return status;
    put_told_first(&at, addresses);
    at.n = 1;
  } else {
    at.list[0] = (struct uni_address){.family = 6}; /* everywhere, by IPv6 and IPv4 */
    at.list[1] = (struct uni_address){.family = 4}; /* where the system has no IPv6 */
    at.n = 2;
  }
  for (int p = 0; p < UNI_PORTS && addresses->ports[p]; p++)
    for (int i = 0; i < at.n; i++)
      if ((*listener = bind_at(&at.list[i], addresses->ports[p])) >= 0)
        return UNISONO_OK;
  return uni_fail_errno(
      "rank 0 cannot listen for the ranks of other machines at port %d; set UNISONO_PORT to one "
      "that is free",
      addresses->ports[0]);
}

static bool is_connected(int fd, int timeout_ms) {
  struct pollfd p = {.fd = fd, .events = POLLOUT};
  int error = 0;
  socklen_t n = sizeof error;
  return poll(&p, 1, timeout_ms) == 1 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) == 0 && error == 0;
}

/* A connection within one machine to a port that nobody listens at may meet itself. */
static bool is_itself(int fd) {
  struct sockaddr_storage a = {0}, b = {0};
  socklen_t n = sizeof a, m = sizeof b;
  return getsockname(fd, (struct sockaddr *)&a, &n) == 0 && getpeername(fd, (struct sockaddr *)&b, &m) == 0 &&
         memcmp(&a, &b, sizeof a) == 0;
}

unisono_status uni_connect(const struct uni_addresses *addresses, unsigned attempt, int timeout_ms, int *fd) {
  unsigned ports = 0;
  while (ports < UNI_PORTS && addresses->ports[ports])
    ports++;
  *fd = -1;
  if (ports == 0 || addresses->n == 0)
    return uni_fail(UNISONO_ERROR_UNSUPPORTED,
                    "rank 0 cannot be reached from another machine: its address is not known");
  struct sockaddr_storage address;
  socklen_t n = write_address(&addresses->list[attempt % addresses->n],
                              addresses->ports[attempt / addresses->n % ports], &address);
  int s = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (s < 0)
    return errno == EAFNOSUPPORT ? UNISONO_OK : uni_fail_errno("making a socket to rank 0");
  bool started = connect(s, (struct sockaddr *)&address, n) == 0 || errno == EINPROGRESS;
  if (started && is_connected(s, timeout_ms) && !is_itself(s))
    *fd = s;
  else
    close(s);
  return UNISONO_OK;
}

void uni_iface_of(int fd, char name[UNI_IFACE]) {
  struct sockaddr_storage where;
  socklen_t n = sizeof where;
  struct uni_address mine, other;
  struct ifaddrs *all;
  const char *wanted = wanted_iface();
  snprintf(name, UNI_IFACE, "%s", wanted ? wanted : "");
  if (wanted || getsockname(fd, (struct sockaddr *)&where, &n) != 0 ||
      !read_address((struct sockaddr *)&where, &mine) || getifaddrs(&all) != 0)
    return;
  for (struct ifaddrs *i = all; i; i = i->ifa_next)
    if (read_address(i->ifa_addr, &other) && same_address(&mine, &other))
      snprintf(name, UNI_IFACE, "%s", i->ifa_name);
  freeifaddrs(all);
}
