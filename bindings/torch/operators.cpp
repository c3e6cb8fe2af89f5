/* torch.ops.unisono: the operators, on PyTorch's stable ABI. */
#include <torch/csrc/stable/library.h>

STABLE_TORCH_LIBRARY(unisono, m) {
  (void)m;
}
