/* PyTorch's types and what a reduction means for each. The operators use it too: of PyTorch it takes only
 * what every version has in its headers. */
#pragma once

#include <torch/headeronly/core/ScalarType.h>
#include <unisono.h>

#include <optional>

namespace unisono {

/* A type as the library counts it: complex numbers are pairs, a bool is a byte of 0 or 1. */
struct Type {
  torch::headeronly::ScalarType torch;
  unisono_dtype dtype;
  enum Kind { integer, floating, boolean, complex } kind;

  size_t components() const { return kind == complex ? 2 : 1; }
};

/* NULL: the library does not have it. */
inline const Type *find_type(torch::headeronly::ScalarType type) {
  using S = torch::headeronly::ScalarType;
  static const Type types[] = {
      {S::Float, UNISONO_FLOAT32, Type::floating},
      {S::BFloat16, UNISONO_BFLOAT16, Type::floating},
      {S::Half, UNISONO_FLOAT16, Type::floating},
      {S::Double, UNISONO_FLOAT64, Type::floating},
      {S::Char, UNISONO_INT8, Type::integer},
      {S::Byte, UNISONO_UINT8, Type::integer},
      {S::Short, UNISONO_INT16, Type::integer},
      {S::UInt16, UNISONO_UINT16, Type::integer},
      {S::Int, UNISONO_INT32, Type::integer},
      {S::UInt32, UNISONO_UINT32, Type::integer},
      {S::Long, UNISONO_INT64, Type::integer},
      {S::UInt64, UNISONO_UINT64, Type::integer},
      {S::Bool, UNISONO_UINT8, Type::boolean},
      {S::ComplexHalf, UNISONO_FLOAT16, Type::complex},
      {S::ComplexFloat, UNISONO_FLOAT32, Type::complex},
      {S::ComplexDouble, UNISONO_FLOAT64, Type::complex},
  };
  for (const Type &candidate : types)
    if (candidate.torch == type)
      return &candidate;
  return nullptr;
}

/* What the operation is on the type's elements as the library sees them; none: it has no meaning. */
inline std::optional<unisono_op> op_for(const Type &type, unisono_op op) {
  bool is_bitwise = op == UNISONO_BAND || op == UNISONO_BOR || op == UNISONO_BXOR;
  bool is_defined = type.kind == Type::floating  ? !is_bitwise
                    : type.kind == Type::complex ? op == UNISONO_SUM || op == UNISONO_AVG
                                                 : op != UNISONO_AVG;
  if (!is_defined)
    return std::nullopt;
  if (type.kind != Type::boolean || is_bitwise)
    return op;
  return op == UNISONO_SUM || op == UNISONO_MAX ? UNISONO_BOR : UNISONO_BAND; /* true + true is true */
}

} // namespace unisono
