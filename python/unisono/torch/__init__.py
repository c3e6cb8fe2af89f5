"""PyTorch on unisono: `import unisono.torch` registers the torch.distributed backend "unisono".

    import torch.distributed as dist, unisono.torch
    dist.init_process_group("unisono")                  # or "cpu:unisono,cuda:nccl"

`shared_memory()`, `empty` and `share_` put tensors where collectives need not copy them."""

from __future__ import annotations

import importlib.machinery
import importlib.util
from types import ModuleType

import torch

from . import build


def _load(name: str, part: str) -> ModuleType:
    path = str(build.compiled(part))
    loader = importlib.machinery.ExtensionFileLoader(f"{__name__}.{name}", path)
    spec = importlib.util.spec_from_file_location(loader.name, path, loader=loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


_backend = _load("_backend", "backend")

from . import operators, compile as _compile  # noqa: E402, F401 - needs what was loaded
from .group import ProcessGroupUnisono, register  # noqa: E402
from .memory import (disable_shared_memory, empty, enable_shared_memory, is_shared, share_,  # noqa: E402
                     shared_memory)

register()

__all__ = ["ProcessGroupUnisono", "disable_shared_memory", "empty", "enable_shared_memory", "is_shared", "share_",
           "shared_memory"]
