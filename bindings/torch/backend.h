/* The torch.distributed backend "unisono". */
#pragma once

#include <ATen/ThreadLocalState.h>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include <unistd.h>

#include <atomic>

#include "communicator.h"
#include "tensors.h"
#include "work.h"

namespace unisono {

using std::vector;
using WorkPtr = c10::intrusive_ptr<c10d::Work>;

class ProcessGroupUnisono : public c10d::Backend {
public:
  /* Waits for all ranks of the group. `global_ranks` are its members, in order. With a `parent`, whose world
   * has all of them, the group shares that world; otherwise they meet through the store. */
  ProcessGroupUnisono(c10::intrusive_ptr<c10d::Store> store, int rank, int size, milliseconds timeout,
                      vector<int64_t> global_ranks, const c10::intrusive_ptr<ProcessGroupUnisono> &parent);
  ~ProcessGroupUnisono() override;

  const std::string getBackendName() const override { return "unisono"; }
  c10::intrusive_ptr<Options> getBackendOptions() override { return options_; }
  bool supportsSplitting() const override { return true; }
  bool supportsCoalescing() const override { return true; }
  void setTimeout(milliseconds timeout) override;
  void setSequenceNumberForGroup() override {}
  uint64_t getSequenceNumberForGroup() override { return sequence_; }
  c10::intrusive_ptr<c10d::Backend> split(const c10::intrusive_ptr<c10d::Store> &store,
                                          const vector<int> &ranks,
                                          const c10::intrusive_ptr<Options> &options) override;
  bool supportsShrinking() const override { return true; }
  c10::intrusive_ptr<c10d::Backend> shrink(const vector<int64_t> &excluded, int flags,
                                           const c10::intrusive_ptr<Options> &options) override;
  void abort() override;
  void shutdown() override;
  /* At the process's end: what is still under way has nobody who waits for it. */
  void leave();
  bool is_shut_down() const { return shut_down_; }
  std::shared_ptr<World> world() const; /* throws after shutdown */

  /* Tensors in shared memory: what FSDP asks a backend for. */
  bool supportsTensorAlloc(c10::DeviceIndex) override { return true; }
  Tensor allocateTensor(long size, at::TensorOptions options) override;

  /* collectives.cpp */
  WorkPtr broadcast(vector<Tensor> &tensors, const c10d::BroadcastOptions &options) override;
  WorkPtr allreduce(vector<Tensor> &tensors, const c10d::AllreduceOptions &options) override;
  WorkPtr allreduce_coalesced(vector<Tensor> &tensors,
                              const c10d::AllreduceCoalescedOptions &options) override;
  WorkPtr allreduce_sparse(vector<Tensor> &tensors, const c10d::AllreduceOptions &options) override;
  WorkPtr reduce(vector<Tensor> &tensors, const c10d::ReduceOptions &options) override;
  WorkPtr allgather(vector<vector<Tensor>> &outputs, vector<Tensor> &inputs,
                    const c10d::AllgatherOptions &options) override;
  WorkPtr _allgather_base(Tensor &output, Tensor &input, const c10d::AllgatherOptions &options) override;
  WorkPtr allgather_coalesced(vector<vector<Tensor>> &outputs, vector<Tensor> &inputs,
                              const c10d::AllgatherOptions &options) override;
  WorkPtr allgather_into_tensor_coalesced(vector<Tensor> &outputs, vector<Tensor> &inputs,
                                          const c10d::AllgatherOptions &options) override;
  WorkPtr gather(vector<vector<Tensor>> &outputs, vector<Tensor> &inputs,
                 const c10d::GatherOptions &options) override;
  WorkPtr scatter(vector<Tensor> &outputs, vector<vector<Tensor>> &inputs,
                  const c10d::ScatterOptions &options) override;
  WorkPtr reduce_scatter(vector<Tensor> &outputs, vector<vector<Tensor>> &inputs,
                         const c10d::ReduceScatterOptions &options) override;
  WorkPtr _reduce_scatter_base(Tensor &output, Tensor &input,
                               const c10d::ReduceScatterOptions &options) override;
  WorkPtr reduce_scatter_tensor_coalesced(vector<Tensor> &outputs, vector<Tensor> &inputs,
                                          const c10d::ReduceScatterOptions &options) override;
  WorkPtr alltoall_base(Tensor &output, Tensor &input, vector<int64_t> &output_splits,
                        vector<int64_t> &input_splits, const c10d::AllToAllOptions &options) override;
  WorkPtr alltoall(vector<Tensor> &outputs, vector<Tensor> &inputs,
                   const c10d::AllToAllOptions &options) override;
  WorkPtr barrier(const c10d::BarrierOptions &options) override;
  /* The same reduction again and again, which its id names; DeepSpeed has the call. */
  WorkPtr all_reduce_cached(const Tensor &tensor, const c10d::ReduceOp &op, const std::string &match_id,
                            bool is_async);

  /* transfers.cpp */
  WorkPtr send(vector<Tensor> &tensors, int peer, int tag) override;
  WorkPtr recv(vector<Tensor> &tensors, int peer, int tag) override;
  WorkPtr recvAnysource(vector<Tensor> &tensors, int tag) override;

  void monitoredBarrier(const c10d::BarrierOptions &options, bool wait_all_ranks) override;
  void startCoalescing() override;
  WorkPtr endCoalescing() override;

private:
  struct Call {
    c10d::OpType type;
    const char *title;
    milliseconds timeout;
    bool is_async;
  };

  /* Runs a collective in its turn: here, when the caller waits for it and nothing is before it. Another
   * thread runs it under the caller's modes, as inference mode. */
  template <typename Run>
  WorkPtr perform(const Call &call, const vector<Tensor> &inputs, vector<Tensor> outputs, Run run);
  template <typename Start>
  WorkPtr transfer(c10d::OpType type, const char *title, vector<Tensor> &tensors, Flat::Use use, int tag,
                   Start start);
  WorkPtr noted(WorkPtr work);
  std::shared_ptr<Communicator> communicator() const; /* throws after shutdown */
  c10::intrusive_ptr<c10d::Backend> part(const c10::intrusive_ptr<c10d::Store> &store,
                                         const vector<int> &ranks,
                                         const c10::intrusive_ptr<Options> &options);
  void await_release(const std::string &key, milliseconds timeout) const;
  void await_ranks(const std::string &key, milliseconds timeout, bool wait_all_ranks) const;

  void all_reduce_sparse(unisono_comm *comm, Tensor &tensor) const;
  void all_gather_list(unisono_comm *comm, const vector<Tensor> &outputs, const Tensor &input) const;
  void all_gather_tensor(unisono_comm *comm, const Tensor &output, const Tensor &input) const;
  void reduce_scatter_list(unisono_comm *comm, const Tensor &output, const vector<Tensor> &inputs,
                           const Reduction &reduction) const;
  void reduce_scatter_tensor(unisono_comm *comm, const Tensor &output, const Tensor &input,
                             const Reduction &reduction) const;
  void check_list(const char *what, const vector<vector<Tensor>> &lists, const Tensor &one) const;

  const c10::intrusive_ptr<c10d::Store> store_;
  const vector<int64_t> global_ranks_;
  c10::intrusive_ptr<Options> options_;
  mutable std::mutex life_mutex_; /* guards these two, which shutdown takes away */
  std::shared_ptr<World> world_;
  std::shared_ptr<Communicator> communicator_;
  std::unique_ptr<Queue> queue_ = std::make_unique<Queue>();
  const pid_t process_ = getpid();
  std::atomic<bool> shut_down_{false};
  std::atomic<uint64_t> sequence_{0};
  uint64_t monitored_barriers_ = 0;
  std::mutex transfers_mutex_; /* transfers are started by one thread at a time */
  bool is_coalescing_ = false;
  vector<WorkPtr> coalesced_;
};

template <typename Run>
WorkPtr ProcessGroupUnisono::perform(const Call &call, const vector<Tensor> &inputs, vector<Tensor> outputs,
                                     Run run) {
  auto comm = communicator();
  sequence_++;
  milliseconds timeout = call.timeout == c10d::kUnsetTimeout ? options_->timeout : call.timeout;
  auto body = [this, comm, timeout, run = std::move(run)]() mutable {
    comm->set_timeout(timeout);
    run(*comm);
  };
  bool here = !call.is_async && !is_coalescing_ && queue_->enter();
  Queue::Job work;
  try {
    work = c10::make_intrusive<CollectiveWork>(rank_, call.type, call.title, inputs, std::move(outputs));
    if (here)
      body();
  } catch (...) {
    if (here)
      queue_->leave();
    throw;
  }
  if (here) {
    queue_->leave();
    work->complete(nullptr);
    return work;
  }
  queue_->push(work, at::wrapPropagateTLSState(std::function<void()>(std::move(body))));
  if (!call.is_async && !is_coalescing_)
    work->wait();
  return noted(work);
}

} // namespace unisono
