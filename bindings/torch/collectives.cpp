/* The collectives: each checks its tensors and calls the library. */
#include <ATen/ATen.h>

#include <numeric>

#include "backend.h"

namespace unisono {

using c10d::OpType;

/* ---- checks */

static void check_dense(const char *what, const Tensor &t) {
  TORCH_CHECK(t.device().is_cpu() && t.layout() == at::kStrided, "unisono: ", what,
              " takes dense CPU tensors, not ", t.layout(), " on ", t.device());
}

static const Tensor &the_tensor(const char *what, const vector<Tensor> &tensors) {
  TORCH_CHECK(tensors.size() == 1, "unisono: ", what, " takes one tensor, not ", tensors.size());
  check_dense(what, tensors[0]);
  return tensors[0];
}

static void check_type(const char *what, const Tensor &a, const Tensor &b) {
  check_dense(what, b);
  TORCH_CHECK(a.scalar_type() == b.scalar_type(), "unisono: ", what, " takes tensors of one type, not ",
              a.scalar_type(), " and ", b.scalar_type());
}

/* `larger` has `times` times the elements of `smaller`. */
static void check_sizes(const char *what, const Tensor &smaller, const Tensor &larger, int64_t times) {
  check_dense(what, smaller);
  check_type(what, smaller, larger);
  TORCH_CHECK(larger.numel() == smaller.numel() * times, "unisono: ", what, ": a tensor has ", larger.numel(),
              " elements, it needs ", times, " times the ", smaller.numel(), " of the other");
}

static void check_pairs(const char *what, const vector<Tensor> &smaller, const vector<Tensor> &larger,
                        int64_t times) {
  TORCH_CHECK(smaller.size() == larger.size(), "unisono: ", what, " takes as many outputs as inputs, not ",
              larger.size(), " and ", smaller.size());
  for (size_t i = 0; i < smaller.size(); i++)
    check_sizes(what, smaller[i], larger[i], times);
}

/* One list, with a tensor for each rank, of the type of `one`. */
void ProcessGroupUnisono::check_list(const char *what, const vector<vector<Tensor>> &lists,
                                     const Tensor &one) const {
  TORCH_CHECK(lists.size() == 1, "unisono: ", what, " takes one list of tensors, not ", lists.size());
  TORCH_CHECK((int)lists[0].size() == size_, "unisono: ", what, " takes a list of ", size_,
              " tensors, one for each rank, not ", lists[0].size());
  for (const Tensor &t : lists[0])
    check_type(what, one, t);
}

static bool all_equal(const vector<Tensor> &tensors) {
  for (const Tensor &t : tensors)
    if (t.numel() != tensors[0].numel())
      return false;
  return true;
}

/* ---- parts of different sizes */

/* Where each rank's part lies, in the library's elements: one behind the other. */
struct Parts {
  void add(size_t count) {
    displs.push_back(end);
    counts.push_back(count);
    end += count;
  }
  vector<size_t> counts, displs;
  size_t end = 0;
};

static Parts parts(const vector<Tensor> &list) {
  Parts p;
  for (const Tensor &t : list)
    p.add(elements(t).count);
  return p;
}

static void all_gather_parts(unisono_comm *comm, const Tensor &send, void *recv, const Parts &to) {
  Elements e = elements(send);
  check(unisono_all_gatherv(send.const_data_ptr(), e.count, recv, to.counts.data(), to.displs.data(), e.dtype,
                            comm));
}

/* ---- reductions */

static void all_reduce_dense(unisono_comm *comm, const Tensor &tensor, const Reduction &reduction) {
  Flat flat(tensor, Flat::both);
  Tensor send = reduction.prepare(flat.tensor());
  Elements e = elements(send);
  check(unisono_all_reduce(send.const_data_ptr(), flat.data(), e.count, e.dtype, reduction.op(), comm));
  flat.finish();
}

WorkPtr ProcessGroupUnisono::allreduce(vector<Tensor> &tensors, const c10d::AllreduceOptions &options) {
  if (tensors.size() == 1 && tensors[0].is_sparse())
    return allreduce_sparse(tensors, options);
  const Tensor &tensor = the_tensor("all_reduce", tensors);
  Reduction reduction(options.reduceOp, tensor.scalar_type());
  return perform({OpType::ALLREDUCE, "unisono:all_reduce", options.timeout, options.asyncOp}, tensors,
                 tensors,
                 [tensor, reduction](unisono_comm *comm) { all_reduce_dense(comm, tensor, reduction); });
}

WorkPtr ProcessGroupUnisono::all_reduce_cached(const Tensor &tensor, const c10d::ReduceOp &op,
                                               const std::string &match_id, bool is_async) {
  check_dense("all_reduce_cached", tensor);
  Reduction reduction(op, tensor.scalar_type());
  return perform({OpType::ALLREDUCE, "unisono:all_reduce_cached", c10d::kUnsetTimeout, is_async}, {tensor},
                 {tensor}, [tensor, reduction, match_id](unisono_comm *comm) {
                   Flat flat(tensor, Flat::both);
                   Tensor send = reduction.prepare(flat.tensor());
                   Elements e = elements(send);
                   check(unisono_all_reduce_cached(send.const_data_ptr(), flat.data(), e.count, e.dtype,
                                                   reduction.op(), match_id.c_str(), comm));
                   flat.finish();
                 });
}

WorkPtr ProcessGroupUnisono::allreduce_coalesced(vector<Tensor> &tensors,
                                                 const c10d::AllreduceCoalescedOptions &options) {
  vector<Reduction> reductions;
  for (const Tensor &tensor : tensors) {
    check_dense("all_reduce_coalesced", tensor);
    reductions.emplace_back(options.reduceOp, tensor.scalar_type());
  }
  return perform({OpType::ALLREDUCE_COALESCED, "unisono:all_reduce", options.timeout, options.asyncOp},
                 tensors, tensors, [tensors, reductions](unisono_comm *comm) {
                   for (size_t i = 0; i < tensors.size(); i++)
                     all_reduce_dense(comm, tensors[i], reductions[i]);
                 });
}

WorkPtr ProcessGroupUnisono::reduce(vector<Tensor> &tensors, const c10d::ReduceOptions &options) {
  const Tensor &tensor = the_tensor("reduce", tensors);
  Reduction reduction(options.reduceOp, tensor.scalar_type());
  int root = (int)options.rootRank;
  bool is_root = root == rank_;
  return perform({OpType::REDUCE, "unisono:reduce", options.timeout, options.asyncOp}, tensors, tensors,
                 [tensor, reduction, root, is_root](unisono_comm *comm) {
                   Flat flat(tensor, Flat::both);
                   Tensor send = reduction.prepare(flat.tensor());
                   Elements e = elements(send);
                   check(unisono_reduce(send.const_data_ptr(), is_root ? flat.data() : nullptr, e.count,
                                        e.dtype, reduction.op(), root, comm));
                   if (is_root)
                     flat.finish();
                 });
}

void ProcessGroupUnisono::reduce_scatter_tensor(unisono_comm *comm, const Tensor &output, const Tensor &input,
                                                const Reduction &reduction) const {
  Flat in(input, Flat::input), out(output, Flat::output);
  Elements e = elements(out.tensor());
  const char *mine = (const char *)in.data() + out.bytes() * (size_t)rank_;
  Tensor send = reduction.prepare(in.tensor());
  if (mine != out.data())
    send = apart(send, out.tensor(), nullptr);
  check(unisono_reduce_scatter(send.const_data_ptr(), out.data(), e.count, e.dtype, reduction.op(), comm));
  out.finish();
}

WorkPtr ProcessGroupUnisono::_reduce_scatter_base(Tensor &output, Tensor &input,
                                                  const c10d::ReduceScatterOptions &options) {
  check_sizes("reduce_scatter_tensor", output, input, size_);
  Reduction reduction(options.reduceOp, input.scalar_type());
  return perform(
      {OpType::_REDUCE_SCATTER_BASE, "unisono:_reduce_scatter_base", options.timeout, options.asyncOp},
      {input}, {output}, [this, output, input, reduction](unisono_comm *comm) {
        reduce_scatter_tensor(comm, output, input, reduction);
      });
}

WorkPtr ProcessGroupUnisono::reduce_scatter_tensor_coalesced(vector<Tensor> &outputs, vector<Tensor> &inputs,
                                                             const c10d::ReduceScatterOptions &options) {
  check_pairs("reduce_scatter_tensor_coalesced", outputs, inputs, size_);
  vector<Reduction> reductions;
  for (const Tensor &input : inputs)
    reductions.emplace_back(options.reduceOp, input.scalar_type());
  return perform({OpType::REDUCE_SCATTER_TENSOR_COALESCED, "unisono:reduce_scatter_tensor_coalesced",
                  options.timeout, options.asyncOp},
                 inputs, outputs, [this, outputs, inputs, reductions](unisono_comm *comm) {
                   for (size_t i = 0; i < inputs.size(); i++)
                     reduce_scatter_tensor(comm, outputs[i], inputs[i], reductions[i]);
                 });
}

/* Parts of different sizes are reduced one by one, each to its rank. All ranks see the same sizes. */
void ProcessGroupUnisono::reduce_scatter_list(unisono_comm *comm, const Tensor &output,
                                              const vector<Tensor> &inputs,
                                              const Reduction &reduction) const {
  if (all_equal(inputs))
    return reduce_scatter_tensor(comm, output, FlatList(inputs, Flat::input).tensor(), reduction);
  for (int root = 0; root < size_; root++) {
    Flat in(inputs[(size_t)root], Flat::input), out(output, Flat::output);
    Tensor send = reduction.prepare(in.tensor());
    Elements e = elements(send);
    check(unisono_reduce(send.const_data_ptr(), root == rank_ ? out.data() : nullptr, e.count, e.dtype,
                         reduction.op(), root, comm));
    if (root == rank_)
      out.finish();
  }
}

WorkPtr ProcessGroupUnisono::reduce_scatter(vector<Tensor> &outputs, vector<vector<Tensor>> &inputs,
                                            const c10d::ReduceScatterOptions &options) {
  const Tensor &output = the_tensor("reduce_scatter", outputs);
  check_list("reduce_scatter", inputs, output);
  check_sizes("reduce_scatter", output, inputs[0][(size_t)rank_], 1);
  Reduction reduction(options.reduceOp, output.scalar_type());
  return perform({OpType::REDUCE_SCATTER, "unisono:reduce_scatter", options.timeout, options.asyncOp},
                 inputs[0], outputs, [this, output, list = inputs[0], reduction](unisono_comm *comm) {
                   reduce_scatter_list(comm, output, list, reduction);
                 });
}

/* ---- sparse: the sum of the ranks' indices and values, as they are gathered */

static Tensor gather_rows(unisono_comm *comm, const Tensor &mine, const vector<int64_t> &rows) {
  size_t row = elements(at::empty(mine.sizes().slice(1), mine.options())).count;
  Parts to;
  for (int64_t r : rows)
    to.add((size_t)r * row);
  vector<int64_t> sizes = mine.sizes().vec();
  sizes[0] = std::accumulate(rows.begin(), rows.end(), (int64_t)0);
  Tensor all = at::empty(sizes, mine.options());
  all_gather_parts(comm, mine, all.data_ptr(), to);
  return all;
}

/* What must agree: dimensions and shape. */
static vector<int64_t> shape_of(const Tensor &t) {
  vector<int64_t> shape = {t.sparse_dim(), t.dense_dim()};
  shape.insert(shape.end(), t.sizes().begin(), t.sizes().end());
  return shape;
}

void ProcessGroupUnisono::all_reduce_sparse(unisono_comm *comm, Tensor &tensor) const {
  at::NoGradGuard no_grad;
  Tensor mine = tensor.coalesce();
  vector<int64_t> shape = shape_of(mine), all_shapes(shape.size() * (size_t)size_);
  check(unisono_all_gather(shape.data(), all_shapes.data(), shape.size(), UNISONO_INT64, comm));
  for (size_t i = 0; i < all_shapes.size(); i++)
    TORCH_CHECK(all_shapes[i] == shape[i % shape.size()], "unisono: the sparse tensors of rank ",
                i / shape.size(), " and rank ", rank_, " have different dimensions");
  vector<int64_t> rows((size_t)size_);
  int64_t nnz = mine._nnz();
  check(unisono_all_gather(&nnz, rows.data(), 1, UNISONO_INT64, comm));
  Tensor indices = gather_rows(comm, mine.indices().t().contiguous(), rows).t();
  Tensor values = gather_rows(comm, mine.values().contiguous(), rows);
  tensor.copy_(at::sparse_coo_tensor(indices, values, mine.sizes()).coalesce());
}

WorkPtr ProcessGroupUnisono::allreduce_sparse(vector<Tensor> &tensors,
                                              const c10d::AllreduceOptions &options) {
  TORCH_CHECK(tensors.size() == 1, "unisono: sparse all_reduce takes one tensor, not ", tensors.size());
  Tensor tensor = tensors[0];
  TORCH_CHECK(tensor.device().is_cpu() && tensor.is_sparse(),
              "unisono: sparse all_reduce takes a sparse COO CPU tensor");
  TORCH_CHECK(options.reduceOp.op_ == c10d::ReduceOp::SUM, "unisono: sparse all_reduce has SUM only");
  return perform({OpType::_ALLREDUCE_SPARSE, "unisono:sparse_all_reduce", options.timeout, options.asyncOp},
                 tensors, tensors,
                 [this, tensor](unisono_comm *comm) mutable { all_reduce_sparse(comm, tensor); });
}

/* ---- one to all, all to one */

WorkPtr ProcessGroupUnisono::broadcast(vector<Tensor> &tensors, const c10d::BroadcastOptions &options) {
  const Tensor &tensor = the_tensor("broadcast", tensors);
  int root = (int)options.rootRank;
  bool is_root = root == rank_;
  return perform({OpType::BROADCAST, "unisono:broadcast", options.timeout, options.asyncOp}, tensors, tensors,
                 [tensor, root, is_root](unisono_comm *comm) {
                   Flat flat(tensor, is_root ? Flat::input : Flat::output);
                   Elements e = elements(flat.tensor());
                   check(unisono_broadcast(flat.data(), e.count, e.dtype, root, comm));
                   if (!is_root)
                     flat.finish();
                 });
}

WorkPtr ProcessGroupUnisono::gather(vector<vector<Tensor>> &outputs, vector<Tensor> &inputs,
                                    const c10d::GatherOptions &options) {
  const Tensor &input = the_tensor("gather", inputs);
  int root = (int)options.rootRank;
  vector<Tensor> list;
  if (root == rank_) {
    check_list("gather", outputs, input);
    list = outputs[0];
    for (const Tensor &output : list)
      check_sizes("gather", input, output, 1);
  } else {
    TORCH_CHECK(outputs.empty() || outputs[0].empty(),
                "unisono: gather takes a list of outputs on the root only");
  }
  return perform(
      {OpType::GATHER, "unisono:gather", options.timeout, options.asyncOp}, inputs, list,
      [input, list, root](unisono_comm *comm) {
        Flat in(input, Flat::input);
        Elements e = elements(in.tensor());
        if (list.empty()) {
          check(unisono_gather(in.data(), nullptr, e.count, e.dtype, root, comm));
          return;
        }
        FlatList out(list, Flat::output);
        const void *mine = (const char *)out.tensor().const_data_ptr() + in.bytes() * (size_t)root;
        Tensor send = apart(in.tensor(), out.tensor(), mine);
        check(unisono_gather(send.const_data_ptr(), out.tensor().data_ptr(), e.count, e.dtype, root, comm));
        out.finish();
      });
}

WorkPtr ProcessGroupUnisono::scatter(vector<Tensor> &outputs, vector<vector<Tensor>> &inputs,
                                     const c10d::ScatterOptions &options) {
  const Tensor &output = the_tensor("scatter", outputs);
  int root = (int)options.rootRank;
  vector<Tensor> list;
  if (root == rank_) {
    check_list("scatter", inputs, output);
    list = inputs[0];
    for (const Tensor &input : list)
      check_sizes("scatter", output, input, 1);
  } else {
    TORCH_CHECK(inputs.empty() || inputs[0].empty(),
                "unisono: scatter takes a list of inputs on the root only");
  }
  return perform({OpType::SCATTER, "unisono:scatter", options.timeout, options.asyncOp}, list, outputs,
                 [output, list, root](unisono_comm *comm) {
                   Flat out(output, Flat::output);
                   Elements e = elements(out.tensor());
                   Tensor send;
                   if (!list.empty()) {
                     FlatList in(list, Flat::input);
                     const char *mine =
                         (const char *)in.tensor().const_data_ptr() + out.bytes() * (size_t)root;
                     send = mine == out.data() ? in.tensor() : apart(in.tensor(), out.tensor(), nullptr);
                   }
                   check(unisono_scatter(send.defined() ? send.const_data_ptr() : nullptr, out.data(),
                                         e.count, e.dtype, root, comm));
                   out.finish();
                 });
}

/* ---- all to all */

void ProcessGroupUnisono::all_gather_tensor(unisono_comm *comm, const Tensor &output,
                                            const Tensor &input) const {
  Flat in(input, Flat::input), out(output, Flat::output);
  Elements e = elements(in.tensor());
  const void *mine = (const char *)out.data() + in.bytes() * (size_t)rank_;
  Tensor send = apart(in.tensor(), out.tensor(), mine);
  check(unisono_all_gather(send.const_data_ptr(), out.data(), e.count, e.dtype, comm));
  out.finish();
}

WorkPtr ProcessGroupUnisono::_allgather_base(Tensor &output, Tensor &input,
                                             const c10d::AllgatherOptions &options) {
  check_sizes("all_gather_into_tensor", input, output, size_);
  return perform({OpType::_ALLGATHER_BASE, "unisono:_all_gather_base", options.timeout, options.asyncOp},
                 {input}, {output},
                 [this, output, input](unisono_comm *comm) { all_gather_tensor(comm, output, input); });
}

WorkPtr ProcessGroupUnisono::allgather_into_tensor_coalesced(vector<Tensor> &outputs, vector<Tensor> &inputs,
                                                             const c10d::AllgatherOptions &options) {
  check_pairs("all_gather_into_tensor_coalesced", inputs, outputs, size_);
  return perform(
      {OpType::COALESCED, "unisono:all_gather_into_tensor_coalesced", options.timeout, options.asyncOp},
      inputs, outputs, [this, outputs, inputs](unisono_comm *comm) {
        for (size_t i = 0; i < inputs.size(); i++)
          all_gather_tensor(comm, outputs[i], inputs[i]);
      });
}

void ProcessGroupUnisono::all_gather_list(unisono_comm *comm, const vector<Tensor> &outputs,
                                          const Tensor &input) const {
  FlatList out(outputs, Flat::output);
  if (all_equal(outputs)) {
    all_gather_tensor(comm, out.tensor(), input);
  } else {
    Tensor send = apart(Flat(input, Flat::input).tensor(), out.tensor(), nullptr);
    all_gather_parts(comm, send, out.tensor().data_ptr(), parts(outputs));
  }
  out.finish();
}

WorkPtr ProcessGroupUnisono::allgather(vector<vector<Tensor>> &outputs, vector<Tensor> &inputs,
                                       const c10d::AllgatherOptions &options) {
  const Tensor &input = the_tensor("all_gather", inputs);
  check_list("all_gather", outputs, input);
  check_sizes("all_gather", input, outputs[0][(size_t)rank_], 1);
  return perform(
      {OpType::ALLGATHER, "unisono:all_gather", options.timeout, options.asyncOp}, inputs, outputs[0],
      [this, list = outputs[0], input](unisono_comm *comm) { all_gather_list(comm, list, input); });
}

/* outputs[rank][i] is that rank's inputs[i]. */
WorkPtr ProcessGroupUnisono::allgather_coalesced(vector<vector<Tensor>> &outputs, vector<Tensor> &inputs,
                                                 const c10d::AllgatherOptions &options) {
  TORCH_CHECK((int)outputs.size() == size_, "unisono: all_gather_coalesced takes ", size_,
              " lists of outputs, one for each rank, not ", outputs.size());
  vector<vector<Tensor>> lists(inputs.size());
  vector<Tensor> all;
  for (size_t i = 0; i < inputs.size(); i++)
    for (auto &of_rank : outputs) {
      TORCH_CHECK(of_rank.size() == inputs.size(),
                  "unisono: all_gather_coalesced takes as many outputs as inputs");
      check_sizes("all_gather_coalesced", inputs[i], of_rank[i], 1);
      lists[i].push_back(of_rank[i]);
      all.push_back(of_rank[i]);
    }
  return perform({OpType::ALLGATHER_COALESCED, "unisono:all_gather", options.timeout, options.asyncOp},
                 inputs, all, [this, lists, inputs](unisono_comm *comm) {
                   for (size_t i = 0; i < inputs.size(); i++)
                     all_gather_list(comm, lists[i], inputs[i]);
                 });
}

/* `splits` are rows of the first dimension; none of them: equal parts. */
static Parts parts(const char *what, const Tensor &t, const vector<int64_t> &splits, int size) {
  int64_t rows = t.dim() ? t.size(0) : 1, left = rows;
  TORCH_CHECK(!splits.empty() || rows % size == 0, "unisono: all_to_all: the first dimension of the ", what,
              ", ", rows, ", is no multiple of the ", size, " ranks");
  TORCH_CHECK(splits.empty() || (int)splits.size() == size, "unisono: all_to_all: ", splits.size(),
              " splits of the ", what, " for ", size, " ranks");
  size_t row = rows ? elements(t).count / (size_t)rows : 0;
  Parts p;
  for (int r = 0; r < size; r++) {
    int64_t count = splits.empty() ? rows / size : splits[(size_t)r];
    TORCH_CHECK(count >= 0, "unisono: all_to_all: a split of the ", what, " is negative");
    p.add((size_t)count * row);
    left -= count;
  }
  TORCH_CHECK(left == 0, "unisono: all_to_all: the splits of the ", what, " make ", rows - left,
              " rows, it has ", rows);
  return p;
}

static void exchange(unisono_comm *comm, const Tensor &output, const Parts &to, const Tensor &input,
                     const Parts &from) {
  bool in_place = to.counts == from.counts;
  Tensor send = apart(input, output, in_place ? output.const_data_ptr() : nullptr);
  check(unisono_all_to_allv(send.const_data_ptr(), from.counts.data(), from.displs.data(), output.data_ptr(),
                            to.counts.data(), to.displs.data(), elements(input).dtype, comm));
}

WorkPtr ProcessGroupUnisono::alltoall_base(Tensor &output, Tensor &input, vector<int64_t> &output_splits,
                                           vector<int64_t> &input_splits,
                                           const c10d::AllToAllOptions &options) {
  check_dense("all_to_all", input);
  check_type("all_to_all", input, output);
  Parts from = parts("input", input, input_splits, size_), to = parts("output", output, output_splits, size_);
  return perform({OpType::ALLTOALL_BASE, "unisono:all_to_all", options.timeout, options.asyncOp}, {input},
                 {output}, [output, input, from, to](unisono_comm *comm) {
                   Flat in(input, Flat::input), out(output, Flat::output);
                   exchange(comm, out.tensor(), to, in.tensor(), from);
                   out.finish();
                 });
}

WorkPtr ProcessGroupUnisono::alltoall(vector<Tensor> &outputs, vector<Tensor> &inputs,
                                      const c10d::AllToAllOptions &options) {
  TORCH_CHECK((int)outputs.size() == size_ && (int)inputs.size() == size_, "unisono: all_to_all takes ",
              size_, " outputs and inputs, one for each rank, not ", outputs.size(), " and ", inputs.size());
  for (auto *list : {&outputs, &inputs})
    for (const Tensor &t : *list)
      check_type("all_to_all", inputs[0], t);
  return perform({OpType::ALLTOALL, "unisono:all_to_all", options.timeout, options.asyncOp}, inputs, outputs,
                 [outputs, inputs](unisono_comm *comm) {
                   FlatList in(inputs, Flat::input), out(outputs, Flat::output);
                   exchange(comm, out.tensor(), parts(outputs), in.tensor(), parts(inputs));
                   out.finish();
                 });
}

WorkPtr ProcessGroupUnisono::barrier(const c10d::BarrierOptions &options) {
  return perform({OpType::BARRIER, "unisono:barrier", options.timeout, options.asyncOp}, {}, {},
                 [](unisono_comm *comm) { check(unisono_barrier(comm)); });
}

} // namespace unisono
