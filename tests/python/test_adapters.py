"""The calls of SGLang and vLLM, in the order in which these make them."""

import os
import re

import pytest
import torch
import torch.distributed as dist
from torch._inductor.utils import run_and_get_code

from torch_ranks import group
from unisono.adapters import sglang, vllm


def sglang_calls(size, rank):
    ops = torch.ops.sgl_kernel
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        data = torch.full((4, 6), rank + 1).to(dtype)
        ops.shm_allreduce(data, 0)
        assert (data == size * (size + 1) / 2).all()
        mine = torch.full((2, 3), rank).to(dtype)
        for dim in (0, -1):
            wanted = torch.cat([torch.full_like(mine, r) for r in range(size)], dim)
            assert torch.equal(ops.shm_allgather(mine, dim), wanted)


def as_sglang(backend):
    sglang.install()
    torch.ops.sgl_kernel.initialize(int(os.environ["WORLD_SIZE"]), int(os.environ["RANK"]))
    with group(backend) as (rank, size):
        sglang_calls(size, rank)
        with pytest.raises(ValueError, match="reduce_op"):
            torch.ops.sgl_kernel.shm_allreduce(torch.ones(1), 1)
        pipelines = [dist.new_group(ranks) for ranks in ([0, 2], [1, 3])]
        others = pipelines + [dist.new_group(ranks) for ranks in ([0, 1], [2, 3])]  # tensor parallel
        torch.ops.sgl_kernel.initialize(2, rank % 2)
        sglang_calls(2, rank % 2)
        data = torch.tensor([float(rank)])
        torch.ops.sgl_kernel.shm_allreduce(data, 0)
        assert others and data.item() == (1 if rank < 2 else 5)
    sglang.uninstall()


@pytest.mark.parametrize("backend", ["unisono", "gloo"])
def test_sglang(run, backend):
    run(4, as_sglang, backend)


def as_vllm(backend):
    vllm.install()
    ops = torch.ops._C
    with group(backend) as (rank, size):
        name = "instance-tp:0-[0-1-2]-cpushm"
        handle = ops.init_shm_manager(name, size, rank, 4)
        dist.barrier()
        assert name in ops.join_shm_manager(handle, name)
        dist.barrier()
        data = torch.full((5,), rank + 1.0)
        ops.shm_allreduce(handle, data)
        assert (data == size * (size + 1) / 2).all()
        mine = torch.full((2, 3), float(rank))
        boxes = [torch.empty(2, 3) for _ in range(size)] if rank == 1 else None
        ops.shm_gather(handle, mine, boxes, 1)
        assert boxes is None or [b[0, 0].item() for b in boxes] == list(range(size))
        everything = torch.empty(2 * size, 3)
        ops.shm_all_gather(handle, mine, everything)
        assert everything[::2, 0].tolist() == list(range(size))
        if rank == 0:
            ops.shm_send_tensor_list(handle, [mine, torch.arange(4), torch.ones(3, 2).t()], 2)
        elif rank == 2:
            received = ops.shm_recv_tensor_list(handle, 0)
            assert [t.dtype for t in received] == [torch.float32, torch.int64, torch.float32]
            assert received[2].shape == (2, 3) and received[1].tolist() == [0, 1, 2, 3] and (received[0] == 0).all()
    vllm.uninstall()


@pytest.mark.parametrize("backend", ["unisono", "gloo"])
def test_vllm(run, backend):
    run(3, as_vllm, backend)


def ambiguous():
    vllm.install()
    with group() as (rank, size):
        pairs = [dist.new_group(ranks) for ranks in ([0, 1], [0, 2])]
        if rank == 0:
            with pytest.raises(RuntimeError, match=r"\(0, 1\), \(0, 2\)"):
                torch.ops._C.init_shm_manager("no ranks", 2, 0)
        handle = torch.ops._C.init_shm_manager("no ranks", 3, rank)  # older vLLM gives three arguments
        data = torch.ones(1)
        torch.ops._C.shm_allreduce(handle, data)
        assert pairs and data.item() == size


def test_a_group_that_is_not_named(run):
    run(3, ambiguous)


def compiled():
    sglang.install()
    vllm.install()
    torch.ops.sgl_kernel.initialize(2, int(os.environ["RANK"]))
    # as SGLang does
    torch.library.register_fake("sgl_kernel::shm_allgather", lambda data, dim: torch.cat([data] * 2, dim))
    with group() as (rank, size):
        handle = torch.ops._C.init_shm_manager("[0-1]", size, rank)

        def layer(x):
            y = x + 1
            torch.ops.sgl_kernel.shm_allreduce(y, 0)
            z = y * 2
            torch.ops._C.shm_allreduce(handle, z)
            torch.ops.sgl_kernel.shm_allgather(x, 0)  # nobody uses it
            return torch.ops.sgl_kernel.shm_allgather(z, -1)

        with torch.no_grad():
            x = torch.full((2, 3), float(rank))
            wanted = layer(x)
            result, code = run_and_get_code(torch.compile(layer, fullgraph=True), x)
        assert torch.equal(result, wanted) and wanted.shape == (2, 6) and (wanted == 12).all()
        called = re.findall(r"torch\.ops\.(sgl_kernel|_C)\.(shm_\w+)\.default\(", "\n".join(code))
        assert [name for _, name in called] == ["shm_allreduce", "shm_allreduce", "shm_allgather", "shm_allgather"]


@pytest.mark.timeout(320)
def test_compiled(run, tmp_path):
    run(2, compiled, limit=300, env={"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "inductor")})
