/* Tensors as the library takes them: an address, a count, a type. */
#pragma once

#include <unisono.h>

#include <torch/csrc/distributed/c10d/Types.hpp>

#include <vector>

namespace unisono {

using at::Tensor;

/* A tensor in CPU memory and its elements in one piece, in order: its own memory, or a copy when it has gaps.
 */
class Flat {
public:
  /* An `output` that is not read by the operation need not be copied in. */
  enum Use { input, output, both };
  Flat(const Tensor &tensor, Use use);

  void *data() const { return flat_.data_ptr(); }
  size_t bytes() const { return flat_.nbytes(); }
  const Tensor &tensor() const { return flat_; }
  /* Puts the copy's elements back. */
  void finish() const;

private:
  Tensor original_, flat_;
};

/* How the library counts a tensor's elements. Complex numbers are pairs; a type that it does not have is
 * moved as bytes. */
struct Elements {
  unisono_dtype dtype;
  size_t count;
};
Elements elements(const Tensor &tensor);

/* A reduction of tensors of one type. */
class Reduction {
public:
  /* Throws when it is not defined for the type. */
  Reduction(const c10d::ReduceOp &op, at::ScalarType type);

  unisono_op op() const { return op_; }
  /* What the library is given to reduce: the tensor, or for PREMUL_SUM a multiple. */
  Tensor prepare(const Tensor &contiguous) const;

private:
  unisono_op op_;
  c10d::ReduceOp given_;
};

/* The list's tensors one behind the other: where they lie when they lie so, else a copy. For outputs,
 * finish() hands the parts to the tensors. */
class FlatList {
public:
  FlatList(const std::vector<Tensor> &tensors, Flat::Use use);
  const Tensor &tensor() const { return flat_; }
  void finish();

private:
  std::vector<Tensor> tensors_;
  Tensor flat_;
  bool copied_;
};

/* `send`, or a copy of it when the two overlap in another way than the collective's in-place form does. */
Tensor apart(const Tensor &send, const Tensor &recv, const void *in_place);

} // namespace unisono
