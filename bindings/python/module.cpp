#include <nanobind/nanobind.h>
#include <unisono.h>

#include "communicator.h"

NB_MODULE(_core, m) {
  m.doc() = "The library's C API; unisono.Communicator is the way to it.";
  m.attr("version") = unisono_version();
  define_communicator(m);
}
