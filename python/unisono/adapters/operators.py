"""What the adapters share: taking over an engine's operators, and finding the ranks that it means."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.distributed as dist

from ..torch import compile
from ..torch.group import find_group, groups_of_this_rank


def no_result(*_: object) -> None:
    """The fake kernel of an operator that returns nothing."""


class Operators:
    """Operators of an engine's namespace. Those that its own library has defined get our kernels, the others are
    defined. `kernels` maps a schema to the function and, for torch.compile, its fake kernel (None: it cannot be
    compiled)."""

    def __init__(self, namespace: str, kernels: dict[str, tuple[Callable, Callable | None]]) -> None:
        self._namespace, self._kernels = namespace, kernels
        self._library: torch.library.Library | None = None  # while installed

    def install(self) -> None:
        """Take over the operators; a second time does nothing."""
        if self._library is not None:
            return
        self._library = torch.library.Library(self._namespace, "FRAGMENT")
        fakes = {}
        for schema, (kernel, fake) in self._kernels.items():
            name = schema[:schema.index("(")]
            if torch._C._get_operation_overload(f"{self._namespace}::{name}", "") is None:
                self._library.define(schema)
            takes_tensors = "Tensor" in schema[:schema.index("->")]
            key = "CPU" if takes_tensors else "CompositeExplicitAutograd"
            self._library.impl(name, kernel, key, allow_override=True)
            if fake:
                fakes[name] = fake
        self._provide_fakes(fakes)

    def _provide_fakes(self, fakes: dict[str, Callable]) -> None:
        """Under this key an engine may still register fake kernels of its own, as SGLang does for one of them."""
        operators = [getattr(getattr(torch.ops, self._namespace), name).default for name in fakes]
        for operator, (name, fake) in zip(operators, fakes.items(), strict=True):
            compile.keep_order(operator, self._library)
            self._library.impl(name, compile.teaching(operators, fake), "CompositeExplicitAutograd",
                               allow_override=True)

    def uninstall(self) -> None:
        """Undo `install`: the engine's own kernels serve again."""
        if self._library is not None:
            self._library._destroy()
        self._library = None


def group_of(ranks: list[int], size: int, rank: int) -> dist.ProcessGroup:
    """The process group of the ranks that the engine's words say, else the only one of that size in which this process
    has that rank."""
    group = find_group(ranks)
    if group is not None:
        return group
    possible = {}
    for group in groups_of_this_rank():
        if (group.size(), group.rank()) == (size, rank):
            possible.setdefault(tuple(dist.get_process_group_ranks(group)), group)
    if len(possible) != 1:
        raise RuntimeError(f"unisono: a process group of {size} ranks in which this process is rank {rank} is wanted, "
                           f"and torch.distributed has {list(possible) or 'none'}; make the group of the ranks {ranks} "
                           "before the first collective")
    return next(iter(possible.values()))
