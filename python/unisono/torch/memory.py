"""Tensors in memory that all ranks can reach: collectives on them copy nothing that they need not.

A forked child (a DataLoader's worker) has a private copy of them: what it writes does not reach its parent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from . import _backend
from .group import default_group


def enable_shared_memory() -> None:
    """From now on new CPU tensors of all threads are in shared memory, where the machine has enough, until
    `disable_shared_memory` was called as often."""
    _backend.enable_shared_memory(default_group())


def disable_shared_memory() -> None:
    """Undo one `enable_shared_memory`. Tensors stay where they are."""
    _backend.disable_shared_memory()


@contextmanager
def shared_memory() -> Iterator[None]:
    """The two as a context.

    For gradients' buckets make the model and its DistributedDataParallel within it."""
    enable_shared_memory()
    try:
        yield
    finally:
        disable_shared_memory()


def empty(*size: Any, **options: Any) -> torch.Tensor:
    """torch.empty in shared memory."""
    with shared_memory():
        return torch.empty(*size, **options)


def share_(tensor: torch.Tensor) -> torch.Tensor:
    """Move a tensor's storage, and so all its views, to shared memory. Returns the tensor.

    NumPy arrays made from it before keep the old memory: make them anew. Raises torch.OutOfMemoryError."""
    _backend.share(tensor.detach(), default_group())
    return tensor


def is_shared(tensor: torch.Tensor) -> bool:
    """Is its storage in shared memory?"""
    return _backend.is_shared(tensor.detach())
