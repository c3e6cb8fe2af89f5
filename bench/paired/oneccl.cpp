// The peer is oneCCL, through its C++ interface.
#include <memory>
#include <oneapi/ccl.hpp>

#include "paired.h"

static std::unique_ptr<ccl::communicator> communicator;

static ccl::shared_ptr_class<ccl::kvs> meet(const struct world *world) {
  ccl::shared_ptr_class<ccl::kvs> kvs;
  ccl::kvs::address_type address;
  if (world->rank == 0) {
    kvs = ccl::create_main_kvs();
    address = kvs->get_address();
  }
  if (unisono_broadcast(address.data(), address.size(), UNISONO_INT8, 0, world->comm) != UNISONO_OK)
    fail(world, "broadcast", unisono_last_error());
  return world->rank == 0 ? kvs : ccl::create_kvs(address);
}

void peer_start(const struct world *world) {
  try {
    ccl::init();
    communicator = std::make_unique<ccl::communicator>(
        ccl::create_communicator(world->size, world->rank, meet(world)));
  } catch (const std::exception &error) {
    fail(world, "oneCCL", error.what());
  }
}

bool peer_can(enum operation, unisono_dtype) {
  return true;
}

static ccl::event start(const struct call *c, ccl::datatype type) {
  ccl::communicator &comm = *communicator;
  switch (c->operation) {
  case ALL_REDUCE:
    return ccl::allreduce(c->send, c->recv, c->count, type, ccl::reduction::sum, comm);
  case BROADCAST:
    return ccl::broadcast(c->recv, c->count, type, 0, comm);
  case ALL_GATHER:
    return ccl::allgather(c->send, c->recv, c->count, type, comm);
  case REDUCE_SCATTER:
    return ccl::reduce_scatter(c->send, c->recv, c->count, type, ccl::reduction::sum, comm);
  case ALL_TO_ALL:
    return ccl::alltoall(c->send, c->recv, c->count, type, comm);
  default:
    return ccl::barrier(comm);
  }
}

void peer_run(const struct call *call) {
  try {
    start(call, call->dtype == UNISONO_FLOAT32 ? ccl::datatype::float32 : ccl::datatype::bfloat16).wait();
  } catch (const std::exception &error) {
    fail(call->world, "oneCCL", error.what());
  }
}

void peer_stop(void) {
  communicator.reset();
}
