"""What the adapters share: taking over an engine's operators, and finding the ranks that it means."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch.distributed import distributed_c10d as c10d

import unisono.torch  # noqa: F401 - the operators


class Operators:
    """Operators of an engine's namespace. Those that its own library has defined get our kernels, the others are
    defined. `kernels` maps a schema to the function."""

    def __init__(self, namespace: str, kernels: dict[str, Callable]) -> None:
        self._library = torch.library.Library(namespace, "FRAGMENT")
        for schema, kernel in kernels.items():
            name = schema[:schema.index("(")]
            if torch._C._get_operation_overload(f"{namespace}::{name}", "") is None:
                self._library.define(schema)
            takes_tensors = "Tensor" in schema[:schema.index("->")]
            self._library.impl(name, kernel, "CPU" if takes_tensors else "CompositeExplicitAutograd",
                               allow_override=True)

    def remove(self) -> None:
        """The engine's own kernels serve again."""
        self._library._destroy()


def find_group(size: int, rank: int) -> dist.ProcessGroup:
    """This process's group of that size in which it has that rank: the world, else the first that was made."""
    groups = [dist.group.WORLD, *(g for g in c10d._world.pg_group_ranks if isinstance(g, dist.ProcessGroup))]
    for group in groups:
        if group.size() == size and group.rank() == rank:
            return group
    raise RuntimeError(f"unisono: torch.distributed has no process group of {size} ranks in which this process is rank "
                       f"{rank}; make it before the first collective")
