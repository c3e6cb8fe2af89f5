"""DeepSpeed's CPU communication on unisono, with DeepSpeed as it comes from PyPI.

    import unisono.deepspeed
    unisono.deepspeed.install()                 # before init_distributed
    import deepspeed
    deepspeed.init_distributed(dist_backend="ccl")

Without DeepSpeed it still provides torch.ops.deepspeed.inference_all_reduce and inference_all_reduce_."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed import distributed_c10d as c10d

import unisono.torch  # noqa: F401 - the backend and the operators

from . import operators
from .modules import CCLModule, ShareMemModule, torch_op

BINDINGS = "oneccl_bindings_for_pytorch"  # DeepSpeed takes the backend ccl for usable where it can import this

_undo: list[Callable[[], Any]] = []  # newest last


def install() -> None:
    """Put unisono under DeepSpeed: its operators, the modules of its builders, and a torch.distributed backend "ccl".
    Call it before deepspeed.init_distributed; a second time does nothing."""
    if _undo:
        return
    operators.provide()
    _undo.append(operators.take_back)
    if importlib.util.find_spec("deepspeed") is None:
        return
    _provide_ccl()
    _provide_bindings()
    _provide_modules()
    _improve_calls()


def uninstall() -> None:
    """Undo `install`. What DeepSpeed has set up with it in the meantime stays."""
    while _undo:
        _undo.pop()()


def _set(target: Any, name: str, value: Any) -> None:
    missing = object()
    before = target.__dict__.get(name, missing)
    setattr(target, name, value)
    _undo.append(lambda: delattr(target, name) if before is missing else setattr(target, name, before))


def _set_item(target: dict, key: str, value: Any) -> None:
    missing = object()
    before = target.get(key, missing)
    target[key] = value
    _undo.append(lambda: target.pop(key, None) if before is missing else target.__setitem__(key, before))


def _provide_ccl() -> None:
    """A c10d backend of this name, which is unisono, unless there is one."""
    from unisono.torch import group
    if "ccl" in dist.Backend.backend_list:
        return
    dist.Backend.register_backend("ccl", group.create, extended_api=True, devices=["cpu"])
    _undo.append(_remove_ccl)


def _remove_ccl() -> None:
    backend = dist.Backend
    delattr(backend, "CCL")
    backend.backend_list.remove("ccl")
    backend._plugins.pop("CCL", None)
    for table in (backend.backend_capability, backend.backend_type_map):
        table.pop("ccl", None)


def _provide_bindings() -> None:
    """Before DeepSpeed is imported, so that it finds them; and where it is, as if it had."""
    if BINDINGS not in sys.modules:
        module = ModuleType(BINDINGS, "unisono.deepspeed is installed in its place")
        module.__spec__ = importlib.machinery.ModuleSpec(BINDINGS, None)
        _set_item(sys.modules, BINDINGS, module)
    from deepspeed.accelerator import get_accelerator
    accelerator = get_accelerator()
    if accelerator.device_name() == "cpu":
        _set(accelerator, "_communication_backend_name", "ccl")


def _provide_modules() -> None:
    import deepspeed
    from deepspeed.ops.op_builder.builder import OpBuilder
    from deepspeed.ops.op_builder.cpu import CCLCommBuilder, ShareMemCommBuilder
    for builder, module in ((ShareMemCommBuilder, ShareMemModule()), (CCLCommBuilder, CCLModule())):
        _set_item(OpBuilder._loaded_ops, builder.NAME, module)
        _set_item(deepspeed.ops.__compatible_ops__, builder.NAME, True)


def _improve_calls() -> None:
    """DeepSpeed's inference_all_reduce forgets its group and operation on the way: they are heeded here. Its count of a
    group's ranks never ends for the world given by name, as ZeRO's stage 3 does. Its backend for ccl cannot scatter,
    receive from anyone or set a monitored barrier. And deepspeed.comm.all_reduce_caching, which its newer versions no
    longer have, is there."""
    import deepspeed.comm
    from deepspeed.comm.ccl import CCLBackend
    from deepspeed.comm.torch import TorchBackend

    def inference_all_reduce(self, tensor, op=deepspeed.comm.ReduceOp.SUM, group=None):
        is_world = group is None or group is dist.group.WORLD
        if is_world and torch_op(op) == dist.ReduceOp.SUM:
            return torch.ops.deepspeed.inference_all_reduce_(tensor)
        dist.all_reduce(tensor, torch_op(op), group)
        return tensor

    def all_reduce_caching(tensor, op=deepspeed.comm.ReduceOp.SUM, match_id="", group=None, async_op=False):
        backend = deepspeed.comm.comm.cdb
        module = getattr(backend, "ccl_comm_op", None)
        if module is None:
            return backend.all_reduce(tensor, op, group, async_op)
        return module.all_reduce_caching(tensor, op, match_id, backend.get_all_ranks_from_group(group), async_op)

    ranks_of_subgroup = CCLBackend.get_all_ranks_from_group

    def get_all_ranks_from_group(self, group):
        return ranks_of_subgroup(self, None if group is dist.group.WORLD else group)

    def monitored_barrier(self, group=None, timeout=None, wait_all_ranks=False):
        (group or dist.group.WORLD).monitored_barrier(timeout or c10d._get_default_timeout("ccl"), wait_all_ranks)

    _set(CCLBackend, "get_all_ranks_from_group", get_all_ranks_from_group)
    _set(CCLBackend, "monitored_barrier", monitored_barrier)
    for name in ("scatter", "recv"):
        _set(CCLBackend, name, getattr(TorchBackend, name))
    for backend in (TorchBackend, CCLBackend):
        _set(backend, "inference_all_reduce", inference_all_reduce)
    if not hasattr(deepspeed.comm, "all_reduce_caching"):
        _set(deepspeed.comm, "all_reduce_caching", all_reduce_caching)
