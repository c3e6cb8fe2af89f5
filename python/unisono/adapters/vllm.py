"""vLLM's operators torch.ops._C.init_shm_manager, join_shm_manager, shm_allreduce, shm_gather, shm_all_gather,
shm_send_tensor_list and shm_recv_tensor_list on unisono."""

from __future__ import annotations

import re

import torch
import torch.distributed as dist

from .operators import Operators, group_of, no_result

_groups: list[dist.ProcessGroup] = []  # by the handle


def _init(name: str, group_size: int, rank: int, thread_num: int = 1) -> int:
    """vLLM's names end with the ranks, as "...-tp:0-[0-1]-cpushm". Its newer versions give the number of threads, which
    here is PyTorch's affair."""
    named = re.search(r"\[(\d+(?:-\d+)*)\]", name)
    ranks = [int(r) for r in named[1].split("-")] if named else []
    _groups.append(group_of(ranks, group_size, rank))
    return len(_groups) - 1


def _join(handle: int, name: str) -> str:
    return f"unisono: rank {_groups[handle].rank()} of {_groups[handle].size()} in {name}"


def _all_reduce(handle: int, data: torch.Tensor) -> None:
    torch.ops.unisono.all_reduce_(data, "sum", _groups[handle].group_name)


def _gather(handle: int, data: torch.Tensor, outputs: list[torch.Tensor] | None, dst: int) -> None:
    dist.gather(data, outputs, group=_groups[handle], group_dst=dst)


def _all_gather(handle: int, data: torch.Tensor, output: torch.Tensor) -> None:
    dist.all_gather_into_tensor(output, data, _groups[handle])


def _send(handle: int, tensors: list[torch.Tensor], dst: int) -> None:
    described = [[(t.shape, t.dtype) for t in tensors]]
    dist.send_object_list(described, group=_groups[handle], group_dst=dst)
    for tensor in tensors:
        dist.send(tensor.contiguous(), group=_groups[handle], group_dst=dst)


def _receive(handle: int, src: int) -> list[torch.Tensor]:
    described: list = [None]
    dist.recv_object_list(described, group=_groups[handle], group_src=src)
    tensors = [torch.empty(shape, dtype=dtype) for shape, dtype in described[0]]
    for tensor in tensors:
        dist.recv(tensor, group=_groups[handle], group_src=src)
    return tensors


_operators = Operators("_C", {
    "init_shm_manager(str name, int group_size, int rank, int thread_num=1) -> int": (_init, None),
    "join_shm_manager(int handle, str name) -> str": (_join, None),
    "shm_allreduce(int handle, Tensor(a!) data) -> ()": (_all_reduce, no_result),
    "shm_gather(int handle, Tensor data, Tensor[](a!)? outputs, int dst) -> ()": (_gather, no_result),
    "shm_all_gather(int handle, Tensor data, Tensor(a!) output) -> ()": (_all_gather, no_result),
    "shm_send_tensor_list(int handle, Tensor[](a) tensor_list, int dst) -> ()": (_send, None),
    "shm_recv_tensor_list(int handle, int src) -> Tensor[](a)": (_receive, None)})
install, uninstall = _operators.install, _operators.uninstall
