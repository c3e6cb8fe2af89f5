#include "work.h"

#include <ATen/core/ivalue.h>
#include <ATen/record_function.h>

#include <algorithm>

namespace unisono {

/* ---- all works */

/* Only a profiler wants the title and the inputs, and they cost. */
static const char *profiled(const char *title) {
  return at::hasCallbacks() ? title : nullptr;
}

static std::optional<std::vector<Tensor>> profiled(const std::vector<Tensor> &inputs) {
  return at::hasCallbacks() ? std::make_optional(inputs) : std::nullopt;
}

Work::Work(int rank, c10d::OpType type, const char *title, const std::vector<Tensor> &inputs,
           std::vector<Tensor> outputs)
    : c10d::Work(rank, type, profiled(title), profiled(inputs)), outputs_(std::move(outputs)) {}

std::vector<Tensor> Work::result() {
  return outputs_;
}

static void settle(c10::ivalue::Future &future, const std::exception_ptr &error,
                   const std::vector<Tensor> &outputs) {
  if (error)
    future.setError(error);
  else
    future.markCompleted(c10::IValue(outputs));
}

c10::intrusive_ptr<c10::ivalue::Future> Work::getFuture() {
  std::unique_lock<std::mutex> lock(mutex_);
  if (future_)
    return future_;
  future_ = c10::make_intrusive<c10::ivalue::Future>(c10::ListType::create(c10::TensorType::get()));
  bool completed = completed_;
  lock.unlock();
  if (completed)
    settle(*future_, exception_, outputs_);
  return future_;
}

void Work::complete(std::exception_ptr error) {
  std::unique_lock<std::mutex> lock(mutex_);
  completed_ = true;
  exception_ = error;
  auto end_recording = std::move(recordFunctionEndCallback_);
  recordFunctionEndCallback_ = nullptr;
  auto future = future_;
  lock.unlock();
  if (end_recording)
    end_recording();
  cv_.notify_all();
  if (future)
    settle(*future, error, outputs_);
}

bool Work::is_completed() {
  std::lock_guard<std::mutex> lock(mutex_);
  return completed_;
}

bool Work::wait_for_completion(milliseconds timeout) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (timeout == kNoTimeout)
    cv_.wait(lock, [this] { return completed_; });
  else
    cv_.wait_for(lock, timeout, [this] { return completed_; });
  return completed_;
}

void Work::rethrow() {
  if (exception_)
    std::rethrow_exception(exception_);
}

[[noreturn]] static void throw_timeout(const char *what, milliseconds timeout) {
  C10_THROW_ERROR(DistBackendError, c10::str("unisono: ", what, " timed out: not done after ",
                                             timeout.count(), " ms of waiting (it goes on)"));
}

/* ---- collectives */

bool CollectiveWork::wait(milliseconds timeout) {
  if (timeout == kNoTimeout && !is_completed() && queue_)
    queue_->attend(*this);
  if (!wait_for_completion(timeout))
    throw_timeout("the collective", timeout);
  rethrow();
  return true;
}

bool Queue::enter() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (busy_ || !jobs_.empty())
    return false;
  busy_ = true;
  return true;
}

void Queue::leave() {
  std::lock_guard<std::mutex> lock(mutex_);
  busy_ = false;
  if (serving_)
    changed_.notify_all();
}

void Queue::push(const Job &job, std::function<void()> run) {
  job->run_ = std::move(run);
  job->queue_ = this;
  std::lock_guard<std::mutex> lock(mutex_);
  TORCH_CHECK(!stop_, "unisono: this process group was shut down");
  jobs_.push_back(job);
  provide_server();
  changed_.notify_all();
}

/* With the lock. */
void Queue::provide_server() {
  if (jobs_.empty() || serving_ > calling_back_)
    return;
  servers_.emplace_back([this] { serve(); });
  serving_++;
}

/* With the lock, which is not held while the job runs. Others may enter before the job's future calls back: a
 * callback may wait for other collectives. */
void Queue::run_front(std::unique_lock<std::mutex> &lock, bool is_server) {
  Job job = std::move(jobs_.front());
  jobs_.pop_front();
  busy_ = true;
  lock.unlock();
  std::exception_ptr error;
  try {
    job->run_();
  } catch (...) {
    error = std::current_exception();
  }
  job->run_ = nullptr;
  lock.lock();
  busy_ = false;
  calling_back_ += is_server;
  provide_server();
  lock.unlock();
  changed_.notify_all();
  job->complete(error);
  job.reset(); /* its end may take the interpreter's lock */
  lock.lock();
  calling_back_ -= is_server;
}

void Queue::serve() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return !busy_ && (stop_ || !jobs_.empty()); });
    if (jobs_.empty())
      break;
    run_front(lock, true);
  }
  serving_--;
}

void Queue::attend(CollectiveWork &job) {
  std::unique_lock<std::mutex> lock(mutex_);
  auto is_queued = [&] {
    return std::any_of(jobs_.begin(), jobs_.end(), [&](const Job &j) { return j.get() == &job; });
  };
  while (is_queued()) {
    if (busy_)
      changed_.wait(lock);
    else
      run_front(lock, false);
  }
}

bool Queue::is_idle() {
  std::lock_guard<std::mutex> lock(mutex_);
  return !busy_ && jobs_.empty();
}

void Queue::stop() {
  std::unique_lock<std::mutex> lock(mutex_);
  stop_ = true;
  changed_.notify_all();
  while (!servers_.empty()) { /* they may still start others for the rest */
    std::thread server = std::move(servers_.back());
    servers_.pop_back();
    lock.unlock();
    if (server.get_id() == std::this_thread::get_id())
      server.detach(); /* a callback's last reference to the group ends here */
    else
      server.join();
    lock.lock();
  }
}

/* ---- sends and receives */

TransferWork::TransferWork(int rank, c10d::OpType type, const char *title, const std::vector<Tensor> &tensors,
                           std::shared_ptr<Communicator> communicator, std::unique_ptr<Transfer> transfer)
    : Work(rank, type, title, tensors, tensors), communicator_(std::move(communicator)),
      transfer_(std::move(transfer)) {}

TransferWork::~TransferWork() {
  if (transfer_->request)
    communicator_->adopt(std::move(transfer_));
}

/* With request_mutex_. */
void TransferWork::finish() {
  std::exception_ptr error;
  try {
    check(unisono_wait(&transfer_->request));
    if (transfer_->deliver)
      transfer_->deliver();
  } catch (...) {
    error = std::current_exception();
  }
  complete(error);
}

/* With request_mutex_. */
bool TransferWork::poll() {
  int done = 1;
  if (transfer_->request) {
    unisono_test(transfer_->request, &done);
    if (done)
      finish();
  }
  return done;
}

bool TransferWork::isCompleted() {
  std::unique_lock<std::mutex> lock(request_mutex_, std::try_to_lock);
  return lock.owns_lock() ? poll() : is_completed();
}

bool TransferWork::wait_until(std::chrono::steady_clock::time_point deadline) {
  while (!isCompleted()) {
    if (std::chrono::steady_clock::now() > deadline)
      return false;
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  return true;
}

bool TransferWork::wait(milliseconds timeout) {
  if (timeout == kNoTimeout) {
    std::lock_guard<std::mutex> lock(request_mutex_);
    if (transfer_->request)
      finish();
  } else if (!wait_until(std::chrono::steady_clock::now() + timeout)) {
    throw_timeout(opType_ == c10d::OpType::SEND ? "the send" : "the receive", timeout);
  }
  rethrow();
  return true;
}

int TransferWork::sourceRank() const {
  return transfer_->message.peer;
}

c10::intrusive_ptr<c10::ivalue::Future> TransferWork::getFuture() {
  auto future = Work::getFuture();
  if (!future->completed()) /* nobody may ever wait for this work: a thread does */
    std::thread([self = c10::intrusive_ptr<TransferWork>::reclaim_copy(this)] {
      std::lock_guard<std::mutex> lock(self->request_mutex_);
      if (self->transfer_->request)
        self->finish();
    }).detach();
  return future;
}

/* ---- several at once */

CoalescedWork::CoalescedWork(int rank, std::vector<c10::intrusive_ptr<c10d::Work>> parts)
    : Work(rank, c10d::OpType::COALESCED, nullptr, {}, {}), parts_(std::move(parts)) {
  for (auto &part : parts_)
    for (const Tensor &tensor : part->result())
      outputs_.push_back(tensor);
}

bool CoalescedWork::isCompleted() {
  return std::all_of(parts_.begin(), parts_.end(), [](auto &part) { return part->isCompleted(); });
}

bool CoalescedWork::wait(milliseconds timeout) {
  for (auto &part : parts_)
    part->wait(timeout);
  return true;
}

c10::intrusive_ptr<c10::ivalue::Future> CoalescedWork::getFuture() {
  c10::List<c10::intrusive_ptr<c10::ivalue::Future>> futures(
      c10::FutureType::create(c10::ListType::create(c10::TensorType::get())));
  for (auto &part : parts_)
    futures.push_back(part->getFuture());
  return c10::collectAll(futures)->then(
      [outputs = outputs_](c10::ivalue::Future &all) {
        all.value(); /* throws when one has failed */
        return c10::IValue(outputs);
      },
      c10::ListType::create(c10::TensorType::get()));
}

} // namespace unisono
