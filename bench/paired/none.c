/* No peer: unisono and the limits of the machine. */
#include "paired.h"

void peer_start(const struct world *world) {
  (void)world;
}

bool peer_can(enum operation operation, unisono_dtype dtype) {
  (void)operation;
  (void)dtype;
  return false;
}

void peer_run(const struct call *call) {
  (void)call;
}

void peer_stop(void) {}
