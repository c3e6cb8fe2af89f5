"""DeepSpeed from PyPI on unisono: its operators, its builders' modules, inference and training as on gloo."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

import unisono.deepspeed
from torch._inductor.utils import run_and_get_code
from torch_ranks import group, llama, same


def total(size):
    return size * (size + 1) / 2


# ---- the operators, without DeepSpeed

def operators():
    unisono.deepspeed.install()
    unisono.deepspeed.install()  # a second time does nothing
    functional, in_place = torch.ops.deepspeed.inference_all_reduce, torch.ops.deepspeed.inference_all_reduce_
    with group() as (rank, size):
        for dtype in (torch.bfloat16, torch.float16, torch.float32, torch.int32):
            x = torch.full((33,), rank + 1).to(dtype)
            assert (functional(x) == total(size)).all() and (x == rank + 1).all()
            assert in_place(x) is x and (x == total(size)).all()
        gaps = torch.full((8, 6), rank + 1.0).t()[::2]
        in_place(gaps)
        assert (gaps == total(size)).all()
        assert functional(torch.empty(3, device="meta")).shape == (3,)

        def step(x):
            y = functional(x * 2)
            in_place(y)
            functional(x)
            return y + 1
        x = torch.full((16,), rank + 1.0)
        with torch.no_grad():
            result, code = run_and_get_code(torch.compile(step, fullgraph=True), x)
            assert same(result, step(x))
            assert "\n".join(code).count("torch.ops.deepspeed.inference_all_reduce.default(") == 3
    unisono.deepspeed.uninstall()
    assert torch._C._get_operation_overload("deepspeed::inference_all_reduce", "") is None
    unisono.deepspeed.install()
    unisono.deepspeed.uninstall()


@pytest.mark.timeout(320)
def test_operators(run, tmp_path):
    run(2, operators, limit=300, env={"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "inductor")})


def overrides():
    """Where another library has defined them, as DeepSpeed's own does."""
    other = torch.library.Library("deepspeed", "DEF")
    other.define("inference_all_reduce(Tensor self) -> Tensor")
    other.define("inference_all_reduce_(Tensor(a!) self) -> Tensor(a!)")
    other.impl("inference_all_reduce", lambda x: x + 100, "CPU")
    other.impl("inference_all_reduce_", lambda x: x.add_(100), "CPU")
    with group() as (_, size):
        unisono.deepspeed.install()
        x = torch.ones(2)
        assert torch.ops.deepspeed.inference_all_reduce(x)[0] == size
        assert torch.ops.deepspeed.inference_all_reduce_(x)[0] == size
        unisono.deepspeed.uninstall()
        assert torch.ops.deepspeed.inference_all_reduce(torch.ones(2))[0] == 101


def test_operators_of_another_library(run):
    run(2, overrides)


def overrides_deepspeeds_own(directory):
    os.environ.update(DS_ACCELERATOR="cpu", TORCH_EXTENSIONS_DIR=directory)
    from deepspeed.ops.op_builder.cpu import ShareMemCommBuilder
    theirs = ShareMemCommBuilder().load(verbose=False)
    in_place = torch.ops.deepspeed.inference_all_reduce_
    with group() as (rank, size):
        theirs.initialize(size, rank)
        dist.barrier()

        def reduced(dtype):
            return in_place(torch.full((8,), rank + 1, dtype=dtype))[0].item()
        for _ in range(2):
            assert reduced(torch.float32) == total(size) and reduced(torch.int32) == rank + 1  # it has no integers
            unisono.deepspeed.install()
            assert reduced(torch.float32) == reduced(torch.int32) == total(size)
            unisono.deepspeed.uninstall()


@pytest.mark.long  # compiles DeepSpeed's operator
@pytest.mark.timeout(600)
def test_over_deepspeeds_own_operators(run, tmp_path):
    def left():
        return set(Path("/dev/shm").glob("deepspeed_allreduce_buffer_*"))
    before = left()
    try:
        run(2, overrides_deepspeeds_own, str(tmp_path), limit=580, env={"LOCAL_SIZE": "2"})
    finally:
        for name in left() - before:  # DeepSpeed's, which it never removes
            name.unlink()


# ---- the calls of DeepSpeed's documentation

def documented():
    unisono.deepspeed.install()
    import deepspeed
    from deepspeed.comm.ccl import CCLBackend
    deepspeed.init_distributed(dist_backend="ccl")
    assert isinstance(deepspeed.comm.comm.cdb, CCLBackend)
    assert type(deepspeed.comm.comm.cdb.ccl_comm_op).__module__ == "unisono.deepspeed.modules"
    rank, size = deepspeed.comm.get_rank(), deepspeed.comm.get_world_size()
    wanted = total(size)

    tensor = torch.full((128, 64), rank + 1.0)
    deepspeed.comm.broadcast(tensor, src=0)
    assert (tensor == 1).all()
    deepspeed.comm.all_reduce(tensor, op=deepspeed.comm.ReduceOp.SUM)
    assert (tensor == size).all()
    model_output = torch.full((512,), rank + 1, dtype=torch.bfloat16)
    deepspeed.comm.inference_all_reduce(model_output)
    assert (model_output == wanted).all()
    for step in range(3):
        tensor = torch.full((128, 64), rank + 1.0)
        deepspeed.comm.all_reduce_caching(tensor, op=deepspeed.comm.ReduceOp.SUM, match_id="my_gradient_tensor")
        assert (tensor == wanted).all()
    with pytest.raises(RuntimeError, match="my_gradient_tensor"):
        deepspeed.comm.all_reduce_caching(torch.ones(3), match_id="my_gradient_tensor")
    deepspeed.comm.barrier()
    non_contiguous = torch.full((12, 8), rank + 1.0).t()
    torch.ops.deepspeed.inference_all_reduce_(non_contiguous)
    assert (non_contiguous == wanted).all()

    class DistributedInferenceLayer(torch.nn.Module):
        def __init__(self, hidden_size):
            super().__init__()
            self.linear = torch.nn.Linear(hidden_size, hidden_size)

        def forward(self, x):
            x = self.linear(x)
            x = torch.ops.deepspeed.inference_all_reduce(x)
            return torch.relu(x)

    layer = DistributedInferenceLayer(16).to(torch.bfloat16)
    assert layer(torch.ones(4, 16, dtype=torch.bfloat16)).shape == (4, 16)
    collectives(deepspeed, rank, size)
    subgroups(deepspeed, rank)
    deepspeed.comm.destroy_process_group()
    unisono.deepspeed.uninstall()
    assert "ccl" not in dist.Backend.backend_list


def collectives(deepspeed, rank, size):
    comm, mine = deepspeed.comm, torch.full((4,), float(rank))
    for op, wanted in (("MAX", size - 1), ("MIN", 0), ("AVG", (size - 1) / 2), ("PRODUCT", 0)):
        x = mine.clone()
        comm.all_reduce(x, op=getattr(comm.ReduceOp, op))
        assert (x == wanted).all(), op
        comm.inference_all_reduce(y := mine.clone(), op=getattr(comm.ReduceOp, op))
        assert (y == wanted).all(), op
    work = comm.all_reduce(x := mine.clone(), async_op=True)
    work.wait()
    assert (x == sum(range(size))).all()
    everything = torch.empty(4 * size)
    comm.all_gather_into_tensor(everything, mine)
    assert everything.view(size, 4)[:, 0].tolist() == list(range(size))
    parts = [torch.empty(4) for _ in range(size)]
    comm.all_gather(parts, mine)
    assert [p[0].item() for p in parts] == list(range(size))
    part = torch.empty(4)
    comm.reduce_scatter_tensor(part, everything, op=comm.ReduceOp.SUM)
    assert (part == rank * size).all()
    comm.reduce_scatter(part, parts)
    assert (part == rank * size).all()
    swapped = torch.empty(size)
    comm.all_to_all_single(swapped, torch.full((size,), float(rank)))
    assert swapped.tolist() == list(range(size))
    comm.reduce(x := mine.clone(), dst=1)
    assert rank != 1 or (x == sum(range(size))).all()
    boxes = [torch.empty(4) for _ in range(size)] if rank == 1 else None
    comm.gather(mine, boxes, dst=1)
    assert rank != 1 or [b[0].item() for b in boxes] == list(range(size))
    if rank == 0:
        comm.send(mine, 1)
    elif rank == 1:
        comm.recv(x, 0)
        assert (x == 0).all()
    comm.scatter(x, parts if rank == 0 else None, src=0)
    assert (x == rank).all()
    if rank == 0:
        comm.send(mine, 1)
    elif rank == 1:
        comm.recv(x)  # from anyone
        assert (x == 0).all()
    comm.monitored_barrier()
    if rank == 1:
        with pytest.raises(RuntimeError, match="Rank 1 successfully reached monitoredBarrier"):
            comm.monitored_barrier(timeout=timedelta(seconds=1))
    comm.barrier()


def subgroups(deepspeed, rank):
    """The operation stays within the group, inference's too."""
    low, high = deepspeed.comm.new_group([0, 1]), deepspeed.comm.new_group([2, 3])
    mine, members = (low, [0, 1]) if rank < 2 else (high, [2, 3])
    for call in (deepspeed.comm.all_reduce, deepspeed.comm.inference_all_reduce):
        x = torch.full((4,), float(rank))
        call(x, group=mine)
        assert (x == sum(members)).all()
    x = torch.full((4,), float(rank))
    deepspeed.comm.broadcast(x, src=members[1], group=mine)
    assert (x == members[1]).all()


def test_documented_calls(run):
    run(4, documented, env={"LOCAL_SIZE": "4"})


def documented_operators():
    """The calls that the documentation of DeepSpeed's operators shows."""
    unisono.deepspeed.install()
    import deepspeed
    rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    deepspeed.init_distributed(rank=rank, world_size=world_size)
    assert deepspeed.comm.comm.cdb.name == "ccl"
    wanted = total(world_size)

    input_tensor = torch.full((512, 512), rank + 1, dtype=torch.bfloat16)
    output_tensor = torch.ops.deepspeed.inference_all_reduce(input_tensor)
    assert (input_tensor == rank + 1).all() and (output_tensor == wanted).all()

    tensor = torch.full((1024, 1024), rank + 1, dtype=torch.bfloat16)
    torch.ops.deepspeed.inference_all_reduce_(tensor)
    assert (tensor == wanted).all()

    @torch.compile(backend="aot_eager")
    def inference_with_allreduce(activations):
        output = torch.ops.deepspeed.inference_all_reduce(activations)
        return output * 2.0

    assert (inference_with_allreduce(torch.full((256, 256), rank + 1, dtype=torch.float32)) == 2 * wanted).all()

    def safe_allreduce(tensor):
        if tensor.dtype in [torch.bfloat16, torch.float16, torch.float32]:
            if tensor.device.type == 'cpu':
                return torch.ops.deepspeed.inference_all_reduce(tensor)
        return deepspeed.comm.all_reduce(tensor)

    assert (safe_allreduce(torch.full((4,), rank + 1.0)) == wanted).all()
    safe_allreduce(counts := torch.full((4,), rank + 1))
    assert (counts == wanted).all()
    deepspeed.comm.destroy_process_group()


def test_documented_calls_of_the_operators(run):
    run(2, documented_operators, env={"LOCAL_SIZE": "2"})


# ---- workloads, against gloo

def start(backend):
    if backend == "unisono":
        unisono.deepspeed.install()
    import deepspeed
    if backend == "gloo":  # and nothing else: DeepSpeed would compile an operator of its own
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist_backend="ccl" if backend == "unisono" else "gloo")
    assert deepspeed.comm.comm.cdb.name == ("ccl" if backend == "unisono" else "torch")
    return deepspeed


def train(backend, stage):
    deepspeed = start(backend)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.ReLU(), torch.nn.Linear(64, 8))
    engine, *_ = deepspeed.initialize(model=model, model_parameters=model.parameters(), config={
        "train_micro_batch_size_per_gpu": 4, "zero_optimization": {"stage": stage},
        "zero_allow_untested_optimizer": True,
    }, optimizer=torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9))
    losses = []
    for step in range(3):
        torch.manual_seed(10 * step + dist.get_rank())
        loss = (engine(torch.randn(4, 32)) ** 2).mean()
        engine.backward(loss)
        engine.step()
        losses.append(loss.item())
    return losses


@pytest.mark.timeout(300)
@pytest.mark.parametrize("stage", [1, 2, 3])
def test_zero(run, stage):
    ours, gloo = (run(2, train, backend, stage, limit=140) for backend in ("unisono", "gloo"))
    assert all(loss > 0 for losses in ours for loss in losses) and ours == gloo


def infer(backend):
    """AutoTP splits the model's layers; what it computes, whole and split."""
    deepspeed = start(backend)
    model = llama().eval()
    ids = torch.arange(12).reshape(2, 6)
    with torch.no_grad():
        whole = model(ids).logits
        engine = deepspeed.init_inference(model, dtype=torch.float32,
                                          tensor_parallel={"tp_size": dist.get_world_size()})
        split = engine(ids).logits
    layer = engine.module.model.layers[0]
    assert layer.mlp.up_proj.weight.shape[0] * dist.get_world_size() == 128
    assert type(layer.self_attn.o_proj).__name__ == type(layer.mlp.down_proj).__name__ == "LinearAllreduce"
    torch.testing.assert_close(split, whole)
    text = engine.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=5, do_sample=False, pad_token_id=0)
    assert text.shape == (2, 11)
    return split.tolist(), text.tolist()


@pytest.mark.timeout(300)
def test_auto_tensor_parallelism(run):
    ours, gloo = (run(2, infer, backend, limit=140) for backend in ("unisono", "gloo"))
    assert ours == gloo and ours[0] == ours[1]
