"""What torch.compile has to know of operators that communicate: their results' shapes, and that they are effects. None
is dropped because nobody uses its result, and they stay in the order of the program, which is the same on all ranks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch._library.effects import EffectType
from torch._subclasses.fake_tensor import FakeTensor


def keep_order(operator: torch._ops.OpOverload, library: torch.library.Library | None = None) -> None:
    """Declare the operator an effect, as long as the library is there."""
    if operator._schema.returns:
        torch.library._register_effectful_op(operator.name(), EffectType.ORDERED, lib=library)
    else:  # in place
        torch.fx.node.has_side_effect(operator)


def teaching(operators: Sequence[torch._ops.OpOverload], fake: Callable) -> Callable:
    """The fake kernel, which also tells Inductor of the operators when a compiler looks at it."""
    @functools.wraps(fake)
    def kernel(*args: Any, **kwargs: Any) -> Any:
        if any(isinstance(value, FakeTensor) for value in args):
            for operator in operators:
                _teach_inductor(operator)
        return fake(*args, **kwargs)
    return kernel


@functools.cache
def _teach_inductor(operator: torch._ops.OpOverload) -> None:
    """Inductor's scheduler keeps an operator behind the effect before it only if it is told so under the operation's
    name, and PyTorch 2.13 tells it under the buffer's; and it keeps no order of those in place. Imported as late as it
    is needed."""
    from torch._inductor.lowering import fallback_handler, register_lowering
    from torch._inductor.virtualized import V

    @register_lowering(operator, type_promotion_kind=None)
    def lower_in_order(*args, **kwargs):
        graph = V.graph
        known, before = len(graph.operations), graph.effectful_ops.get(EffectType.ORDERED)
        result = fallback_handler(operator, add_to_fallback_set=False)(*args, **kwargs)
        made = graph.operations[known:]
        if before is not None:
            for operation in made:
                graph.additional_star_deps[operation.get_operation_name()].add(before.get_name())
        if not operator._schema.returns:  # the effect of one that returns something is noted by the caller
            graph.effectful_ops[EffectType.ORDERED] = made[-1]
        return result


def _like_all_reduce(tensor: torch.Tensor, op: str | None = None, group: str | None = None) -> torch.Tensor:
    return torch.empty_like(tensor, memory_format=torch.contiguous_format)


def _like_all_reduce_(tensor: torch.Tensor, op: str | None = None, group: str | None = None) -> None:
    pass


_operators = (torch.ops.unisono.all_reduce.default, torch.ops.unisono.all_reduce_.default)
for _operator, _fake in zip(_operators, (_like_all_reduce, _like_all_reduce_), strict=True):
    torch.library.register_fake(_operator, teaching(_operators, _fake))
    keep_order(_operator)
