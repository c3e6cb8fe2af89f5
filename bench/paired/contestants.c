#include "contestants.h"

#include <string.h>

#include "data.h"
#include "flags.h"

enum { SMALL = 4096 }; /* the flag's time does not depend on the size: it is measured beside small ones */

static unisono_status unisono(const struct call *c) {
  unisono_comm *comm = c->world->comm;
  switch (c->operation) {
  case ALL_REDUCE:
    return unisono_all_reduce(c->send, c->recv, c->count, c->dtype, UNISONO_SUM, comm);
  case BROADCAST:
    return unisono_broadcast(c->recv, c->count, c->dtype, 0, comm);
  case ALL_GATHER:
    return unisono_all_gather(c->send, c->recv, c->count, c->dtype, comm);
  case REDUCE_SCATTER:
    return unisono_reduce_scatter(c->send, c->recv, c->count, c->dtype, UNISONO_SUM, comm);
  case ALL_TO_ALL:
    return unisono_all_to_all(c->send, c->recv, c->count, c->dtype, comm);
  default:
    return unisono_barrier(comm);
  }
}

static void run_unisono(const struct call *call) {
  if (unisono(call) != UNISONO_OK)
    fail(call->world, "unisono", unisono_last_error());
}

/* As many bytes as the larger buffer has, on all ranks at once. */
static void run_memcpy(const struct call *call) {
  size_t sent = data_sent(call), received = data_received(call);
  memcpy(call->recv, call->send, (sent > received ? sent : received) * element_bytes(call->dtype));
  __asm__ volatile("" : : "r"(call->recv) : "memory"); /* it is not to be optimised away */
}

static void run_flag(const struct call *call) {
  flags_exchange(call->world);
}

const struct contestant contestants[CONTESTANTS] = {{"peer", false, true, peer_run},
                                                    {"private", false, true, run_unisono},
                                                    {"shared", true, true, run_unisono},
                                                    {"memcpy", false, false, run_memcpy},
                                                    {"flag", false, false, run_flag}};

bool contestant_takes_part(int contestant, const struct call *call) {
  switch (contestant) {
  case PEER:
    return peer_can(call->operation, call->dtype);
  case SHARED:
  case MEMCPY:
    return call->operation != BARRIER && !call->world->apart;
  case FLAG:
    return !call->world->apart && data_sent(call) * element_bytes(call->dtype) <= SMALL;
  default:
    return true;
  }
}
