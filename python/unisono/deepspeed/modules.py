"""What DeepSpeed's builders load: the modules that it calls for its CPU communication.

Ranks have met in torch.distributed before DeepSpeed calls any of this."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist

from ..torch.group import backend_of, find_group

Ranks = list[int]


def torch_op(op: Any) -> dist.ReduceOp.RedOpType:
    """DeepSpeed's ReduceOp, whose numbers are its own, or torch's."""
    found = getattr(dist.ReduceOp, getattr(op, "name", ""), None)
    if found is None:
        raise ValueError(f"unisono: op is {op!r}; use a deepspeed.comm.ReduceOp")
    return found


def _check_world(size: int, rank: int) -> None:
    if (size, rank) != (dist.get_world_size(), dist.get_rank()):
        raise ValueError(f"unisono: rank {rank} of {size} is asked for, and torch.distributed has rank "
                         f"{dist.get_rank()} of {dist.get_world_size()}")


class ShareMemModule:
    """What ShareMemCommBuilder().load() gives: the operators torch.ops.deepspeed are all that it is for."""

    def initialize(self, size: int, rank: int) -> None:
        _check_world(size, rank)

    def vector_kernel_level(self) -> int:
        """2: every type has a kernel on every processor."""
        return 2


class CCLModule:
    """What CCLCommBuilder().load() gives. `group` is a list of global ranks; src and dst count within it."""

    def __init__(self) -> None:
        self._groups: dict[tuple[int, ...], dist.ProcessGroup] = {}

    def get_available_coll(self) -> list[str]:
        return ["broadcast", "all_reduce", "inference_all_reduce", "all_reduce_caching", "barrier", "all_gather",
                "all_gather_into_tensor", "reduce_scatter", "reduce_scatter_tensor", "all_to_all_single", "reduce",
                "gather", "send", "recv"]

    # ---- meeting: torch.distributed has done it, and its store is where keys would be

    def get_kvs_addr(self, rank: int) -> list[int]:
        """The callers broadcast it; there is nothing that it would have to say."""
        return [0] * 256

    def get_sub_kvs_addr(self, first: bool) -> list[int]:
        return self.get_kvs_addr(0 if first else 1)

    def initialize(self, size: int, rank: int, kvs: torch.Tensor) -> None:
        _check_world(size, rank)
        self._groups = {tuple(range(size)): dist.group.WORLD}

    def initialize_sub_comm(self, size: int, rank: int, kvs: torch.Tensor, ranks: Ranks) -> None:
        """Called by the ranks of a process group that torch.distributed has."""
        group = find_group(ranks)
        if group is None:
            raise ValueError(f"unisono: torch.distributed has no process group of the ranks {ranks}; "
                             "use new_group first")
        self._groups[tuple(ranks)] = group

    def get_rank(self, group: int = 0) -> int:
        return dist.get_rank()

    def get_world_size(self, group: int = 0) -> int:
        return dist.get_world_size()

    def _group(self, ranks: Ranks) -> dist.ProcessGroup:
        group = self._groups.get(tuple(ranks))
        if group is None:
            raise ValueError(f"unisono: no communicator of the ranks {list(ranks)}; call initialize_sub_comm first")
        return group

    # ---- collectives: as DeepSpeed calls them, by position

    def broadcast(self, data, src: int, group: Ranks, async_op: bool):
        return dist.broadcast(data, group=self._group(group), group_src=src)

    def all_reduce(self, data, op, group: Ranks, async_op: bool):
        return dist.all_reduce(data, torch_op(op), self._group(group), async_op)

    def all_reduce_caching(self, data, op, match_id: str, group: Ranks, async_op: bool):
        """The same reduction again: a match id belongs to one size, type and operation."""
        work = backend_of(self._group(group)).all_reduce_cached(data, dist.ReduceOp(torch_op(op)), match_id, async_op)
        return work if async_op else None

    def inference_all_reduce(self, data, op):
        torch.ops.unisono.all_reduce_(data, {"PRODUCT": "prod"}.get(op.name, op.name.lower()))
        return data

    def reduce(self, data, dst: int, op, group: Ranks, async_op: bool):
        return dist.reduce(data, op=torch_op(op), group=self._group(group), group_dst=dst)

    def barrier(self, group: Ranks, async_op: bool):
        return dist.barrier(self._group(group))

    def all_gather(self, tensors, data, group: Ranks, async_op: bool):
        return dist.all_gather(tensors, data, self._group(group))

    def all_gather_into_tensor(self, output, data, group: Ranks):
        return dist.all_gather_into_tensor(output, data, self._group(group))

    def reduce_scatter(self, output, tensors, op, group: Ranks, async_op: bool):
        return dist.reduce_scatter(output, tensors, torch_op(op), self._group(group))

    def reduce_scatter_tensor(self, output, data, op, group: Ranks):
        return dist.reduce_scatter_tensor(output, data, torch_op(op), self._group(group))

    def all_to_all_single(self, output, data, output_splits, input_splits, group: Ranks):
        return dist.all_to_all_single(output, data, output_splits, input_splits, self._group(group))

    def gather(self, data, tensors, dst: int, group: Ranks):
        return dist.gather(data, tensors, group=self._group(group), group_dst=dst)

    def send(self, data, dst: int, group: Ranks, tag: int):
        return dist.send(data, group=self._group(group), tag=tag, group_dst=dst)

    def recv(self, data, src: int, group: Ranks, tag: int):
        return dist.recv(data, group=self._group(group), tag=tag, group_src=src)
