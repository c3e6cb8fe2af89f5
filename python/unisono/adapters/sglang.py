"""SGLang's operators torch.ops.sgl_kernel.initialize, shm_allreduce and shm_allgather on unisono."""

from __future__ import annotations

import functools

import torch
import torch.distributed as dist

from .operators import Operators, group_of, no_result

SUM = 0  # the only operation of shm_allreduce

_wanted: tuple[int, int] | None = None  # size and rank; SGLang tells them before there are process groups


def _initialize(size: int, rank: int) -> None:
    global _wanted
    _wanted = (size, rank)
    _group.cache_clear()


@functools.cache
def _group() -> dist.ProcessGroup:
    """SGLang's ranks count through the tensor-parallel groups, one group after the other."""
    if _wanted is None:
        raise RuntimeError("unisono: call torch.ops.sgl_kernel.initialize(size, rank) first")
    size, rank = _wanted
    first = dist.get_rank() - rank
    return group_of(list(range(first, first + size)), size, rank)


def _all_reduce(data: torch.Tensor, reduce_op: int) -> None:
    if reduce_op != SUM:
        raise ValueError(f"unisono: shm_allreduce has reduce_op 0 (sum) only, not {reduce_op}")
    torch.ops.unisono.all_reduce_(data, "sum", _group().group_name)


def _all_gather(data: torch.Tensor, dim: int) -> torch.Tensor:
    parts = [torch.empty_like(data, memory_format=torch.contiguous_format) for _ in range(_group().size())]
    dist.all_gather(parts, data.contiguous(), _group())
    return torch.cat(parts, dim)


def _fake_all_gather(data: torch.Tensor, dim: int) -> torch.Tensor:
    return torch.cat([data] * _group().size(), dim)


_operators = Operators("sgl_kernel", {
    "initialize(int size, int rank) -> ()": (_initialize, None),
    "shm_allreduce(Tensor(a!) data, int reduce_op) -> ()": (_all_reduce, no_result),
    "shm_allgather(Tensor data, int dim) -> Tensor": (_all_gather, _fake_all_gather)})
install, uninstall = _operators.install, _operators.uninstall
