/* torch.ops.unisono: the operators, on PyTorch's stable ABI, so that one library serves several versions of
 * PyTorch. python/unisono/torch/operators.py gives them their communicators. */
#define TORCH_TARGET_VERSION (((0ULL + 2) << 56) | ((0ULL + 10) << 48))

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <unisono.h>

#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>

#include "types.h"

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using torch::stable::detail::StableLibrary;

/* ---- communicators: one for each process group that the operators were called with, by the group's name */

namespace {
struct Group {
  std::shared_ptr<unisono_comm> comm;
  std::mutex turn; /* a communicator serves one thread at a time */
};
struct Groups {
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<Group>> by_name;
};
} // namespace

static Groups &groups() {
  static Groups &all = *new Groups; /* still there for what calls while the process ends */
  return all;
}

/* Asked once for a group; attaches its communicator, or returns non-zero and writes the reason. */
typedef int (*Resolver)(const char *name, char *reason, size_t bytes);
static Resolver resolver;

static void attach(const char *name, std::shared_ptr<unisono_comm> comm) {
  auto group = std::make_shared<Group>();
  group->comm = std::move(comm);
  std::lock_guard<std::mutex> lock(groups().mutex);
  groups().by_name[name] = std::move(group);
}

static std::shared_ptr<Group> find_attached(const std::string &name) {
  std::lock_guard<std::mutex> lock(groups().mutex);
  auto found = groups().by_name.find(name);
  return found == groups().by_name.end() ? nullptr : found->second;
}

static std::shared_ptr<Group> find_group(const std::string &name) {
  if (auto group = find_attached(name))
    return group;
  char reason[2000] = "unisono: the operators were loaded without `import unisono.torch`";
  if (!resolver || resolver(name.c_str(), reason, sizeof reason))
    throw std::runtime_error(reason);
  return find_attached(name);
}

#define FOR_PYTHON extern "C" __attribute__((visibility("default")))

FOR_PYTHON void unisono_operators_set_resolver(Resolver given) {
  resolver = given;
}

/* The communicator stays the caller's. */
FOR_PYTHON void unisono_operators_attach(const char *name, unisono_comm *comm) {
  attach(name, std::shared_ptr<unisono_comm>(comm, [](unisono_comm *) {}));
}

FOR_PYTHON unisono_status unisono_operators_attach_environment(const char *name) {
  unisono_comm *comm;
  unisono_status status = unisono_comm_init_env(&comm, nullptr);
  if (!status)
    attach(name, std::shared_ptr<unisono_comm>(comm, unisono_comm_destroy));
  return status;
}

FOR_PYTHON void unisono_operators_detach(const char *name) {
  auto group = find_attached(name);
  if (!group)
    return;
  {
    std::lock_guard<std::mutex> lock(groups().mutex);
    groups().by_name.erase(name);
  }
  std::lock_guard<std::mutex> turn(group->turn); /* nobody uses the communicator any more */
}

/* ---- operations */

/* Names are optional, because one that is not given need not be carried through PyTorch's layers: a quarter
 * of a small call's time. */
using Name = std::optional<std::string>;

static std::optional<unisono_op> find_op(const Name &name) {
  if (!name)
    return UNISONO_SUM;
  static const struct {
    const char *name;
    unisono_op op;
  } operations[] = {
      {"sum", UNISONO_SUM},   {"avg", UNISONO_AVG},   {"min", UNISONO_MIN},
      {"max", UNISONO_MAX},   {"band", UNISONO_BAND}, {"bor", UNISONO_BOR},
      {"bxor", UNISONO_BXOR}, {"prod", UNISONO_PROD}, {"product", UNISONO_PROD},
  };
  for (const auto &candidate : operations)
    if (candidate.name == name)
      return candidate.op;
  return std::nullopt;
}

/* ---- the operators */

static void reduce(const void *send, void *recv, size_t count, ScalarType scalar_type, const Name &op_name,
                   const Name &group_name) {
  const unisono::Type *type = unisono::find_type(scalar_type);
  std::optional<unisono_op> known = find_op(op_name);
  if (!known)
    throw std::runtime_error("unisono: all_reduce has no operation '" + *op_name +
                             "'; use sum, prod, min, max, avg, band, bor or bxor");
  std::optional<unisono_op> op = type ? unisono::op_for(*type, *known) : std::nullopt;
  if (!op)
    throw std::runtime_error("unisono: all_reduce(\"" + op_name.value_or("sum") +
                             "\") is not defined for tensors of type " +
                             torch::headeronly::toString(scalar_type));
  auto group = find_group(group_name.value_or(""));
  std::lock_guard<std::mutex> turn(group->turn);
  if (unisono_all_reduce(send, recv, count * type->components(), type->dtype, *op, group->comm.get()))
    throw std::runtime_error(std::string("unisono: ") + unisono_last_error());
}

static void reduce(const Tensor &send, const Tensor &recv, const Name &op, const Name &group) {
  reduce(send.data_ptr(), recv.data_ptr(), (size_t)send.numel(), send.scalar_type(), op, group);
}

/* The sum of all ranks, in place: for autograd.cpp, which may call it without PyTorch's layers between.
 * Throws as the operators do. */
FOR_PYTHON void unisono_operators_sum(void *data, size_t count, int8_t scalar_type) {
  reduce(data, data, count, (ScalarType)scalar_type, {}, {});
}

static Tensor empty_beside(const Tensor &like) {
  auto sizes = like.sizes(), strides = like.strides();
  int32_t dtype;
  STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_dtype(like.get(), &dtype));
  AtenTensorHandle made;
  STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_empty_strided((int64_t)sizes.size(), sizes.data(), strides.data(),
                                                         dtype, aoti_torch_device_type_cpu(), 0, &made));
  return Tensor(made);
}

/* The result is contiguous, whatever the input. */
static Tensor all_reduce(const Tensor &self, const Name &op, const Name &group) {
  Tensor send = self.is_contiguous() ? self : torch::stable::contiguous(self);
  Tensor result = empty_beside(send);
  reduce(send, result, op, group);
  return result;
}

static void all_reduce_(Tensor self, const Name &op, const Name &group) {
  if (self.is_contiguous())
    return reduce(self, self, op, group);
  Tensor flat = torch::stable::contiguous(self);
  reduce(flat, flat, op, group);
  torch::stable::copy_(self, flat);
}

STABLE_TORCH_LIBRARY(unisono, m) {
  m.def("all_reduce(Tensor self, str? op=None, str? group=None) -> Tensor");
  m.def("all_reduce_(Tensor(a!) self, str? op=None, str? group=None) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(unisono, CPU, m) {
  m.impl("all_reduce", TORCH_BOX(&all_reduce));
  m.impl("all_reduce_", TORCH_BOX(&all_reduce_));
}

/* ---- DeepSpeed's operators, while unisono.deepspeed is installed. Who has defined them does not matter;
 * where they have other kernels, these take their place until they are taken back. */

static Tensor inference_all_reduce(const Tensor &self) {
  return all_reduce(self, {}, {});
}

static Tensor inference_all_reduce_(Tensor self) {
  all_reduce_(self, {}, {});
  return self;
}

static std::unique_ptr<StableLibrary> deepspeed;

FOR_PYTHON void unisono_operators_serve_deepspeed(int wanted) {
  deepspeed.reset();
  if (!wanted)
    return;
  deepspeed =
      std::make_unique<StableLibrary>(StableLibrary::Kind::IMPL, "deepspeed", "CPU", __FILE__, __LINE__);
  deepspeed->impl("inference_all_reduce", TORCH_BOX(&inference_all_reduce));
  deepspeed->impl("inference_all_reduce_", TORCH_BOX(&inference_all_reduce_));
}
