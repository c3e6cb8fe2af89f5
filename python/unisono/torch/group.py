"""How torch.distributed gets its process groups of the backend "unisono"."""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Sequence
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed import _dist2

from . import _backend

ProcessGroupUnisono = _backend.ProcessGroupUnisono

_groups: weakref.WeakSet[ProcessGroupUnisono] = weakref.WeakSet()
_default: ProcessGroupUnisono | None = None  # the default group's, whose world the others share


def backend_of(group: dist.ProcessGroup) -> torch._C._distributed_c10d.Backend:
    """For CPU tensors; out of what TORCH_DISTRIBUTED_DEBUG=DETAIL wraps around it."""
    backend = group._get_backend(torch.device("cpu"))
    return getattr(backend, "wrapped_pg", backend)


def current_default() -> ProcessGroupUnisono | None:
    """The backend of the default process group, if it is unisono."""
    if _default is not None and not _default.is_shut_down:
        return _default
    if not dist.is_initialized():
        return None
    try:  # shrink_group has put another one in its place
        backend = backend_of(dist.group.WORLD)
    except RuntimeError:
        return None
    return backend if isinstance(backend, ProcessGroupUnisono) else None


def default_group() -> ProcessGroupUnisono:
    """The backend of the default process group. Raises RuntimeError where it is another, or none."""
    group = current_default()
    if group is None:
        raise RuntimeError('unisono: call torch.distributed.init_process_group("unisono") first')
    return group


def groups_of_this_rank() -> list[dist.ProcessGroup]:
    """All process groups that this process is a member of; the default one first."""
    known = dist.distributed_c10d._world.pg_group_ranks
    return [dist.group.WORLD, *(group for group in known if isinstance(group, dist.ProcessGroup))]


def find_group(ranks: Sequence[int]) -> dist.ProcessGroup | None:
    """The process group of these global ranks, in this order."""
    return next((g for g in groups_of_this_rank() if dist.get_process_group_ranks(g) == list(ranks)), None)


def create(options: dist.distributed_c10d._DistributedBackendOptions, _: object) -> ProcessGroupUnisono:
    """Called by init_process_group and new_group, on every member of the group."""
    global _default
    is_default = not dist.is_initialized()
    parent = None if is_default else current_default()
    ranks = list(options.global_ranks_in_group) or list(range(options.group_size))
    group = ProcessGroupUnisono(options.store, options.group_rank, options.group_size, options.timeout, ranks, parent)
    _groups.add(group)
    if is_default:
        _default = group
    return group


def create_by_itself(store: dist.Store, rank: int, size: int, timeout: timedelta,
                     device: torch.device) -> dist.ProcessGroup:
    """Called by torch.distributed._dist2.new_group: a group that belongs to no default one."""
    custom = dist.ProcessGroup.BackendType.CUSTOM
    group = dist.ProcessGroup(store, rank, size)
    group._set_default_backend(custom)
    backend = ProcessGroupUnisono(store, rank, size, timeout, list(range(size)), None)
    group._register_backend(torch.device("cpu"), custom, backend)
    _groups.add(backend)
    return group


@atexit.register
def _leave() -> None:
    """Without destroy_process_group: ends the groups' threads while there is an interpreter for their callbacks."""
    for group in list(_groups):
        group.leave()


def register() -> None:
    """Make "unisono" a backend for CPU tensors."""
    if "unisono" not in dist.Backend.backend_list:
        dist.Backend.register_backend("unisono", create, extended_api=True, devices=["cpu"])
        _dist2.register_backend("unisono", create_by_itself)
