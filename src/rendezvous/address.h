/* Where rank 0 can be reached from other machines, and how the others get there. */
#ifndef UNI_RENDEZVOUS_ADDRESS_H
#define UNI_RENDEZVOUS_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "unisono.h"

enum { UNI_MOST_ADDRESSES = 5, UNI_PORTS = 8, UNI_IFACE = 16 };

struct uni_address {
  uint8_t family; /* 4 or 6 */
  uint8_t bytes[16];
};

struct uni_addresses {
  uint16_t ports[UNI_PORTS]; /* rank 0 listens at the first that is free; 0: no more */
  uint8_t n;
  struct uni_address list[UNI_MOST_ADDRESSES];
};

/* This machine's addresses, of UNISONO_IFACE or of all interfaces but the loopback; none is fine. INVALID:
 * there is no such interface. */
unisono_status uni_addresses_here(struct uni_addresses *addresses);

/* What a host's name or number stands for. */
unisono_status uni_addresses_of(const char *host, struct uni_addresses *addresses);

bool uni_addresses_are_loopback(const struct uni_addresses *addresses);

/* Is one of them this machine's? */
bool uni_addresses_are_here(const struct uni_addresses *addresses);

/* A socket that listens at one of the ports, at UNISONO_IFACE or everywhere. */
unisono_status uni_listen(const struct uni_addresses *addresses, int *listener);

/* Connects to address and port number `attempt`, counted through all of them in turn. *socket -1: nobody
 * there. */
unisono_status uni_connect(const struct uni_addresses *addresses, unsigned attempt, int timeout_ms,
                           int *socket);

/* The name of the interface that the connected socket goes through; "" when that cannot be told. */
void uni_iface_of(int socket, char name[UNI_IFACE]);

#endif
