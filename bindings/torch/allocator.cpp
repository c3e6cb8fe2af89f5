#include "allocator.h"

#include <c10/core/CPUAllocator.h>
#include <pthread.h>

#include <atomic>
#include <cstring>
#include <unordered_set>

namespace unisono {

/* ---- which blocks are shared. One deleter serves both origins, because PyTorch takes an allocator's deleter
 * for a constant; it has to tell them apart by the address. */

class Blocks {
public:
  void add(void *block) {
    std::lock_guard<std::mutex> lock(mutex_);
    blocks_.insert(block);
    count_++;
  }
  bool remove(void *block) {
    if (count_ == 0)
      return false;
    std::lock_guard<std::mutex> lock(mutex_);
    if (blocks_.erase(block) == 0)
      return false;
    count_--;
    return true;
  }
  bool has(const void *block) {
    std::lock_guard<std::mutex> lock(mutex_);
    return blocks_.count(const_cast<void *>(block));
  }
  std::mutex &mutex() { return mutex_; }

private:
  std::mutex mutex_;
  std::unordered_set<void *> blocks_;
  std::atomic<size_t> count_{0};
};

static Blocks &blocks() {
  static Blocks *blocks = new Blocks; /* tensors are freed until the very end of the process */
  return *blocks;
}

/* ---- who allocates shared memory */

static thread_local std::shared_ptr<World> world_of_thread;
static std::mutex switch_mutex;
static std::shared_ptr<World> world_of_process; /* guarded by switch_mutex, as is the depth's change */
static std::atomic<int> depth{0};
static std::atomic<bool> is_forked_child{false}; /* its parent's worlds are not its own */

static std::shared_ptr<World> current_world() {
  if (is_forked_child)
    return nullptr;
  if (world_of_thread || depth == 0)
    return world_of_thread;
  std::lock_guard<std::mutex> lock(switch_mutex);
  return world_of_process;
}

/* ---- the allocator */

class Allocator final : public c10::Allocator {
public:
  explicit Allocator(c10::Allocator *ordinary) : ordinary_(ordinary), free_(ordinary->raw_deleter()) {}

  c10::DataPtr allocate(size_t bytes) override {
    void *memory = nullptr;
    if (bytes)
      if (auto world = current_world())
        memory = world->alloc(bytes);
    if (memory)
      blocks().add(memory);
    else /* not asked for, or the machine has too little shared memory */
      memory = ordinary_->raw_allocate(bytes);
    return {memory, memory, &release, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void *to, const void *from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }

  static Allocator &instance() {
    static Allocator *allocator = install();
    return *allocator;
  }

private:
  static Allocator *install();

  static void release(void *memory) {
    if (!memory)
      return;
    if (blocks().remove(memory))
      unisono_mem_free(nullptr, memory);
    else
      instance().free_(memory);
  }

  c10::Allocator *const ordinary_;
  const c10::DeleterFnPtr free_;
};

static void lock_blocks() {
  blocks().mutex().lock();
}
static void unlock_blocks() {
  blocks().mutex().unlock();
}
static void begin_childhood() {
  is_forked_child = true;
  unlock_blocks();
}

/* Once, and for good: memory of either origin is around from now on. PyTorch ignores an allocator of a lower
 * priority than the one that is there, and its own has 0. */
Allocator *Allocator::install() {
  auto *allocator = new Allocator(c10::GetCPUAllocator());
  pthread_atfork(lock_blocks, unlock_blocks, begin_childhood);
  c10::SetCPUAllocator(allocator, 1);
  TORCH_CHECK(
      c10::GetCPUAllocator() == allocator,
      "unisono: another CPU allocator of a higher priority is installed; shared memory needs its place");
  return allocator;
}

/* ---- the switch */

SharedMemoryGuard::SharedMemoryGuard(std::shared_ptr<World> world) : before_(std::move(world_of_thread)) {
  Allocator::instance();
  world_of_thread = std::move(world);
}

SharedMemoryGuard::~SharedMemoryGuard() {
  world_of_thread = std::move(before_);
}

void enable_shared_memory(std::shared_ptr<World> world) {
  Allocator::instance();
  std::lock_guard<std::mutex> lock(switch_mutex);
  world_of_process = std::move(world);
  depth++;
}

void disable_shared_memory() {
  std::lock_guard<std::mutex> lock(switch_mutex);
  TORCH_CHECK(depth > 0, "unisono: shared memory is not switched on");
  if (--depth == 0)
    world_of_process.reset();
}

void share(const at::Tensor &tensor, std::shared_ptr<World> world) {
  TORCH_CHECK(tensor.device().is_cpu() && tensor.layout() == at::kStrided,
              "unisono: share_ takes a dense CPU tensor");
  c10::Storage storage = tensor.storage();
  if (storage.nbytes() == 0 || blocks().has(storage.data()))
    return;
  c10::DataPtr memory;
  {
    SharedMemoryGuard shared(std::move(world));
    memory = Allocator::instance().allocate(storage.nbytes());
  }
  TORCH_CHECK_WITH(OutOfMemoryError, blocks().has(memory.get()), "unisono: too little shared memory for ",
                   storage.nbytes(), " bytes: ", unisono_last_error());
  memcpy(memory.get(), storage.data(), storage.nbytes());
  storage.set_data_ptr_noswap(std::move(memory));
}

bool is_shared(const at::Tensor &tensor) {
  return tensor.has_storage() && tensor.storage().nbytes() && blocks().has(tensor.storage().data());
}

} // namespace unisono
