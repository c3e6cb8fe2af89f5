#include "tensors.h"

#include <ATen/ATen.h>

#include <optional>

#include "types.h"

namespace unisono {

/* ---- memory */

static bool is_flat(const Tensor &t) {
  return t.is_contiguous() && !t.is_conj() && !t.is_neg();
}

static Tensor flatten(const Tensor &t, Flat::Use use) {
  if (is_flat(t))
    return t;
  at::NoGradGuard no_grad;
  if (use == Flat::output)
    return at::empty(t.sizes(), t.options().memory_format(at::MemoryFormat::Contiguous));
  return t.resolve_conj().resolve_neg().contiguous();
}

Flat::Flat(const Tensor &tensor, Use use) : original_(tensor), flat_(flatten(tensor, use)) {}

void Flat::finish() const {
  if (flat_.is_same(original_))
    return;
  at::NoGradGuard no_grad;
  original_.copy_(flat_);
}

static bool lie_in_order(const std::vector<Tensor> &tensors) {
  const char *end = (const char *)tensors[0].const_data_ptr();
  for (const Tensor &t : tensors) {
    if (!is_flat(t) || t.const_data_ptr() != end)
      return false;
    end += t.nbytes();
  }
  return true;
}

/* One tensor over memory that several share. It is used only while they are there. */
static Tensor over_all(const std::vector<Tensor> &tensors, int64_t count) {
  return at::from_blob(tensors[0].data_ptr(), {count}, tensors[0].options().requires_grad(false));
}

FlatList::FlatList(const std::vector<Tensor> &tensors, Flat::Use use) : tensors_(tensors) {
  int64_t count = 0;
  for (const Tensor &t : tensors)
    count += t.numel();
  copied_ = !lie_in_order(tensors);
  at::NoGradGuard no_grad;
  flat_ = copied_ ? at::empty({count}, tensors[0].options().requires_grad(false).memory_format(std::nullopt))
                  : over_all(tensors, count);
  if (!copied_ || use == Flat::output)
    return;
  int64_t at = 0;
  for (const Tensor &t : tensors_) {
    flat_.narrow(0, at, t.numel()).view(t.sizes()).copy_(t);
    at += t.numel();
  }
}

void FlatList::finish() {
  if (!copied_)
    return;
  at::NoGradGuard no_grad;
  int64_t at = 0;
  for (const Tensor &t : tensors_) {
    t.copy_(flat_.narrow(0, at, t.numel()).view(t.sizes()));
    at += t.numel();
  }
}

Tensor apart(const Tensor &send, const Tensor &recv, const void *in_place) {
  const char *s = (const char *)send.const_data_ptr(), *r = (const char *)recv.const_data_ptr();
  bool overlap = s < r + recv.nbytes() && r < s + send.nbytes();
  return overlap && s != in_place ? send.clone() : send;
}

/* ---- types */

Elements elements(const Tensor &tensor) {
  const Type *type = find_type(tensor.scalar_type());
  if (!type)
    return {UNISONO_UINT8, tensor.nbytes()};
  return {type->dtype, (size_t)tensor.numel() * type->components()};
}

/* ---- reductions */

static const char *name(c10d::ReduceOp::RedOpType op) {
  static const char *const names[] = {"SUM",  "AVG", "PRODUCT", "MIN",       "MAX",
                                      "BAND", "BOR", "BXOR",    "PREMUL_SUM"};
  return op < sizeof names / sizeof *names ? names[op] : "UNUSED";
}

static std::optional<unisono_op> find_op(c10d::ReduceOp::RedOpType op) {
  switch (op) {
  case c10d::ReduceOp::SUM:
  case c10d::ReduceOp::PREMUL_SUM:
    return UNISONO_SUM;
  case c10d::ReduceOp::AVG:
    return UNISONO_AVG;
  case c10d::ReduceOp::PRODUCT:
    return UNISONO_PROD;
  case c10d::ReduceOp::MIN:
    return UNISONO_MIN;
  case c10d::ReduceOp::MAX:
    return UNISONO_MAX;
  case c10d::ReduceOp::BAND:
    return UNISONO_BAND;
  case c10d::ReduceOp::BOR:
    return UNISONO_BOR;
  case c10d::ReduceOp::BXOR:
    return UNISONO_BXOR;
  default:
    return std::nullopt;
  }
}

static std::optional<unisono_op> op_for(c10d::ReduceOp::RedOpType given, at::ScalarType scalar_type) {
  const Type *type = find_type(scalar_type);
  std::optional<unisono_op> op = find_op(given);
  if (!type || !op || (given == c10d::ReduceOp::PREMUL_SUM && type->kind == Type::boolean))
    return std::nullopt;
  return op_for(*type, *op);
}

Reduction::Reduction(const c10d::ReduceOp &op, at::ScalarType type) : given_(op) {
  std::optional<unisono_op> found = op_for(op.op_, type);
  TORCH_CHECK(found, "unisono: ", name(op.op_), " is not defined for ", type,
              " (avg: floats and complex; bitwise: integers and bool; complex: sum and avg; float8 and "
              "quantized: none)");
  op_ = *found;
}

Tensor Reduction::prepare(const Tensor &contiguous) const {
  if (given_.op_ != c10d::ReduceOp::PREMUL_SUM)
    return contiguous;
  auto *factor = dynamic_cast<c10d::PreMulSumSupplement *>(given_.supplement_.get());
  TORCH_CHECK(factor,
              "unisono: PREMUL_SUM has no factor; make it with torch.distributed._make_nccl_premul_sum");
  at::NoGradGuard no_grad;
  Tensor product = factor->tensor_factor.defined()
                       ? contiguous * factor->tensor_factor.to(contiguous.scalar_type())
                       : contiguous * factor->double_factor;
  return product.to(contiguous.scalar_type());
}

} // namespace unisono
