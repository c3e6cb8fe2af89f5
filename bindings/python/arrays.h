/* An array of the caller's as the library takes it: an address, a count, a type. */
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <unisono.h>

#include <string>

namespace nb = nanobind;

enum class Access { read, write };

/* Anything with DLPack or the buffer protocol, C-contiguous and in CPU memory. Complex numbers count as
 * pairs. While it lives the memory stays. */
class Array {
public:
  /* `call` and `name` are for the message of what it cannot take: "all_reduce, rank 1: array ...". */
  Array(nb::handle object, Access access, const std::string &call, const char *name);

  void *data() const { return data_; }
  size_t count() const { return count_; }
  unisono_dtype dtype() const { return dtype_; }
  /* What one of the caller's elements counts as here: 2 for complex numbers. */
  size_t components() const { return is_complex_ ? 2 : 1; }

  /* The library's operation for one of "sum", "prod", ... on this type; bool has the logical ones. */
  unisono_op op(const std::string &name) const;

private:
  template <typename Import> bool import(nb::handle object);
  [[noreturn]] void refuse(const std::string &why) const;

  std::string call_;
  const char *name_;
  nb::object owner_; /* keeps the memory: what was imported, with its own reference to the array */
  void *data_ = nullptr;
  size_t count_ = 0;
  unisono_dtype dtype_ = UNISONO_UINT8;
  bool is_bool_ = false, is_complex_ = false;
};
