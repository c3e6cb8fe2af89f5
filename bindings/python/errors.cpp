#include "errors.h"

#include <nanobind/nanobind.h>

namespace nb = nanobind;

static const char *class_name(unisono_status status) {
  switch (status) {
  case UNISONO_ERROR_INVALID:
    return "InvalidError";
  case UNISONO_ERROR_MISMATCH:
    return "MismatchError";
  case UNISONO_ERROR_PEER_LOST:
    return "PeerLostError";
  case UNISONO_ERROR_TIMEOUT:
    return "TimeoutError";
  case UNISONO_ERROR_MEMORY:
    return "MemoryError";
  case UNISONO_ERROR_SYSTEM:
    return "SystemError";
  case UNISONO_ERROR_UNSUPPORTED:
    return "UnsupportedError";
  default:
    return "Error";
  }
}

void raise(unisono_status status, const std::string &text) {
  nb::object type = nb::module_::import_("unisono.errors").attr(class_name(status));
  PyErr_SetString(type.ptr(), text.c_str());
  throw nb::python_error();
}

void check(unisono_status status) {
  if (status)
    raise(status, unisono_last_error());
}
