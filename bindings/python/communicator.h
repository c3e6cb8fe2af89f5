/* unisono._core.Communicator and Request: the C API with arrays in the place of pointers. Shapes, defaults
 * and documentation are in python/unisono/communicator.py. */
#pragma once

#include <nanobind/nanobind.h>

void define_communicator(nanobind::module_ &m);
