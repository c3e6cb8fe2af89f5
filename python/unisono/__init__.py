"""Collective communication between CPU processes: of one machine by shared memory, of several over MPI or oneCCL.

    import numpy as np, unisono
    with unisono.Communicator.from_env() as comm:       # under torchrun, mpirun, srun or `unisono run`
        print(comm.all_reduce(np.arange(3.0)))

`import unisono.torch` registers the torch.distributed backend "unisono"."""

from ._core import Message, Request
from ._core import version as __version__
from .communicator import Communicator, unique_id
from .errors import (Error, InvalidError, MemoryError, MismatchError, PeerLostError, SystemError, TimeoutError,
                     UnsupportedError)

__all__ = ["Communicator", "Error", "InvalidError", "MemoryError", "Message", "MismatchError", "PeerLostError",
           "Request", "SystemError", "TimeoutError", "UnsupportedError", "unique_id"]
