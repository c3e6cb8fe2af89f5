/* What oneCCL cannot do, or does otherwise than we: minimum and maximum of floats by IEEE 754-2019 (a NaN
 * stays one, -0 < +0), and bitwise operations. */
#include <cmath>

#include "adapter.hpp"

namespace oneccl_engine {

template <class T> struct Minimum {
  T operator()(T a, T b) const {
    if (a == b)
      return std::signbit(a) ? a : b;
    return a < b || a != a ? a : b;
  }
};

template <class T> struct Maximum {
  T operator()(T a, T b) const {
    if (a == b)
      return std::signbit(a) ? b : a;
    return a > b || a != a ? a : b;
  }
};

template <class T, class F>
static void fold(const void *in, size_t n, void *inout, size_t *out_n, ccl::datatype,
                 const ccl::fn_context *) {
  const T *a = static_cast<const T *>(in);
  T *b = static_cast<T *>(inout);
  for (size_t i = 0; i < n; i++)
    b[i] = static_cast<T>(F()(a[i], b[i]));
  if (out_n)
    *out_n = n;
}

template <class T> static ccl::reduction_fn bitwise(unisono_op op) {
  switch (op) {
  case UNISONO_BAND:
    return fold<T, std::bit_and<T>>;
  case UNISONO_BOR:
    return fold<T, std::bit_or<T>>;
  case UNISONO_BXOR:
    return fold<T, std::bit_xor<T>>;
  default:
    return nullptr;
  }
}

template <class T> static ccl::reduction_fn extreme(unisono_op op) {
  return op == UNISONO_MIN ? fold<T, Minimum<T>> : op == UNISONO_MAX ? fold<T, Maximum<T>> : nullptr;
}

ccl::reduction_fn reduction_of(unisono_dtype dtype, unisono_op op) {
  switch (dtype) {
  case UNISONO_FLOAT32:
    return extreme<float>(op);
  case UNISONO_FLOAT64:
    return extreme<double>(op);
  case UNISONO_INT8:
  case UNISONO_UINT8:
    return bitwise<uint8_t>(op);
  case UNISONO_INT16:
  case UNISONO_UINT16:
    return bitwise<uint16_t>(op);
  case UNISONO_INT32:
  case UNISONO_UINT32:
    return bitwise<uint32_t>(op);
  default:
    return bitwise<uint64_t>(op);
  }
}

} // namespace oneccl_engine
