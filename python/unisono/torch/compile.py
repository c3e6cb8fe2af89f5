"""What torch.compile has to know of the operators: their results' shapes, and that they are effects. None is dropped
because nobody uses its result, and they stay in the order of the program, which is the same on all ranks."""

from __future__ import annotations

import functools

import torch
from torch._library.effects import EffectType
from torch._subclasses.fake_tensor import FakeTensor


@torch.library.register_fake("unisono::all_reduce")
def _all_reduce(tensor: torch.Tensor, op: str = "sum", group: str = "") -> torch.Tensor:
    if isinstance(tensor, FakeTensor):  # a compiler looks at it
        _teach_inductor()
    return torch.empty_like(tensor, memory_format=torch.contiguous_format)


@torch.library.register_fake("unisono::all_reduce_")
def _all_reduce_(tensor: torch.Tensor, op: str = "sum", group: str = "") -> None:
    if isinstance(tensor, FakeTensor):
        _teach_inductor()


def register_effect(name: str, library: torch.library.Library | None = None) -> None:
    """For an operator that returns a new tensor; as long as the library is there."""
    torch.library._register_effectful_op(name, EffectType.ORDERED, lib=library)


register_effect("unisono::all_reduce")
torch.fx.node.has_side_effect(torch.ops.unisono.all_reduce_.default)


@functools.cache
def _teach_inductor() -> None:
    """Inductor's scheduler keeps an operator behind the effect before it only if it is told so under the operation's
    name, and PyTorch 2.13 tells it under the buffer's; and it keeps no order of those in place. Imported as late as it
    is needed."""
    from torch._inductor.lowering import fallback_handler, register_lowering
    from torch._inductor.virtualized import V

    def lower_in_order(operator, *args, **kwargs):
        graph = V.graph
        known, before = len(graph.operations), graph.effectful_ops.get(EffectType.ORDERED)
        result = fallback_handler(operator, add_to_fallback_set=False)(*args, **kwargs)
        made = graph.operations[known:]
        if before is not None:
            for operation in made:
                graph.additional_star_deps[operation.get_operation_name()].add(before.get_name())
        return result, made[-1]

    @register_lowering(torch.ops.unisono.all_reduce.default, type_promotion_kind=None)
    def lower_all_reduce(*args, **kwargs):
        return lower_in_order(torch.ops.unisono.all_reduce.default, *args, **kwargs)[0]  # its caller notes the effect

    @register_lowering(torch.ops.unisono.all_reduce_.default, type_promotion_kind=None)
    def lower_all_reduce_(*args, **kwargs):
        result, operation = lower_in_order(torch.ops.unisono.all_reduce_.default, *args, **kwargs)
        V.graph.effectful_ops[EffectType.ORDERED] = operation
        return result
