"""What is built on the backend gives on it what it gives on gloo: DDP, FSDP, tensor parallelism, checkpoints, compiled
code."""

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel as DDP

from torch_ranks import batch, group, model


def train(net, rank, steps=4):
    """The losses of some steps."""
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    losses = []
    for step in range(steps):
        loss = F.mse_loss(net(batch(rank, step)), batch(rank, step + 100))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def on(backend, function, *arguments):
    with group(backend) as (rank, size):
        return function(rank, size, *arguments)


def check_equal(run, function, *arguments, n=2):
    """Two ranks add in the one order that there is, so results are equal and not only close. A thread of gloo's may
    still be in a callback when the interpreter ends, which aborts the process."""
    ours = run(n, on, "unisono", function, *arguments)
    theirs = run(n, on, "gloo", function, *arguments, exit_at_once=True)
    if n == 2:
        assert ours == theirs
    else:
        torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs))


# ---- DDP

def ddp(rank, size, hook):
    from torch.distributed.algorithms.ddp_comm_hooks import default_hooks, powerSGD_hook
    # PowerSGD communicates in callbacks: with several buckets at once the order would differ from rank to rank
    net = DDP(model(), bucket_cap_mb=25 if hook == "powerSGD" else 0.001)
    if hook == "powerSGD":
        net.register_comm_hook(powerSGD_hook.PowerSGDState(None, start_powerSGD_iter=2), powerSGD_hook.powerSGD_hook)
    elif hook:
        net.register_comm_hook(None, getattr(default_hooks, hook))
    with_no_sync = train(net, rank)
    with net.no_sync():
        net(batch(rank, 0)).sum().backward()
    return with_no_sync + train(net, rank, 2)


@pytest.mark.parametrize("hook", [None, "allreduce_hook", "fp16_compress_hook", "powerSGD"])
def test_ddp(run, hook):
    check_equal(run, ddp, hook)


def test_ddp_of_three_ranks(run):
    check_equal(run, ddp, None, n=3)


def in_shared_memory():
    import unisono.torch
    with group() as (rank, _):
        plain = train(DDP(model()), rank)
        with unisono.torch.shared_memory():
            net = DDP(model(), gradient_as_bucket_view=True)
            shared = train(net, rank)
        assert all(unisono.torch.is_shared(p) for p in net.parameters())
        assert all(unisono.torch.is_shared(p.grad) for p in net.parameters())
        assert plain == shared


def test_ddp_in_shared_memory(run):
    run(2, in_shared_memory)


def killed(victim):
    with group() as (rank, _):
        net = DDP(model(512), bucket_cap_mb=0.1)
        train_one = lambda: net(torch.ones(4, 512)).sum().backward()  # noqa: E731
        train_one()
        if rank == victim:
            net.module[0].weight.register_hook(lambda _: os.kill(os.getpid(), 9))  # with buckets under way
        start = time.monotonic()
        with pytest.raises(RuntimeError, match=f"rank {victim} died or left"):
            for _ in range(10):
                train_one()
        return time.monotonic() - start


@pytest.mark.parametrize("victim", [0, 1])  # 0 has the store by which the ranks have met
def test_a_rank_killed_in_the_middle_of_ddp(run, victim):
    times = run(3, killed, victim, dies=[victim])
    assert max(t for t in times if t is not None) < 3


def names_in_dev_shm():
    return set(os.listdir("/dev/shm"))


def mapped_from_dev_shm():
    return [line for line in Path("/proc/self/maps").read_text().splitlines() if "/dev/shm/" in line]


def trains_until_killed(victims):
    import unisono.torch
    dist.init_process_group("unisono", timeout=timedelta(seconds=20))
    with unisono.torch.shared_memory():
        net = DDP(model(512), bucket_cap_mb=0.1)
        net(torch.ones(4, 512)).sum().backward()
    assert unisono.torch.is_shared(net.module[0].weight) and not mapped_from_dev_shm()
    if dist.get_rank() in victims:
        net.module[0].weight.register_hook(lambda _: os.kill(os.getpid(), 9))
    with pytest.raises(RuntimeError, match="died or left"):
        net(torch.ones(4, 512)).sum().backward()


@pytest.mark.parametrize("victims", [[1], [0, 1, 2]], ids=["one", "all"])
def test_killed_ranks_leave_no_names(run, victims):
    """In /dev/shm, where those of other libraries stay until it is full."""
    before = names_in_dev_shm()
    run(3, trains_until_killed, victims, dies=victims)
    deadline = time.monotonic() + 10  # another program's may come and go
    while names_in_dev_shm() - before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert names_in_dev_shm() <= before


# ---- FSDP, DTensor, checkpoints

def fsdp2(rank, size):
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
    net = model()
    for layer in net:
        if isinstance(layer, torch.nn.Linear):
            fully_shard(layer, mp_policy=MixedPrecisionPolicy(reduce_dtype=torch.float32))
    fully_shard(net)
    return train(net, rank)


def test_fsdp2(run):
    check_equal(run, fsdp2)


def fsdp2_in_shared_memory():
    """Its buffers, where it asks the backend for them."""
    import unisono.torch
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.fsdp._fully_shard._fsdp_collectives import ProcessGroupAllocMixin
    buffers = []

    allocate = ProcessGroupAllocMixin.allocate

    def watched(*arguments, **options):
        buffers.append(allocate(*arguments, **options))
        return buffers[-1]

    ProcessGroupAllocMixin.allocate = watched
    with group() as (rank, size):
        plain = train(fully_shard(model()), rank)
        assert not buffers
        net = fully_shard(model())
        net.set_allocate_memory_from_process_group_for_comm(True)
        assert train(net, rank) == plain
        assert buffers and all(map(unisono.torch.is_shared, buffers))


def test_fsdp2_in_shared_memory(run):
    run(2, fsdp2_in_shared_memory)


def fsdp1(rank, size):
    from torch.distributed.fsdp import FullyShardedDataParallel
    return train(FullyShardedDataParallel(model(), device_id=torch.device("cpu")), rank)


def test_fsdp1(run):
    check_equal(run, fsdp1)


def tensor_parallel(rank, size, compiled):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
    mesh = init_device_mesh("cpu", (size,))
    net = parallelize_module(model(), mesh, {"0": ColwiseParallel(), "2": RowwiseParallel()})
    if compiled:
        net = torch.compile(net, backend="aot_eager")
    return train(net, 0)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_tensor_parallel(run, compiled):
    check_equal(run, tensor_parallel, compiled)


def mesh(rank, size):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor
    whole = torch.arange(24.0).reshape(6, 4)
    two = init_device_mesh("cpu", (2, size // 2), mesh_dim_names=("dp", "tp"))
    sharded = distribute_tensor(whole, two, [Shard(0), Shard(1)])
    results = [sharded.full_tensor(), sharded.redistribute(two, [Shard(1), Replicate()]).full_tensor(),
               (sharded @ sharded.t()).full_tensor(), sharded.sum(0).full_tensor()]
    return [r.tolist() for r in results]


def test_dtensor_on_a_mesh(run):
    assert run(4, on, "unisono", mesh) == run(4, on, "gloo", mesh, exit_at_once=True)


def checkpoint(directory):
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.state_dict import get_model_state_dict, set_model_state_dict
    from torch.distributed.fsdp import fully_shard
    with group() as (rank, _):
        net = fully_shard(model(seed=1))
        saved = get_model_state_dict(net)
        dcp.save({"model": saved}, checkpoint_id=directory)
        other = fully_shard(model(seed=2))
        state = {"model": get_model_state_dict(other)}
        dcp.load(state, checkpoint_id=directory)
        set_model_state_dict(other, state["model"])
        for a, b in zip(net.parameters(), other.parameters(), strict=True):
            assert torch.equal(a.full_tensor(), b.full_tensor())


def test_checkpoint(run, tmp_path):
    run(2, checkpoint, str(tmp_path / "checkpoint"))


# ---- functional collectives, compiled

def functional(rank, size, compiled):
    import torch.distributed._functional_collectives as fc
    world = dist.group.WORLD

    def step(x):
        y = fc.all_reduce(x * 2, "sum", world)
        gathered = fc.all_gather_tensor(y[rank:rank + 1], 0, world)
        shard = fc.reduce_scatter_tensor(gathered, "avg", 0, world)
        swapped = fc.all_to_all_single(gathered.contiguous(), None, None, world)
        return shard.sum() + swapped.sum() + fc.broadcast(y, 1, world).sum()

    if compiled:
        step = torch.compile(step, fullgraph=True)
    x = torch.arange(size * 6.0).reshape(size, 6) + rank
    return [step(x).item() for _ in range(3)]


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_functional_collectives(run, compiled):
    results = run(2, on, "unisono", functional, compiled)
    # y = 2x summed over ranks; its rows are gathered, averaged, exchanged and broadcast
    y = sum(2 * (torch.arange(12.0).reshape(2, 6) + r) for r in range(2))
    gathered = y
    for rank, result in enumerate(results):
        swapped = torch.cat([gathered[rank:rank + 1]] * 2)
        assert result == [(gathered[rank].sum() + swapped.sum() + y.sum()).item()] * 3


def collectives_in_compiled_code():
    with group() as (rank, size):
        @torch.compile(fullgraph=True, backend="aot_eager")
        def step(x, parts):
            dist.all_reduce(x)
            dist.all_gather_into_tensor(parts, x)
            return x + parts.sum()
        x = torch.ones(4)
        assert step(x, torch.empty(4 * size)).tolist() == [size + 4.0 * size * size] * 4


def test_torch_distributed_in_compiled_code(run):
    run(2, collectives_in_compiled_code)


def compiled_training(rank, size, wrap):
    from torch.distributed.fsdp import fully_shard
    net = {"ddp": DDP, "fsdp2": fully_shard}[wrap](model())
    return train(torch.compile(net, backend="aot_eager"), rank)


@pytest.mark.parametrize("wrap", ["ddp", "fsdp2"])
def test_compiled_training(run, wrap):
    check_equal(run, compiled_training, wrap)
