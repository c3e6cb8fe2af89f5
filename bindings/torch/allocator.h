/* PyTorch's allocator of CPU memory, with a switch to memory that all ranks can reach. */
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "communicator.h"

namespace unisono {

/* While it lives, what this thread allocates is shared memory of the world. */
class SharedMemoryGuard {
public:
  explicit SharedMemoryGuard(std::shared_ptr<World> world);
  ~SharedMemoryGuard();

private:
  std::shared_ptr<World> before_;
};

/* The same for all threads, until as many disables as enables have come. */
void enable_shared_memory(std::shared_ptr<World> world);
void disable_shared_memory();

/* Moves the tensor's storage to shared memory; all its views move along. */
void share(const at::Tensor &tensor, std::shared_ptr<World> world);

/* Does the tensor's memory come from here? */
bool is_shared(const at::Tensor &tensor);

} // namespace unisono
