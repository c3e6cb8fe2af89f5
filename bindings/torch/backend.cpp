/* A process group's life, and what is no collective. */
#include "backend.h"

#include <ATen/ATen.h>
#include <torch/csrc/utils/pybind.h>

#include <algorithm>

#include "allocator.h"

namespace unisono {

ProcessGroupUnisono::ProcessGroupUnisono(c10::intrusive_ptr<c10d::Store> store, int rank, int size,
                                         milliseconds timeout, vector<int64_t> global_ranks,
                                         const c10::intrusive_ptr<ProcessGroupUnisono> &parent)
    : Backend(rank, size), store_(std::move(store)), global_ranks_(std::move(global_ranks)),
      options_(c10::make_intrusive<Options>("unisono", timeout)) {
  TORCH_CHECK((int)global_ranks_.size() == size, "unisono: ", global_ranks_.size(),
              " ranks given for a group of ", size);
  options_->global_ranks_in_group.assign(global_ranks_.begin(), global_ranks_.end());
  bool shares = parent && parent->world_ && parent->world_->has(global_ranks_);
  world_ = shares ? parent->world_ : World::meet(*store_, global_ranks_, rank, timeout);
  communicator_ = world_->make(global_ranks_, timeout);
  init();
}

/* Callbacks of what is under way may need the interpreter. A forked child has the queue without its threads,
 * in whatever state they left it: it stays as it is. */
ProcessGroupUnisono::~ProcessGroupUnisono() {
  if (process_ != getpid()) {
    queue_.release();
    return;
  }
  std::optional<pybind11::gil_scoped_release> released;
  if (Py_IsInitialized() && PyGILState_Check())
    released.emplace();
  shutdown();
}

std::shared_ptr<Communicator> ProcessGroupUnisono::communicator() const {
  std::lock_guard<std::mutex> lock(life_mutex_);
  TORCH_CHECK(communicator_, "unisono: this process group was shut down");
  return communicator_;
}

std::shared_ptr<World> ProcessGroupUnisono::world() const {
  std::lock_guard<std::mutex> lock(life_mutex_);
  TORCH_CHECK(world_, "unisono: this process group was shut down");
  return world_;
}

void ProcessGroupUnisono::setTimeout(milliseconds timeout) {
  options_->timeout = timeout;
}

c10::intrusive_ptr<c10d::Backend> ProcessGroupUnisono::part(const c10::intrusive_ptr<c10d::Store> &store,
                                                            const vector<int> &ranks,
                                                            const c10::intrusive_ptr<Options> &options) {
  auto me = std::find(ranks.begin(), ranks.end(), rank_);
  if (me == ranks.end())
    return nullptr;
  vector<int64_t> members;
  for (int rank : ranks)
    members.push_back(global_ranks_.at((size_t)rank));
  milliseconds timeout = options ? options->timeout : options_->timeout;
  return c10::make_intrusive<ProcessGroupUnisono>(
      store, (int)(me - ranks.begin()), (int)ranks.size(), timeout, std::move(members),
      c10::intrusive_ptr<ProcessGroupUnisono>::reclaim_copy(this));
}

c10::intrusive_ptr<c10d::Backend> ProcessGroupUnisono::split(const c10::intrusive_ptr<c10d::Store> &store,
                                                             const vector<int> &ranks,
                                                             const c10::intrusive_ptr<Options> &options) {
  return part(store, ranks, options);
}

/* Called by the ranks that stay: the others may be dead. */
c10::intrusive_ptr<c10d::Backend> ProcessGroupUnisono::shrink(const vector<int64_t> &excluded, int flags,
                                                              const c10::intrusive_ptr<Options> &options) {
  enum { ABORT = 1 }; /* torch.distributed's SHRINK_ABORT */
  if (flags & ABORT)
    abort();
  vector<int> ranks;
  for (int rank = 0; rank < size_; rank++)
    if (std::find(excluded.begin(), excluded.end(), rank) == excluded.end())
      ranks.push_back(rank);
  return part(store_, ranks, options);
}

/* From any thread: what runs here and on the peers ends with an error. */
void ProcessGroupUnisono::abort() {
  std::unique_lock<std::mutex> lock(life_mutex_);
  auto comm =
      communicator_; /* the thread that learns of it may shut the group down before this one is done */
  lock.unlock();
  if (comm)
    unisono_comm_abort(*comm);
}

void ProcessGroupUnisono::leave() {
  if (process_ != getpid())
    return;
  if (!queue_->is_idle())
    abort();
  shutdown();
}

/* What was started is finished first, for the peers' sake. */
void ProcessGroupUnisono::shutdown() {
  if (process_ != getpid() || shut_down_.exchange(true))
    return;
  queue_->stop();
  coalesced_.clear();
  std::unique_lock<std::mutex> lock(life_mutex_);
  auto comm = std::move(communicator_);
  auto world = std::move(world_);
  lock.unlock(); /* the two end without it */
}

Tensor ProcessGroupUnisono::allocateTensor(long size, at::TensorOptions options) {
  SharedMemoryGuard shared(world());
  return at::empty({size}, options.device(at::kCPU));
}

/* ---- coalescing: what is started between the two is waited for at once */

void ProcessGroupUnisono::startCoalescing() {
  is_coalescing_ = true;
}

WorkPtr ProcessGroupUnisono::endCoalescing() {
  is_coalescing_ = false;
  return c10::make_intrusive<CoalescedWork>(rank_, std::exchange(coalesced_, {}));
}

WorkPtr ProcessGroupUnisono::noted(WorkPtr work) {
  if (is_coalescing_)
    coalesced_.push_back(work);
  return work;
}

/* ---- monitored barrier: over the store, so that a rank that does not come breaks nothing else */

static bool comes(c10d::Store &store, const std::string &key,
                  std::chrono::steady_clock::time_point deadline) {
  auto left = std::chrono::duration_cast<milliseconds>(deadline - std::chrono::steady_clock::now());
  try {
    store.wait({key}, std::max(left, milliseconds(1)));
    return true;
  } catch (const std::exception &) {
    return false;
  }
}

/* Both sides in gloo's words, which programs look for. */
void ProcessGroupUnisono::await_release(const std::string &key, milliseconds timeout) const {
  store_->set(key + std::to_string(rank_), std::vector<uint8_t>{1});
  bool released = comes(*store_, key + "released", std::chrono::steady_clock::now() + timeout);
  TORCH_CHECK(released, "unisono: Rank ", rank_,
              " successfully reached monitoredBarrier, but received errors while waiting for send/recv from "
              "rank 0: it did not release the barrier within ",
              timeout.count(), " ms; see rank 0's error for the rank that is missing");
}

void ProcessGroupUnisono::await_ranks(const std::string &key, milliseconds timeout,
                                      bool wait_all_ranks) const {
  auto deadline = std::chrono::steady_clock::now() + timeout;
  std::string missing;
  for (int rank = 1; rank < size_ && (missing.empty() || wait_all_ranks); rank++) {
    TORCH_CHECK(wait_all_ranks || std::chrono::steady_clock::now() < deadline,
                "[Rank 0]: Rank 0 timed out in monitoredBarrier after ", timeout.count(), " ms");
    if (!comes(*store_, key + std::to_string(rank), deadline))
      missing += (missing.empty() ? "" : ", ") + std::to_string(rank);
  }
  TORCH_CHECK(missing.empty(), "[Rank 0]: ", wait_all_ranks ? "Ranks " : "Rank ", missing,
              " failed to pass monitoredBarrier in ", timeout.count(), " ms");
  store_->set(key + "released", std::vector<uint8_t>{1});
}

void ProcessGroupUnisono::monitoredBarrier(const c10d::BarrierOptions &options, bool wait_all_ranks) {
  milliseconds timeout = options.timeout == c10d::kUnsetTimeout ? options_->timeout : options.timeout;
  std::string key = "unisono/monitored_barrier/" + std::to_string(monitored_barriers_++) + "/";
  if (rank_ == 0)
    await_ranks(key, timeout, wait_all_ranks);
  else
    await_release(key, timeout);
}

} // namespace unisono
