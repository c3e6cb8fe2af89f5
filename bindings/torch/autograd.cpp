/* The gradients of torch.ops.unisono's operators, which PyTorch's stable ABI has no words for. */
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Text = std::string_view;

static Tensor call(const Tensor &self, Text op, Text group) {
  static auto operation = c10::Dispatcher::singleton()
                              .findSchemaOrThrow("unisono::all_reduce", "")
                              .typed<Tensor(const Tensor &, Text, Text)>();
  return operation.call(self, op, group);
}

static void call_(Tensor &self, Text op, Text group) {
  static auto operation = c10::Dispatcher::singleton()
                              .findSchemaOrThrow("unisono::all_reduce_", "")
                              .typed<void(Tensor &, Text, Text)>();
  operation.call(self, op, group);
}

static void remember(AutogradContext *context, Text op, Text group) {
  context->saved_data["op"] = std::string(op);
  context->saved_data["group"] = std::string(group);
}

/* Every rank's result depends on every rank's input: what flows back is the all_reduce of the gradients. */
static variable_list gradient(AutogradContext *context, const variable_list &gradients) {
  std::string op = context->saved_data["op"].toStringRef();
  TORCH_CHECK(op == "sum" || op == "avg", "unisono: all_reduce(\"", op,
              "\") has no gradient; sum and avg have");
  return {call(gradients[0], op, context->saved_data["group"].toStringRef()), Tensor(), Tensor()};
}

struct AllReduce : torch::autograd::Function<AllReduce> {
  static Tensor forward(AutogradContext *context, const Tensor &self, Text op, Text group) {
    remember(context, op, group);
    at::AutoDispatchBelowADInplaceOrView below;
    return call(self, op, group);
  }
  static variable_list backward(AutogradContext *context, const variable_list &gradients) {
    return gradient(context, gradients);
  }
};

struct AllReduceInPlace : torch::autograd::Function<AllReduceInPlace> {
  static Tensor forward(AutogradContext *context, Tensor self, Text op, Text group) {
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

static Tensor all_reduce(const Tensor &self, Text op, Text group) {
  if (needs_gradient(self))
    return AllReduce::apply(self, op, group);
  at::AutoDispatchBelowADInplaceOrView below;
  return call(self, op, group);
}

static void all_reduce_(Tensor &self, Text op, Text group) {
  if (needs_gradient(self)) {
    AllReduceInPlace::apply(self, op, group);
  } else {
    at::AutoDispatchBelowADInplaceOrView below;
    call_(self, op, group);
  }
  torch::autograd::impl::bump_version(self); /* who kept the old values for a gradient is told */
}

TORCH_LIBRARY_IMPL(unisono, Autograd, m) {
  m.impl("all_reduce", &all_reduce);
  m.impl("all_reduce_", &all_reduce_);
}
