"""torch.ops.deepspeed.inference_all_reduce(tensor) -> Tensor and inference_all_reduce_(tensor), in place, on unisono.

Defined here where nobody has; where DeepSpeed's own are loaded they get unisono's kernels until `take_back`."""

from __future__ import annotations

import torch

from ..torch import compile
from ..torch.operators import library

NAMES = {"inference_all_reduce": "(Tensor self) -> Tensor", "inference_all_reduce_": "(Tensor(a!) self) -> Tensor(a!)"}

_definitions: torch.library.Library | None = None  # while provided


def _is_defined(name: str) -> bool:
    return torch._C._get_operation_overload(f"deepspeed::{name}", "") is not None


def _has_kernel(name: str, key: str) -> bool:
    return torch._C._dispatch_has_kernel_for_dispatch_key(f"deepspeed::{name}", key)


def _functionalized(tensor: torch.Tensor) -> torch.Tensor:
    """For torch.compile: the operator in place is the other one, and its result takes the tensor's place."""
    torch._functionalize_sync(tensor)
    inner = torch._from_functional_tensor(tensor)
    with torch._C._ExcludeDispatchKeyGuard(torch._C.DispatchKeySet(torch._C.DispatchKey.Functionalize)):
        result = torch.ops.deepspeed.inference_all_reduce(inner)
    torch._functionalize_replace(tensor, result)
    torch._functionalize_commit_update(tensor)
    torch._functionalize_sync(tensor)
    return tensor


def provide() -> None:
    """Define what is not defined, and serve both."""
    global _definitions
    _definitions = torch.library.Library("deepspeed", "FRAGMENT")
    for name, schema in NAMES.items():
        if not _is_defined(name):
            _definitions.define(name + schema)
    functional = torch.ops.deepspeed.inference_all_reduce.default
    shape = compile.teaching([functional], torch.empty_like)
    _definitions.impl("inference_all_reduce", shape, "Meta", allow_override=True)
    rules = {"Meta": lambda tensor: tensor, "Functionalize": _functionalized}
    for key, rule in rules.items():
        if not _has_kernel("inference_all_reduce_", key):
            _definitions.impl("inference_all_reduce_", rule, key)
    compile.keep_order(functional, _definitions)
    library.unisono_operators_serve_deepspeed(1)


def take_back() -> None:
    """Undo `provide`: DeepSpeed's own kernels, if it has some, serve again."""
    library.unisono_operators_serve_deepspeed(0)
    _definitions._destroy()
