#include "arrays.h"

#include <map>

#include "errors.h"

using Writable = nb::ndarray<>;
using Readable = nb::ndarray<nb::ro>;

static bool is_contiguous(const Readable &array) {
  if (array.size() == 0)
    return true;
  int64_t expected = 1;
  for (size_t i = array.ndim(); i-- > 0;) {
    if (array.shape(i) > 1 && array.stride(i) != expected)
      return false;
    expected *= (int64_t)array.shape(i);
  }
  return true;
}

/* The real type; bits are of one component. False: the library has none. */
static bool find_dtype(nb::dlpack::dtype_code code, unsigned bits, unisono_dtype *dtype) {
  using Code = nb::dlpack::dtype_code;
  static const std::map<std::pair<Code, unsigned>, unisono_dtype> dtypes = {
      {{Code::Int, 8}, UNISONO_INT8},       {{Code::UInt, 8}, UNISONO_UINT8},
      {{Code::Int, 16}, UNISONO_INT16},     {{Code::UInt, 16}, UNISONO_UINT16},
      {{Code::Int, 32}, UNISONO_INT32},     {{Code::UInt, 32}, UNISONO_UINT32},
      {{Code::Int, 64}, UNISONO_INT64},     {{Code::UInt, 64}, UNISONO_UINT64},
      {{Code::Float, 16}, UNISONO_FLOAT16}, {{Code::Bfloat, 16}, UNISONO_BFLOAT16},
      {{Code::Float, 32}, UNISONO_FLOAT32}, {{Code::Float, 64}, UNISONO_FLOAT64},
      {{Code::Bool, 8}, UNISONO_UINT8}};
  auto found = dtypes.find({code, bits});
  if (found == dtypes.end())
    return false;
  *dtype = found->second;
  return true;
}

void Array::refuse(const std::string &why) const {
  raise(UNISONO_ERROR_INVALID, call_ + ": " + name_ + " " + why);
}

template <typename Import> bool Array::import(nb::handle object) {
  Import array;
  if (!nb::try_cast(object, array, false))
    return false;
  Readable view(array);
  if (view.device_type() != nb::device::cpu::value)
    refuse("is not in CPU memory");
  if (!is_contiguous(view))
    refuse("is not C-contiguous; give numpy.ascontiguousarray() of it");
  auto code = (nb::dlpack::dtype_code)view.dtype().code;
  is_bool_ = code == nb::dlpack::dtype_code::Bool;
  is_complex_ = code == nb::dlpack::dtype_code::Complex;
  unsigned bits = view.dtype().bits;
  if (is_complex_) {
    code = nb::dlpack::dtype_code::Float;
    bits /= 2;
  }
  if (view.dtype().lanes != 1 || !find_dtype(code, bits, &dtype_))
    refuse("has elements of a type that the library does not have; see unisono.Communicator");
  data_ = const_cast<void *>(view.data());
  count_ = view.size() * components();
  owner_ = nb::cast(array, nb::rv_policy::reference);
  return true;
}

Array::Array(nb::handle object, Access access, const std::string &call, const char *name)
    : call_(call), name_(name) {
  bool taken = access == Access::read ? import <Readable>(object) : import <Writable>(object);
  if (taken)
    return;
  /* NumPy hands out bfloat16 (a type of the package ml_dtypes) by neither protocol. */
  if (nb::hasattr(object, "dtype") && nb::str(object.attr("dtype")).equal(nb::str("bfloat16"))) {
    nb::object bits = object.attr("view")("uint16");
    if (access == Access::read ? import <Readable>(bits) : import <Writable>(bits)) {
      dtype_ = UNISONO_BFLOAT16;
      return;
    }
  }
  if (access == Access::write && import <Readable>(object))
    refuse("is read-only");
  refuse("has neither DLPack nor the buffer protocol, or elements of a type that the library does not have");
}

unisono_op Array::op(const std::string &name) const {
  static const std::map<std::string, unisono_op> ops = {
      {"sum", UNISONO_SUM}, {"prod", UNISONO_PROD}, {"min", UNISONO_MIN}, {"max", UNISONO_MAX},
      {"avg", UNISONO_AVG}, {"band", UNISONO_BAND}, {"bor", UNISONO_BOR}, {"bxor", UNISONO_BXOR}};
  auto found = ops.find(name);
  if (found == ops.end())
    raise(UNISONO_ERROR_INVALID,
          call_ + ": op \"" + name + "\" is none of sum, prod, min, max, avg, band, bor, bxor");
  if (is_complex_ && found->second != UNISONO_SUM && found->second != UNISONO_AVG)
    raise(UNISONO_ERROR_INVALID,
          call_ + ": op " + name + " is not defined for complex numbers; sum and avg are");
  if (!is_bool_)
    return found->second;
  switch (found->second) { /* true + true is true */
  case UNISONO_SUM:
    return UNISONO_MAX;
  case UNISONO_PROD:
    return UNISONO_MIN;
  case UNISONO_AVG:
    raise(UNISONO_ERROR_INVALID, call_ + ": op avg is not defined for bool");
  default:
    return found->second;
  }
}
