"""The calls of SGLang and vLLM, in the order in which these make them."""

import pytest
import torch
import torch.distributed as dist

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
            assert torch.equal(ops.shm_allgather(mine, dim), torch.cat([torch.full_like(mine, r) for r in range(size)], dim))


def as_sglang(backend):
    import os
    sglang.install()
    torch.ops.sgl_kernel.initialize(int(os.environ["WORLD_SIZE"]), int(os.environ["RANK"]))
    with group(backend) as (rank, size):
        sglang_calls(size, rank)
        with pytest.raises(ValueError, match="reduce_op"):
            torch.ops.sgl_kernel.shm_allreduce(torch.ones(1), 1)
        pairs = dist.new_group([0, 1]), dist.new_group([2, 3])  # tensor parallel within a pipeline's stage
        torch.ops.sgl_kernel.initialize(2, rank % 2)
        assert pairs
        sglang_calls(2, rank % 2)
    sglang.uninstall()


@pytest.mark.parametrize("backend", ["unisono", "gloo"])
def test_sglang(run, backend):
    run(4, as_sglang, backend)


def as_vllm(backend):
    vllm.install()
    ops = torch.ops._C
    with group(backend) as (rank, size):
        handle = ops.init_shm_manager("instance-tp", size, rank)
        dist.barrier()
        assert "instance-tp" in ops.join_shm_manager(handle, "instance-tp")
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
