#include "collectives/works.h"

#include "collectives/call.h"
#include "harness.h"

void check_works(unisono_comm *comm) {
  static const size_t counts[] = {1, 1000, 100000};
  CHECK_OK(unisono_barrier(comm));
  for (int i = 0; i < 3; i++) {
    struct call sum = {
        .what = ALL_REDUCE, .dtype = UNISONO_FLOAT32, .count = counts[i], .mix = MIX_RANDOM, .seed = 7};
    struct call share = {
        .what = BROADCAST, .count = counts[i], .root = unisono_comm_size(comm) - 1, .seed = 8};
    call_run(&sum, comm);
    call_run(&share, comm);
  }
}
