"""unisono.Communicator on NumPy arrays, buffers and DLPack."""

import os

import numpy as np
import pytest

import unisono


def everything(seed):
    """All collectives, checked against NumPy on the inputs of all ranks."""
    with unisono.Communicator.from_env() as comm:
        n, me = comm.size, comm.rank
        inputs = [np.random.default_rng(seed + r).normal(size=(n * 3, 5)) for r in range(n)]
        mine = inputs[me]
        total = sum(inputs[1:], inputs[0])

        assert comm.all_reduce(mine.copy()).tobytes() == total.tobytes()
        out = np.empty_like(mine)
        assert comm.all_reduce(mine, "max", out) is out and (out == np.max(inputs, 0)).all()
        assert np.array_equal(comm.all_reduce_cached(mine.copy(), "weights"), total)
        reduced = comm.reduce(mine.copy(), root=n - 1)
        assert np.array_equal(reduced, total) if me == n - 1 else reduced is None
        assert np.array_equal(comm.reduce_scatter(mine), total[3 * me:3 * me + 3])
        assert np.array_equal(comm.broadcast(mine.copy(), root=n - 1), inputs[n - 1])
        assert np.array_equal(comm.all_gather(mine), np.stack(inputs))
        gathered = comm.gather(mine)
        assert np.array_equal(gathered, np.stack(inputs)) if me == 0 else gathered is None
        scattered = comm.scatter(mine if me == 0 else None, out=np.empty((3, 5)))
        assert np.array_equal(scattered, inputs[0][3 * me:3 * me + 3])
        blocks = [x[3 * me:3 * me + 3] for x in inputs]
        assert np.array_equal(comm.all_to_all(mine), np.concatenate(blocks))
        part = np.arange(me + 1, dtype=np.int32) + 10 * me
        counts = [r + 1 for r in range(n)]
        assert np.array_equal(comm.all_gatherv(part, counts),
                              np.concatenate([np.arange(r + 1) + 10 * r for r in range(n)]))
        to_all = np.concatenate([np.full(me + r, me, np.int16) for r in range(n)])
        counts = [me + r for r in range(n)]
        assert np.array_equal(comm.all_to_allv(to_all, counts, counts),
                              np.concatenate([np.full(me + r, r) for r in range(n)]))
        comm.barrier()


def test_collectives(run):
    run(3, everything, 1)


def test_one_rank(run):
    run(1, everything, 2)


def asynchronous():
    with unisono.Communicator.from_env() as comm:
        n, me = comm.size, comm.rank
        arrays = [np.full(1000, i + me, np.float32) for i in range(20)]
        requests = [comm.all_reduce_async(a) for a in arrays] + [comm.barrier_async()]
        requests.append(comm.all_gather_async(np.array([me])))
        assert np.array_equal(requests[-1].wait().ravel(), np.arange(n))
        assert all(r.done for r in requests)
        for i, (request, array) in enumerate(zip(requests, arrays)):
            assert request.wait() is array and (array == n * i + n * (n - 1) / 2).all()
        forgotten = comm.all_reduce_async(np.ones(100000))
        del forgotten  # waits: the array is in use
        left, right = (me - 1) % n, (me + 1) % n
        box = np.zeros(8, np.int64)
        receive = comm.recv_async(box, tag=7)
        comm.send(np.full(3, me), right, tag=7)
        message = receive.wait()
        assert (message.peer, message.tag, message.count) == (left, 7, 3) and box.tolist() == [left] * 3 + [0] * 5


def test_asynchronous(run):
    run(3, asynchronous)


def types():
    with unisono.Communicator.from_env() as comm:
        n = comm.size
        for name in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32",
                     "float64", "complex64", "complex128"):
            assert comm.all_reduce(np.ones(7, name)).tolist() == [n] * 7, name
        assert comm.all_reduce(np.array([comm.rank == 0, False])).tolist() == [True, False]
        assert comm.all_reduce(np.array([comm.rank == 0, True]), "band").tolist() == [n == 1, True]
        assert comm.all_reduce(np.array([1 + 2j, 2]), "avg").tolist() == [1 + 2j, 2]
        assert comm.all_reduce(bytearray(b"\x01\x02")) == bytes([n, 2 * n])
        assert comm.all_gather(b"ab").tobytes() == b"ab" * n
        counts = [2] * n
        assert comm.all_gatherv(np.array([1j, 2]), counts).tolist() == [1j, 2] * n
        assert comm.all_reduce(np.array(3, np.float32)).tolist() == 3 * n
        assert comm.all_reduce(np.empty((0, 4))).shape == (0, 4)


def test_types(run):
    run(2, types)


def other_types():
    import ml_dtypes
    import torch
    with unisono.Communicator.from_env() as comm:
        n = comm.size
        assert comm.all_reduce(np.full(5, 3, ml_dtypes.bfloat16)).astype(float).tolist() == [3 * n] * 5
        assert comm.all_reduce(torch.full((5,), 3, dtype=torch.bfloat16)).tolist() == [3 * n] * 5


def test_types_beside_numpys(run):
    run(2, other_types)


def refused():
    with unisono.Communicator.from_env() as comm:
        def why(function, *arguments, **named):
            with pytest.raises(unisono.InvalidError) as caught:
                function(*arguments, **named)
            return str(caught.value)

        x = np.ones((4, 4))
        assert "rank 0: array is not C-contiguous" in why(comm.all_reduce, x.T[1:])
        assert "op \"average\" is none of" in why(comm.all_reduce, x, "average")
        assert "out has 3 elements" in why(comm.all_reduce, x, out=np.empty(3))
        assert "different types" in why(comm.all_reduce, x, out=np.empty(16, np.float32))
        assert "band is not defined for float64" in why(comm.all_reduce, x, "band")
        assert "root 9 is not a rank" in why(comm.broadcast, x, 9)
        assert "read-only" in why(comm.all_reduce, b"abc")
        assert "neither DLPack nor the buffer protocol" in why(comm.all_reduce, [1.0])
        assert "type that the library does not have" in why(comm.all_reduce, np.array(["a"]))
        assert "its counts make 3" in why(comm.all_gatherv, x, [3], np.empty(16))
        assert comm.all_reduce(x).sum() == 16  # none of them has broken anything
    assert "was destroyed" in why(comm.all_reduce, x)


def test_bad_arguments_name_what_is_wrong(run):
    run(1, refused)


def groups():
    comm = unisono.Communicator.from_env()
    me = comm.rank
    half = comm.split(me % 2, key=-me)
    assert half.size == 2 and half.rank == (0 if me >= 2 else 1)
    assert half.all_reduce(np.array([me])).tolist() == [2 if me % 2 == 0 else 4]
    assert comm.split(-1 if me == 3 else 0) is None or me != 3
    if me != 1:
        assert comm.create([3, 2, 0]).broadcast(np.array([me])).tolist() == [3]


def test_groups(run):
    run(4, groups)


def by_id(file):
    import pathlib
    import time
    rank, path = int(os.environ["RANK"]), pathlib.Path(file)
    if rank == 0:
        part = path.with_suffix(".part")
        part.write_bytes(unisono.unique_id())
        part.rename(path)
    while not path.exists():
        time.sleep(0.01)
    with unisono.Communicator(2, rank, path.read_bytes(), timeout=20) as comm:
        return comm.all_reduce(np.array([rank + 1])).tolist()


def test_unique_id(run, tmp_path):
    assert run(2, by_id, str(tmp_path / "id")) == [[3], [3]]


def shared():
    comm = unisono.Communicator.from_env()
    x = comm.empty((1 << 18,), np.float32)
    assert x.dtype == np.float32 and x.ctypes.data % 64 == 0
    x[:] = comm.rank + 1
    comm.all_reduce(x)
    comm.destroy()
    assert (x == 3).all()  # outlives its communicator
    assert not [name for name in os.listdir("/dev/shm") if "unisono" in name]


def test_shared_memory(run):
    run(2, shared)


def loses_a_peer():
    import time
    comm = unisono.Communicator.from_env()
    if comm.rank == 1:
        os.kill(os.getpid(), 9)
    start = time.monotonic()
    with pytest.raises(unisono.PeerLostError, match="rank 1 died"):
        comm.all_reduce(np.ones(10))
    assert time.monotonic() - start < 5
    with pytest.raises(unisono.Error):
        comm.barrier()
    rest = comm.shrink()
    return rest.rank, rest.all_reduce(np.ones(1)).tolist()


def test_a_killed_rank_is_an_error_and_the_others_go_on(run):
    assert run(3, loses_a_peer, dies=[1]) == [(0, [2.0]), None, (1, [2.0])]


def mismatched():
    comm = unisono.Communicator.from_env()
    with pytest.raises(unisono.MismatchError, match="count"):
        comm.all_reduce(np.ones(3 + comm.rank))


def test_mismatch(run):
    run(2, mismatched)


def times_out():
    comm = unisono.Communicator.from_env(timeout=0.5)
    if comm.rank == 0:
        with pytest.raises(TimeoutError, match="rank 1 did not arrive"):
            comm.barrier()
    else:
        import time
        time.sleep(3)


def test_time_limit(run):
    run(2, times_out)


def waits_without_the_gil():
    import threading
    import time
    comm = unisono.Communicator.from_env()
    if comm.rank == 1:
        time.sleep(1)
        comm.barrier()
        return
    waiting = threading.Thread(target=comm.barrier)
    waiting.start()
    ticks = 0
    while waiting.is_alive():
        ticks += 1
        time.sleep(0.01)
    assert ticks > 5


def test_waiting_releases_the_gil(run):
    run(2, waits_without_the_gil)


def aborts():
    import threading
    comm = unisono.Communicator.from_env()
    if comm.rank == 0:
        threading.Timer(0.3, comm.abort).start()
    with pytest.raises(unisono.PeerLostError):
        comm.barrier() if comm.rank == 0 else comm.recv(np.empty(1))


def test_abort_from_another_thread(run):
    run(2, aborts)


def test_the_errors_are_also_pythons():
    assert issubclass(unisono.TimeoutError, TimeoutError) and issubclass(unisono.InvalidError, ValueError)
    assert all(issubclass(getattr(unisono, name), unisono.Error) for name in unisono.__all__ if name.endswith("Error"))


def test_the_version_is_the_librarys():
    import importlib.metadata
    assert importlib.metadata.version("unisono") == unisono.__version__
