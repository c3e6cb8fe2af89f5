/* What Python sees: the process group, and the switch to shared memory. python/unisono/torch is the way to
 * it. */
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <torch/csrc/utils/pybind.h>

#include <pybind11/chrono.h>

#include "allocator.h"
#include "autograd.h"
#include "backend.h"

namespace py = pybind11;
using unisono::ProcessGroupUnisono;
using Group = c10::intrusive_ptr<ProcessGroupUnisono>;
using Released = py::call_guard<py::gil_scoped_release>;

static std::shared_ptr<unisono::Communicator> create_communicator(const Group &group) {
  auto options = group->getBackendOptions();
  const auto &ranks = options->global_ranks_in_group;
  return group->world()->make({ranks.begin(), ranks.end()}, options->timeout);
}

PYBIND11_MODULE(_backend, m) {
  py::module_::import("torch.distributed"); /* knows the base class */
  py::class_<ProcessGroupUnisono, c10d::Backend, Group>(m, "ProcessGroupUnisono")
      .def(py::init<c10::intrusive_ptr<c10d::Store>, int, int, std::chrono::milliseconds,
                    std::vector<int64_t>, const Group &>(),
           py::arg("store"), py::arg("rank"), py::arg("size"), py::arg("timeout"), py::arg("global_ranks"),
           py::arg("parent"), Released())
      .def_property_readonly("options", &ProcessGroupUnisono::getBackendOptions)
      .def("all_reduce_cached", &ProcessGroupUnisono::all_reduce_cached, py::arg("tensor"), py::arg("op"),
           py::arg("match_id"), py::arg("async_op"), Released())
      .def("leave", &ProcessGroupUnisono::leave, Released())
      .def_property_readonly("is_shut_down", &ProcessGroupUnisono::is_shut_down);

  /* For the operators, which are another library: a communicator of the group's ranks, and its address there.
   */
  py::class_<unisono::Communicator, std::shared_ptr<unisono::Communicator>>(m, "Communicator")
      .def_property_readonly("address",
                             [](unisono::Communicator &c) { return (uintptr_t)(unisono_comm *)c; });
  m.def("create_communicator", create_communicator, Released());
  m.def("set_sum", &unisono::set_sum);

  m.def("enable_shared_memory", [](const Group &group) { unisono::enable_shared_memory(group->world()); });
  m.def("disable_shared_memory", &unisono::disable_shared_memory);
  m.def("share",
        [](const at::Tensor &tensor, const Group &group) { unisono::share(tensor, group->world()); });
  m.def("is_shared", &unisono::is_shared);
}
