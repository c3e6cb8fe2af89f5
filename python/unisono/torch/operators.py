"""torch.ops.unisono.all_reduce(tensor, op=None, group=None) -> Tensor, and all_reduce_ in place, which returns nothing.

They take CPU tensors; `op` is sum (which it is when it is not given), prod, min, max, avg, band, bor or bxor, `group` a
process group's `group_name`. Without one it is the default process group, of whichever backend, and without that the
ranks of the environment (RANK and WORLD_SIZE, as torchrun sets them). RuntimeError: the type has no such reduction, or
a rank is lost, late or at odds."""

from __future__ import annotations

import ctypes
import weakref

import torch
import torch.distributed as dist
from torch.distributed import distributed_c10d as c10d

from . import _backend, build, group as groups

_path = build.compiled("operators")
torch.ops.load_library(_path)
library = ctypes.CDLL(str(_path))
library.unisono_last_error.restype = ctypes.c_char_p  # of the library below it

_communicators: dict[str, object] = {}  # by the group's name, "" is the default group


def _process_group(name: str) -> dist.ProcessGroup:
    return c10d._resolve_process_group(name) if name else dist.group.WORLD


def _backend_for(group: dist.ProcessGroup) -> groups.ProcessGroupUnisono:
    """The group's backend, where it is unisono, else one beside it."""
    parent = groups.current_default()
    if parent is not None and group is dist.group.WORLD:
        return parent
    store = dist.PrefixStore("unisono/operators", c10d._world.pg_map[group][1])
    return groups.ProcessGroupUnisono(store, group.rank(), group.size(), c10d._get_default_timeout("gloo"),
                                      dist.get_process_group_ranks(group), parent)


def _attach(name: str) -> None:
    if not name and not dist.is_initialized():
        if library.unisono_operators_attach_environment(b""):
            raise RuntimeError(f"unisono: {library.unisono_last_error().decode()}")
        return
    group = _process_group(name)
    communicator = _backend.create_communicator(_backend_for(group))
    _communicators[name] = communicator
    library.unisono_operators_attach(name.encode(), ctypes.c_void_p(communicator.address))
    weakref.finalize(group, detach, name)


def detach(name: str = "") -> None:
    """The group's next call makes a communicator anew; all ranks do this between the same calls."""
    library.unisono_operators_detach(name.encode())
    _communicators.pop(name, None)


@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)
def _resolve(name: bytes, reason: int, size: int) -> int:
    """Called by the operators at a group's first call."""
    try:
        _attach(name.decode())
        return 0
    except Exception as error:
        text = str(error).encode()[:size - 1] + b"\0"
        ctypes.memmove(reason, text, len(text))
        return 1


library.unisono_operators_set_resolver(_resolve)
_backend.set_sum(ctypes.cast(library.unisono_operators_sum, ctypes.c_void_p).value)
