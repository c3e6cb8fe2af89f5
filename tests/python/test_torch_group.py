"""A process group's life: asynchronous work, sends and receives, subgroups, failures, what debuggers see."""

import os
import time
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist

import unisono.torch
from torch.distributed import distributed_c10d as c10d
from torch_ranks import group


# ---- asynchronous

def asynchronous():
    with group() as (rank, size):
        tensors = [torch.full((n,), float(rank + i)) for i, n in enumerate((1, 100, 100000, 0, 7))]
        works = [dist.all_reduce(t, async_op=True) for t in tensors]
        last = dist.all_reduce(tensors[0], async_op=True)  # after the first one: in order
        futures = [w.get_future() for w in works]
        dist.barrier()
        assert all(w.is_completed() and w.is_success() for w in works)
        total = size * (size - 1) / 2
        for i, (t, future) in enumerate(zip(tensors[1:], futures[1:]), 1):
            assert future.wait()[0] is not None and (t == total + size * i).all()
        last.wait()
        assert tensors[0].item() == size * total
        doubled = dist.all_reduce(torch.ones(3), async_op=True).get_future().then(lambda f: f.value()[0] * 2)
        assert doubled.wait().tolist() == [2.0 * size] * 3  # nobody has waited for the work
        assert works[0].result()[0] is not None


def test_asynchronous_work(run):
    run(3, asynchronous)


def overlaps():
    with group() as (rank, _):
        if rank == 1:
            time.sleep(1)
        start = time.monotonic()
        work = dist.all_reduce(torch.ones(10), async_op=True)
        started = time.monotonic() - start
        if rank == 0:
            assert started < 0.5 and not work.is_completed()
            with pytest.raises(RuntimeError, match="timed out"):
                work.wait(timedelta(milliseconds=50))
        work.wait()
        assert work.is_completed()


def test_async_op_does_not_wait(run):
    run(2, overlaps)


def waits_in_a_callback():
    with group() as (_, size):
        def second(future):
            x = future.value()[0]
            dist.all_reduce(x)  # as PowerSGD's hook does
            return x
        chained = dist.all_reduce(torch.ones(2), async_op=True).get_future().then(second)
        assert chained.wait().tolist() == [size * size] * 2


def test_a_callback_may_communicate(run):
    run(2, waits_in_a_callback)


# ---- sends and receives

def sends():
    with group() as (rank, size):
        right, left = (rank + 1) % size, (rank - 1) % size
        big = torch.full((300000,), float(rank))
        box = torch.empty_like(big)
        receive = dist.irecv(box, left, tag=5)
        send = dist.isend(big, right, tag=5)
        send.wait()
        receive.wait()
        assert (box == left).all()
        # tags are kept apart
        ones = [dist.isend(torch.tensor([10 * rank + t]), right, tag=t) for t in (1, 2)]
        a, b = torch.zeros(1, dtype=torch.long), torch.zeros(1, dtype=torch.long)
        dist.recv(b, left, tag=2)
        dist.recv(a, left, tag=1)
        assert (a.item(), b.item()) == (10 * left + 1, 10 * left + 2)
        [w.wait() for w in ones]
        # from anyone, by its tag
        third = dist.isend(torch.tensor([rank]), right, tag=4)
        assert dist.recv(a, tag=4) == a.item() == left
        third.wait()
        # from anyone, into a tensor with gaps
        if rank == 0:
            froms = []
            for _ in range(size - 1):
                box = torch.zeros(4, 2)
                froms.append(dist.recv(box[:, 0]))
                assert box[:, 0].tolist() == [froms[-1]] * 4 and box[:, 1].sum() == 0
            assert sorted(froms) == list(range(1, size))
        else:
            dist.send(torch.full((4, 3), float(rank))[:, 1], 0)
        dist.isend(torch.zeros(500000), right, tag=9)  # nobody keeps the work
        dist.recv(torch.ones(500000), left, tag=9)
        box = torch.empty(3)
        ops = [dist.P2POp(dist.isend, torch.full((3,), float(rank)), right), dist.P2POp(dist.irecv, box, left)]
        for work in dist.batch_isend_irecv(ops):
            work.wait()
        assert box.tolist() == [left] * 3
        work = dist.irecv(box, left, tag=3)
        future = work.get_future()
        dist.send(torch.full((3,), 8.0), right, tag=3)
        assert future.wait()[0].tolist() == [8.0] * 3
        if rank == 0:
            with pytest.raises(RuntimeError, match="timed out"):
                dist.irecv(box, 1, tag=77).wait(timedelta(milliseconds=100))
        dist.barrier()
        if rank == 1:
            dist.send(torch.ones(3), 0, tag=77)
        dist.barrier()


def test_sends_and_receives(run):
    run(3, sends)


# ---- groups

def subgroups():
    with group() as (rank, size):
        low, high = dist.new_group([0, 1]), dist.new_group([1, 2, 3])
        for members, pg in (([0, 1], low), ([1, 2, 3], high)):
            if rank in members:
                x = torch.tensor([rank])
                dist.all_reduce(x, group=pg)
                assert x.item() == sum(members)
        reverse = dist.new_group([3, 0], sort_ranks=False) if "sort_ranks" in dist.new_group.__annotations__ else None
        assert reverse is None or rank not in (0, 3) or dist.get_rank(reverse) in (0, 1)
        pg, _ = dist.new_subgroups(2)
        x = torch.tensor([rank])
        dist.broadcast(x, 2 * (rank // 2), group=pg)
        assert x.item() == 2 * (rank // 2)
        halves = dist.group.WORLD.split_group([0, 2] if rank % 2 == 0 else [1, 3], group_name=f"half{rank % 2}")
        x = torch.tensor([rank])
        halves.allreduce([x]).wait()
        assert x.item() == (2 if rank % 2 == 0 else 4) and halves.size() == 2
        dist.destroy_process_group(pg)
        dist.barrier()


def test_subgroups(run):
    run(4, subgroups)


def without_a_default():
    with group("gloo") as (rank, _):
        first, second = dist.new_group([0, 1], backend="unisono"), dist.new_group([1, 2], backend="unisono")
        for members, pg in (([0, 1], first), ([1, 2], second)):
            if rank in members:
                x = torch.tensor([rank])
                dist.all_reduce(x, group=pg)
                assert x.item() == sum(members)


def test_subgroups_of_another_default(run):
    run(3, without_a_default)


def by_itself():
    """The groups of PyTorch's newer interface, which stand for themselves."""
    from torch.distributed import _dist2
    pg = _dist2.new_group("unisono", timedelta(seconds=60), "cpu")
    with _dist2.process_group(pg):
        pg.allreduce([x := torch.ones(2)]).wait()
        assert _dist2.current_process_group() is pg and x.tolist() == [pg.size()] * 2
    part = pg.split_group([0, 2], group_name="part")
    assert (part is None) == (pg.rank() == 1)
    if part:
        part.allreduce([x]).wait()
        assert x.tolist() == [6, 6]


def test_a_group_by_itself(run):
    run(3, by_itself)


def again():
    for _ in range(3):
        with group() as (rank, size):
            x = torch.ones(1)
            dist.all_reduce(x)
            assert x.item() == size
            assert dist.get_backend() == "unisono"


def test_destroyed_and_made_again(run):
    run(2, again)


def per_device():
    with group("cpu:unisono,cuda:gloo") as (_, size):
        x = torch.ones(1)
        dist.all_reduce(x)
        assert x.item() == size


def test_a_backend_for_each_device(run):
    run(2, per_device)


def beside_nccl():
    """This PyTorch may have no NCCL: what stands in for it is never used, as NCCL is not without a GPU."""
    class StandIn(dist.ProcessGroupGloo):
        class Options:
            pass

        def __init__(self, store, rank, size, options):
            super().__init__(store, rank, size, timedelta(seconds=60))

    c10d._NCCL_AVAILABLE, c10d.ProcessGroupNCCL = True, StandIn
    with group("cpu:unisono,cuda:nccl") as (_, size):
        dist.all_reduce(x := torch.ones(1))
        backend = dist.group.WORLD._get_backend(torch.device("cpu"))
        assert x.item() == size and isinstance(backend, unisono.torch.ProcessGroupUnisono)
        assert isinstance(dist.group.WORLD._get_backend(torch.device("cuda")), dist.ProcessGroupGloo)


def test_beside_nccl(run):
    run(2, beside_nccl)


def not_destroyed():
    dist.init_process_group("unisono", timeout=timedelta(seconds=60))
    works = [dist.all_reduce(torch.ones(3), async_op=True) for _ in range(3)]
    works[0].get_future().then(lambda f: f.value())
    if dist.get_rank() == 0:
        dist.all_reduce(torch.ones(3), async_op=True)  # the others do not come


def test_ends_without_being_destroyed(run):
    run(3, not_destroyed, limit=60)


def numbers():
    with group() as (_, size):
        backend = dist.group.WORLD._get_backend(torch.device("cpu"))
        before = backend._get_sequence_number_for_group()
        dist.all_reduce(torch.ones(1))
        dist.barrier()
        assert backend._get_sequence_number_for_group() == before + 2
        assert backend.options._timeout == timedelta(seconds=60) and backend.supports_splitting


def test_sequence_numbers(run):
    run(2, numbers)


# ---- failures

def mismatched():
    with group() as (rank, _):
        with pytest.raises(dist.DistBackendError, match="rank . called all_reduce with count"):
            dist.all_reduce(torch.ones(3 + rank))
        work = dist.all_reduce(torch.ones(3), async_op=True)
        with pytest.raises(dist.DistBackendError, match="count"):
            work.wait()
        assert work.is_completed() and not work.is_success() and "count" in str(work.exception())


def test_a_mismatch_is_an_error_on_every_rank(run):
    run(2, mismatched)


def loses_a_peer():
    with group() as (rank, _):
        dist.all_reduce(torch.ones(1))
        if rank == 1:
            os.kill(os.getpid(), 9)
        start = time.monotonic()
        with pytest.raises(dist.DistBackendError, match="rank 1 died or left"):
            for _ in range(1000):
                dist.all_reduce(torch.ones(100))
        assert time.monotonic() - start < 3
        survivors = dist.new_group([0, 2], use_local_synchronization=True)
        x = torch.ones(1)
        dist.all_reduce(x, group=survivors)
        assert x.item() == 2


def test_a_killed_rank_is_an_error_and_the_others_can_go_on(run):
    run(3, loses_a_peer, dies=[1])


def shrinks():
    """The default group and another one, after a rank's death."""
    with group() as (rank, _):
        other = dist.new_group([0, 1, 2, 3])
        if rank == 1:
            os.kill(os.getpid(), 9)
        with pytest.raises(dist.DistBackendError, match="rank 1 died or left"):
            dist.all_reduce(torch.ones(1), group=other)
        smaller = c10d.shrink_group([1], other)
        dist.all_reduce(x := torch.tensor([rank]), group=smaller)
        assert x.item() == 5 and smaller.size() == 3
        c10d.shrink_group([1], shrink_flags=c10d.SHRINK_ABORT)
        dist.all_reduce(x := torch.tensor([rank]))
        assert x.item() == 5 and dist.get_world_size() == 3
        assert unisono.torch.is_shared(unisono.torch.empty(3))


def test_survivors_shrink_their_group(run):
    run(4, shrinks, dies=[1])


def late():
    dist.init_process_group("unisono", timeout=timedelta(seconds=20))
    rank = dist.get_rank()
    dist.group.WORLD.set_timeout(timedelta(seconds=1))
    if rank == 1:
        time.sleep(4)
        return
    with pytest.raises(dist.DistBackendError, match="Timed out waiting: rank 1 did not arrive in time"):
        dist.all_reduce(torch.ones(1))


def test_time_limit(run):
    run(2, late)


def aborted():
    import threading
    dist.init_process_group("unisono", timeout=timedelta(seconds=60))
    if dist.get_rank() == 0:
        threading.Timer(0.5, dist.group.WORLD.abort).start()
    with pytest.raises(dist.DistBackendError, match="aborted"):
        if dist.get_rank() == 0:
            dist.barrier()
        else:
            dist.recv(torch.ones(1), 0)
    backend = dist.group.WORLD._get_backend(torch.device("cpu"))
    dist.destroy_process_group()
    with pytest.raises(RuntimeError, match="was shut down"):
        backend.allreduce([torch.ones(1)])


def test_abort_and_shutdown(run):
    run(2, aborted)


def monitored():
    with group() as (rank, size):
        world = dist.group.WORLD
        world.monitored_barrier(timedelta(seconds=20))
        if rank == 1:
            return
        if rank == 0:
            with pytest.raises(RuntimeError, match=r"Ranks 1 failed to pass monitoredBarrier in 1000 ms"):
                world.monitored_barrier(timedelta(seconds=1), wait_all_ranks=True)
        else:
            with pytest.raises(RuntimeError, match="Rank 2 successfully reached monitoredBarrier, but received errors"):
                world.monitored_barrier(timedelta(seconds=2))


def test_monitored_barrier_names_who_is_missing(run):
    run(3, monitored)


# ---- for debugging

def detailed():
    with group() as (rank, size):
        x = torch.ones(3)
        dist.all_reduce(x)
        assert x.tolist() == [size] * 3
        out = torch.empty(3 * size)
        dist.all_gather_into_tensor(out, x)
        pg = dist.new_group([0, 1])
        dist.broadcast(x, 1, group=pg)
        with pytest.raises(RuntimeError, match="mismatch"):
            dist.all_reduce(torch.ones(3 + rank))


def test_detailed_debugging(run):
    run(2, detailed, env={"TORCH_DISTRIBUTED_DEBUG": "DETAIL"})


def profiled():
    with group() as (rank, size):
        with torch.profiler.profile() as profiler:
            dist.all_reduce(torch.ones(3))
            dist.all_reduce(torch.ones(3), async_op=True).wait()
            dist.all_gather([torch.ones(3) for _ in range(size)], torch.ones(3))
            dist.send(torch.ones(1), 1) if rank == 0 else dist.recv(torch.ones(1), 0)
            dist.barrier()
        names = [event.name for event in profiler.events()]
        assert names.count("unisono:all_reduce") == 2
        for name in ("unisono:all_gather", "unisono:send" if rank == 0 else "unisono:recv", "unisono:barrier"):
            assert name in names


def test_the_profiler_sees_names(run):
    run(2, profiled)


# ---- many elements

def large():
    with group() as (rank, _):
        count = 2**31 + 5
        x = torch.full((count,), rank + 1, dtype=torch.int8)
        dist.all_reduce(x)
        assert x[0] == x[-1] == x[2**31] == 3 and x.max() == 3 and x.min() == 3
        x[-1] = 40 + rank
        dist.broadcast(x, 1)
        assert x[-1] == 41


@pytest.mark.long  # takes 5 GB
def test_more_than_2_to_the_31_elements(run):
    run(2, large)
