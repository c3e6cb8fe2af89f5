/* The library's communicators as C++ objects, and how process groups get theirs. */
#pragma once

#include <unisono.h>

#include <ATen/core/Tensor.h>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace unisono {

using std::chrono::milliseconds;

/* Throws torch.distributed.DistBackendError with the library's words; for a bad argument RuntimeError. */
void check(unisono_status status);

/* A send or a receive under way, and the memory that it uses. */
struct Transfer {
  unisono_request *request = nullptr;
  unisono_message message = {};
  at::Tensor buffer;             /* the library's side of the caller's tensor */
  std::function<void()> deliver; /* after a receive that went well: from the buffer to the tensor */
};

class Communicator {
public:
  explicit Communicator(unisono_comm *comm) : comm_(comm) {}
  Communicator(const Communicator &) = delete;
  ~Communicator();
  operator unisono_comm *() const { return comm_; }
  /* The limit for the operations to come. */
  void set_timeout(milliseconds timeout);

  /* Looks after a transfer that its starter does not wait for. */
  void adopt(std::unique_ptr<Transfer> transfer);

private:
  void release_finished();

  unisono_comm *comm_;
  std::atomic<milliseconds> timeout_{milliseconds(0)}; /* transfers set it beside collectives */
  std::mutex adopted_mutex_;
  std::vector<std::unique_ptr<Transfer>> adopted_;
};

/* The processes that met when the default process group was made. Its groups' communicators come from the one
 * kept here, so that shared memory serves all of them. */
class World {
public:
  /* Meets the other ranks through the store; `ranks` are their global ranks, in order. */
  static std::shared_ptr<World> meet(c10d::Store &store, const std::vector<int64_t> &ranks, int rank,
                                     milliseconds timeout);

  bool has(const std::vector<int64_t> &ranks) const;

  /* A communicator of the members with these global ranks; called by them only. */
  std::shared_ptr<Communicator> make(const std::vector<int64_t> &ranks, milliseconds timeout);

  /* NULL: no memory, or the machine has too little. From any thread. */
  void *alloc(size_t bytes);

private:
  World(unisono_comm *root, std::vector<int64_t> ranks) : root_(root), ranks_(std::move(ranks)) {}
  int index(int64_t global_rank) const; /* -1: not a member */

  std::mutex mutex_; /* the root serves one thread at a time */
  Communicator root_;
  const std::vector<int64_t> ranks_;
};

} // namespace unisono
