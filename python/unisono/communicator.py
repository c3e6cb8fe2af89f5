"""unisono.Communicator: collectives on NumPy arrays and whatever else has DLPack or the buffer protocol."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from . import _core
from ._core import Message, Request
from .errors import InvalidError

Op = Literal["sum", "prod", "min", "max", "avg", "band", "bor", "bxor"]
Array = Any  # NumPy, torch and JAX arrays, bytearray, array.array, memoryview, ...


def unique_id() -> bytes:
    """An id for one new communicator; hand it to every rank (a file, a pipe, fork) for `Communicator(...)`.

    It carries a secret: who has it can join. This process must live until every rank has joined."""
    return _core.unique_id()


def _milliseconds(timeout: float | None) -> int:
    """The library's form: 0 its default, -1 no limit."""
    if timeout is None:
        return 0
    return -1 if math.isinf(timeout) else max(1, round(timeout * 1000))


def _view(array: Array) -> np.ndarray:
    """The array as NumPy's, for its shape and type."""
    if isinstance(array, np.ndarray):
        return array
    try:
        return np.from_dlpack(array) if hasattr(array, "__dlpack__") else np.asarray(memoryview(array))
    except (BufferError, TypeError, RuntimeError) as error:
        raise InvalidError(f"out is None, and NumPy has no array of array's kind ({error}); give out") from None


def _like(array: Array, shape: Sequence[int]) -> np.ndarray:
    """A new NumPy array of the array's type."""
    return np.empty(shape, _view(array).dtype)


class Communicator:
    """An ordered set of processes ("ranks"), of one machine or of several.

    Arrays are C-contiguous, in CPU memory, of int8 to uint64, float16, bfloat16 (ml_dtypes or DLPack), float32,
    float64, complex64, complex128 or bool. They may be NumPy's or anything with DLPack or the buffer protocol.
    Every rank calls the same collectives in the same order, with arrays of the same size and type.

    Each operation has a form `..._async` that starts it and returns a `Request`; its `wait()` returns what the
    blocking form returns. Arrays must not be touched before. Waiting releases the GIL. A communicator serves one
    thread at a time; `abort` may be called from any.

    All operations raise `InvalidError` for a bad argument (nothing was sent, call again), and `MismatchError`,
    `PeerLostError`, `TimeoutError` or `SystemError` when they fail: then the communicator is broken and says the
    same for every later operation, until `shrink()` makes a new one of the survivors."""

    def __init__(self, size: int, rank: int, id: bytes, timeout: float | None = None):
        """Join as `rank` the `size` ranks that share `id`, from `unique_id()`. Waits for all of them.

        timeout: seconds that an operation may take; None: UNISONO_TIMEOUT or 10 minutes; math.inf: no limit."""
        self._comm = _core.Communicator.init(size, rank, id, _milliseconds(timeout))

    @classmethod
    def _of(cls, comm: _core.Communicator) -> Communicator:
        self = cls.__new__(cls)
        self._comm = comm
        return self

    @classmethod
    def from_env(cls, timeout: float | None = None) -> Communicator:
        """Join the ranks that a launcher started: torchrun, `unisono run`, mpirun or srun. Without one: one rank."""
        return cls._of(_core.Communicator.from_env(_milliseconds(timeout)))

    # ---- life

    @property
    def rank(self) -> int:
        """This process's number, from 0."""
        return self._comm.rank

    @property
    def size(self) -> int:
        """The number of ranks."""
        return self._comm.size

    def split(self, color: int, key: int = 0) -> Communicator | None:
        """Divide: ranks of one color make a communicator, ordered by key, then rank. color < 0: None.

        Collective over this communicator."""
        part = self._comm.split(color, key)
        return None if part is None else self._of(part)

    def create(self, ranks: Sequence[int]) -> Communicator:
        """Make a communicator of the listed ranks, in that order. Called by these ranks only."""
        return self._of(self._comm.create(list(ranks)))

    def shrink(self) -> Communicator:
        """After a failure: make a communicator of the ranks still alive, in their order; all of them call it."""
        return self._of(self._comm.shrink())

    def abort(self) -> None:
        """End every operation on every rank with `PeerLostError`, now and later. From any thread."""
        self._comm.abort()

    def set_timeout(self, timeout: float | None) -> None:
        """Limit every later operation to so many seconds. None: the default; math.inf: no limit."""
        self._comm.set_timeout(_milliseconds(timeout))

    def destroy(self) -> None:
        """Give the communicator back. Never waits; peers that still need this rank get `PeerLostError`."""
        self._comm.destroy()

    def __enter__(self) -> Communicator:
        return self

    def __exit__(self, *_: object) -> None:
        self.destroy()

    # ---- memory

    def empty(self, shape: int | Sequence[int], dtype: Any = np.float64) -> np.ndarray:
        """A new array, not initialised, in memory that all ranks can reach: collectives on it copy nothing that they
        need not. Not collective. It outlives the communicator; the last reference frees it. In a forked child it
        is a private copy. Raises `MemoryError` when the machine has too little."""
        dtype = np.dtype(dtype)
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        count = math.prod(shape)
        memory = self._comm.alloc(count * dtype.itemsize)
        return memory.view(dtype).reshape(shape) if count else np.empty(shape, dtype)

    # ---- reductions: folded in rank order, the same bits on every rank

    def all_reduce(self, array: Array, op: Op = "sum", out: Array | None = None) -> Array:
        """Reduce the ranks' arrays element by element; every rank gets the result.

        array: any shape. out: as many elements of the same type; None: in place. Returns out.
        op: avg is for floats and complex; min and max not for complex; band, bor and bxor for integers and bool.
        bool: sum is "or", prod is "and"."""
        return self._comm.all_reduce(array, array if out is None else out, op, False)

    def all_reduce_async(self, array: Array, op: Op = "sum", out: Array | None = None) -> Request:
        """`all_reduce`, started."""
        return self._comm.all_reduce(array, array if out is None else out, op, True)

    def all_reduce_cached(self, array: Array, match_id: str, op: Op = "sum", out: Array | None = None) -> Array:
        """`all_reduce` again and again: what the first call with this id worked out is kept. Count, type and op of
        an id must not change; arrays may."""
        return self._comm.all_reduce_cached(array, array if out is None else out, op, match_id, False)

    def all_reduce_cached_async(self, array: Array, match_id: str, op: Op = "sum",
                                out: Array | None = None) -> Request:
        """`all_reduce_cached`, started."""
        return self._comm.all_reduce_cached(array, array if out is None else out, op, match_id, True)

    def _reduced(self, array: Array, root: int, out: Array | None) -> Array | None:
        return None if self.rank != root else array if out is None else out

    def reduce(self, array: Array, root: int = 0, op: Op = "sum", out: Array | None = None) -> Array | None:
        """As `all_reduce`, but only `root` gets the result (in place when out is None); the others get None."""
        return self._comm.reduce(array, self._reduced(array, root, out), op, root, False)

    def reduce_async(self, array: Array, root: int = 0, op: Op = "sum", out: Array | None = None) -> Request:
        """`reduce`, started."""
        return self._comm.reduce(array, self._reduced(array, root, out), op, root, True)

    def _part(self, array: Array, out: Array | None) -> Array:
        """The out of reduce_scatter and scatter: a size-th of the array's rows."""
        if out is not None:
            return out
        shape = _view(array).shape
        if not shape or shape[0] % self.size:
            raise InvalidError(f"array of shape {shape}: its first dimension is not a multiple of {self.size} ranks")
        return _like(array, (shape[0] // self.size, *shape[1:]))

    def reduce_scatter(self, array: Array, op: Op = "sum", out: Array | None = None) -> Array:
        """Reduce the ranks' arrays; rank r gets the r-th of `size` equal parts along the first dimension.

        array: (size * n, ...). out: (n, ...); None: a new NumPy array. Returns out."""
        return self._comm.reduce_scatter(array, self._part(array, out), op, False)

    def reduce_scatter_async(self, array: Array, op: Op = "sum", out: Array | None = None) -> Request:
        """`reduce_scatter`, started."""
        return self._comm.reduce_scatter(array, self._part(array, out), op, True)

    # ---- moving data

    def broadcast(self, array: Array, root: int = 0) -> Array:
        """Every rank's array gets the contents of root's. Returns array."""
        return self._comm.broadcast(array, root, False)

    def broadcast_async(self, array: Array, root: int = 0) -> Request:
        """`broadcast`, started."""
        return self._comm.broadcast(array, root, True)

    def _gathered(self, array: Array, out: Array | None) -> Array:
        return _like(array, (self.size, *_view(array).shape)) if out is None else out

    def all_gather(self, array: Array, out: Array | None = None) -> Array:
        """Collect the ranks' arrays, in rank order, on every rank.

        array: any shape. out: `size` times as many elements; None: a new NumPy array (size, *shape). Returns out."""
        return self._comm.all_gather(array, self._gathered(array, out), False)

    def all_gather_async(self, array: Array, out: Array | None = None) -> Request:
        """`all_gather`, started."""
        return self._comm.all_gather(array, self._gathered(array, out), True)

    def _gathered_at(self, array: Array, root: int, out: Array | None) -> Array | None:
        return self._gathered(array, out) if self.rank == root else None

    def gather(self, array: Array, root: int = 0, out: Array | None = None) -> Array | None:
        """As `all_gather`, but only `root` gets the result; the others get None."""
        return self._comm.gather(array, self._gathered_at(array, root, out), root, False)

    def gather_async(self, array: Array, root: int = 0, out: Array | None = None) -> Request:
        """`gather`, started."""
        return self._comm.gather(array, self._gathered_at(array, root, out), root, True)

    def _scattered(self, array: Array | None, root: int, out: Array | None) -> Array:
        if out is None and self.rank != root:
            raise InvalidError(f"scatter, rank {self.rank}: out is None; only the root can tell its shape from array")
        return self._part(array, out)

    def scatter(self, array: Array | None, root: int = 0, out: Array | None = None) -> Array:
        """Rank r gets the r-th of `size` equal parts of root's array along the first dimension.

        array: (size * n, ...) on root, ignored elsewhere. out: (n, ...); the root may leave it out. Returns out."""
        return self._comm.scatter(array, self._scattered(array, root, out), root, False)

    def scatter_async(self, array: Array | None, root: int = 0, out: Array | None = None) -> Request:
        """`scatter`, started."""
        return self._comm.scatter(array, self._scattered(array, root, out), root, True)

    def _like_array(self, array: Array, out: Array | None) -> Array:
        return _like(array, _view(array).shape) if out is None else out

    def all_to_all(self, array: Array, out: Array | None = None) -> Array:
        """Send the r-th of `size` equal parts to rank r; the part from rank r becomes the r-th of out.

        array: a multiple of `size` elements. out: as many; None: a new NumPy array. Returns out."""
        return self._comm.all_to_all(array, self._like_array(array, out), False)

    def all_to_all_async(self, array: Array, out: Array | None = None) -> Request:
        """`all_to_all`, started."""
        return self._comm.all_to_all(array, self._like_array(array, out), True)

    def all_to_allv(self, array: Array, send_counts: Sequence[int], recv_counts: Sequence[int],
                    out: Array | None = None) -> Array:
        """As `all_to_all` with parts of send_counts[r] and recv_counts[r] elements, one behind the other.

        array: sum(send_counts) elements. out: sum(recv_counts); None: a new NumPy array of one dimension."""
        out = _like(array, (sum(recv_counts),)) if out is None else out
        return self._comm.all_to_allv(array, list(send_counts), out, list(recv_counts), False)

    def all_to_allv_async(self, array: Array, send_counts: Sequence[int], recv_counts: Sequence[int],
                          out: Array | None = None) -> Request:
        """`all_to_allv`, started."""
        out = _like(array, (sum(recv_counts),)) if out is None else out
        return self._comm.all_to_allv(array, list(send_counts), out, list(recv_counts), True)

    def all_gatherv(self, array: Array, recv_counts: Sequence[int], out: Array | None = None) -> Array:
        """As `all_gather` with recv_counts[r] elements from rank r, one behind the other.

        array: recv_counts[rank] elements. out: sum(recv_counts); None: a new NumPy array of one dimension."""
        out = _like(array, (sum(recv_counts),)) if out is None else out
        return self._comm.all_gatherv(array, out, list(recv_counts), False)

    def all_gatherv_async(self, array: Array, recv_counts: Sequence[int], out: Array | None = None) -> Request:
        """`all_gatherv`, started."""
        out = _like(array, (sum(recv_counts),)) if out is None else out
        return self._comm.all_gatherv(array, out, list(recv_counts), True)

    def barrier(self) -> None:
        """Return when every rank has called it."""
        self._comm.barrier(False)

    def barrier_async(self) -> Request:
        """`barrier`, started."""
        return self._comm.barrier(True)

    # ---- point to point

    def send(self, array: Array, peer: int, tag: int = 0) -> None:
        """Send to rank `peer`. Messages of one tag (>= 0) between two ranks arrive in the order of sending."""
        self._comm.send(array, peer, tag, False)

    def send_async(self, array: Array, peer: int, tag: int = 0) -> Request:
        """`send`, started."""
        return self._comm.send(array, peer, tag, True)

    def recv(self, array: Array, peer: int = -1, tag: int = -1) -> Message:
        """Receive into array at most as many elements as it has. peer -1: from any rank; tag -1: any tag.

        Returns who sent how much under which tag."""
        return self._comm.recv(array, peer, tag, False)

    def recv_async(self, array: Array, peer: int = -1, tag: int = -1) -> Request:
        """`recv`, started."""
        return self._comm.recv(array, peer, tag, True)
