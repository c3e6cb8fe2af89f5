/* Started operations as torch.distributed knows them, and the order in which they run. */
#pragma once

#include <torch/csrc/distributed/c10d/Work.hpp>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "communicator.h"

namespace unisono {

using at::Tensor;

/* What every operation of the backend hands out: it completes with a future, if anyone asks for one. */
class Work : public c10d::Work {
public:
  Work(int rank, c10d::OpType type, const char *title, const std::vector<Tensor> &inputs,
       std::vector<Tensor> outputs);

  std::vector<Tensor> result() override;
  c10::intrusive_ptr<c10::ivalue::Future> getFuture() override;

  /* The operation is done, or has failed. */
  void complete(std::exception_ptr error);

protected:
  /* True: it is completed. False: the time is over. */
  bool wait_for_completion(milliseconds timeout);
  bool is_completed();
  void rethrow();

  std::vector<Tensor> outputs_;
  c10::intrusive_ptr<c10::ivalue::Future> future_; /* guarded by mutex_ */
};

class Queue;

/* A collective in a queue. */
class CollectiveWork : public Work {
public:
  using Work::Work;
  bool wait(milliseconds timeout = kNoTimeout) override;
  void synchronize() override { wait(); }

private:
  friend class Queue;
  std::function<void()> run_;
  Queue *queue_ = nullptr; /* while it is in there */
};

/* The collectives of one communicator, one after the other. A thread of its own runs what was started, from
 * the first one on; a thread that waits takes over from it. */
class Queue {
public:
  using Job = c10::intrusive_ptr<CollectiveWork>;
  ~Queue() { stop(); }

  /* The right to run a collective here and now: given when nothing is before it. */
  bool enter();
  void leave();

  void push(const Job &job, std::function<void()> run);

  /* Runs what is in the queue until the job is done. */
  void attend(CollectiveWork &job);

  bool is_idle();

  /* Runs all that is in the queue and ends the thread. What comes now would not be run. */
  void stop();

private:
  void serve();
  void run_front(std::unique_lock<std::mutex> &lock, bool is_server);
  void provide_server();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  bool busy_ = false, stop_ = false;
  std::vector<std::thread> servers_;
  size_t serving_ = 0;      /* servers that run */
  size_t calling_back_ = 0; /* of these in a future's callback, which may wait for what comes */
};

/* A send or a receive, which the library moves on by itself. */
class TransferWork : public Work {
public:
  TransferWork(int rank, c10d::OpType type, const char *title, const std::vector<Tensor> &tensors,
               std::shared_ptr<Communicator> communicator, std::unique_ptr<Transfer> transfer);
  ~TransferWork() override; /* what is still under way is left to the communicator */
  bool isCompleted() override;
  bool wait(milliseconds timeout = kNoTimeout) override;
  void synchronize() override { wait(); }
  int sourceRank() const override;
  c10::intrusive_ptr<c10::ivalue::Future> getFuture() override;

private:
  void finish();
  bool poll();
  bool wait_until(std::chrono::steady_clock::time_point deadline);

  std::mutex request_mutex_; /* held by the thread that waits */
  std::shared_ptr<Communicator> communicator_;
  std::unique_ptr<Transfer> transfer_;
};

/* What was started between startCoalescing and endCoalescing. */
class CoalescedWork : public Work {
public:
  CoalescedWork(int rank, std::vector<c10::intrusive_ptr<c10d::Work>> parts);
  bool isCompleted() override;
  bool wait(milliseconds timeout = kNoTimeout) override;
  void synchronize() override { wait(); }
  c10::intrusive_ptr<c10::ivalue::Future> getFuture() override;

private:
  std::vector<c10::intrusive_ptr<c10d::Work>> parts_;
};

} // namespace unisono
