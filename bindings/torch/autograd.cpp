/* The gradients of torch.ops.unisono's operators, which PyTorch's stable ABI has no words for. */
#include "autograd.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <optional>

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Name = std::optional<std::string_view>;

static Tensor call(const Tensor &self, Name op, Name group) {
  static auto operation = c10::Dispatcher::singleton()
                              .findSchemaOrThrow("unisono::all_reduce", "")
                              .typed<Tensor(const Tensor &, Name, Name)>();
  return operation.call(self, op, group);
}

static void call_(Tensor &self, Name op, Name group) {
  static auto operation = c10::Dispatcher::singleton()
                              .findSchemaOrThrow("unisono::all_reduce_", "")
                              .typed<void(Tensor &, Name, Name)>();
  operation.call(self, op, group);
}

static void remember(AutogradContext *context, Name op, Name group) {
  context->saved_data["op"] = op.value_or("sum");
  if (group)
    context->saved_data["group"] = *group;
}

/* Every rank's result depends on every rank's input: what flows back is the all_reduce of the gradients. */
static variable_list gradient(AutogradContext *context, const variable_list &gradients) {
  const std::string &op = context->saved_data["op"].toStringRef();
  TORCH_CHECK(op == "sum" || op == "avg", "unisono: all_reduce(\"", op,
              "\") has no gradient; sum and avg have");
  auto group = context->saved_data.find("group");
  bool has_group = group != context->saved_data.end();
  return {call(gradients[0], op, has_group ? Name(group->second.toStringRef()) : std::nullopt), Tensor(),
          Tensor()};
}

struct AllReduce : torch::autograd::Function<AllReduce> {
  static Tensor forward(AutogradContext *context, const Tensor &self, Name op, Name group) {
    remember(context, op, group);
    at::AutoDispatchBelowADInplaceOrView below;
    return call(self, op, group);
  }
  static variable_list backward(AutogradContext *context, const variable_list &gradients) {
    return gradient(context, gradients);
  }
};

struct AllReduceInPlace : torch::autograd::Function<AllReduceInPlace> {
  static Tensor forward(AutogradContext *context, Tensor self, Name op, Name group) {
    remember(context, op, group);
    context->mark_dirty({self});
    at::AutoDispatchBelowADInplaceOrView below;
    call_(self, op, group);
    return self;
  }
  static variable_list backward(AutogradContext *context, const variable_list &gradients) {
    return gradient(context, gradients);
  }
};

static bool needs_gradient(const Tensor &self) {
  return self.requires_grad() && at::GradMode::is_enabled();
}

/* The kernels leave the arguments on the stack: to take each from there and put it back costs allocations. */
using c10::DispatchKeySet;
using c10::OperatorHandle;
using torch::jit::Stack;

static Name name_on(const Stack &stack, size_t i) {
  const c10::IValue &value = torch::jit::peek(stack, i, 3);
  return value.isNone() ? std::nullopt : Name(value.toStringRef());
}

static void below(const OperatorHandle &operation, DispatchKeySet keys, Stack *stack) {
  at::AutoDispatchBelowADInplaceOrView guard;
  operation.redispatchBoxed(keys & c10::after_ADInplaceOrView_keyset, stack);
}

static bool is_named(const Stack &stack) {
  return !torch::jit::peek(stack, 1, 3).isNone() || !torch::jit::peek(stack, 2, 3).isNone();
}

/* What is below for an ordinary tensor, without what the stable ABI costs: a sixth of a small call. */
static void (*sum)(void *data, size_t count, int8_t scalar_type);

static bool is_next_cpu(const Tensor &self, DispatchKeySet keys) {
  return (keys & c10::after_ADInplaceOrView_keyset).highestPriorityTypeId() == c10::DispatchKey::CPU &&
         self.is_contiguous();
}

void unisono::set_sum(uintptr_t function) {
  sum = (decltype(sum))function;
}

static void all_reduce(const OperatorHandle &operation, DispatchKeySet keys, Stack *stack) {
  const Tensor &self = torch::jit::peek(*stack, 0, 3).toTensor();
  if (!needs_gradient(self))
    return below(operation, keys, stack);
  Tensor result = AllReduce::apply(self, name_on(*stack, 1), name_on(*stack, 2));
  torch::jit::drop(*stack, 3);
  stack->emplace_back(std::move(result));
}

static void all_reduce_(const OperatorHandle &operation, DispatchKeySet keys, Stack *stack) {
  Tensor self = torch::jit::peek(*stack, 0, 3).toTensor();
  if (needs_gradient(self)) {
    AllReduceInPlace::apply(self, name_on(*stack, 1), name_on(*stack, 2));
    torch::jit::drop(*stack, 3);
  } else if (sum && !is_named(*stack) && is_next_cpu(self, keys)) {
    sum(self.data_ptr(), (size_t)self.numel(), (int8_t)self.scalar_type());
    torch::jit::drop(*stack, 3);
  } else {
    below(operation, keys, stack);
  }
  torch::autograd::impl::bump_version(self); /* who kept the old values for a gradient is told */
}

TORCH_LIBRARY_IMPL(unisono, Autograd, m) {
  m.impl("all_reduce", torch::CppFunction::makeFromBoxedFunction<&all_reduce>());
  m.impl("all_reduce_", torch::CppFunction::makeFromBoxedFunction<&all_reduce_>());
}
