"""A rank among those that torchrun has started on two machines: NumPy arrays, then PyTorch's backend with
DistributedDataParallel."""

import numpy as np
import torch
import torch.distributed as dist
import unisono
import unisono.torch  # noqa: F401  registers the backend

COUNT = 100_000

with unisono.Communicator.from_env() as comm:
    total = comm.all_reduce(np.arange(COUNT, dtype=np.float64))
    assert np.array_equal(total, comm.size * np.arange(COUNT, dtype=np.float64))

dist.init_process_group("unisono")
rank, size = dist.get_rank(), dist.get_world_size()

tensor = torch.full((COUNT,), float(rank + 1))
dist.all_reduce(tensor)
assert torch.equal(tensor, torch.full((COUNT,), size * (size + 1) / 2))

blocks = [torch.empty(3) for _ in range(size)]
dist.all_gather(blocks, torch.full((3,), float(rank)))
assert all(torch.equal(block, torch.full((3,), float(r))) for r, block in enumerate(blocks))

torch.manual_seed(rank)  # DistributedDataParallel makes all models rank 0's
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(10, 10))
model(torch.full((2, 10), float(rank))).sum().backward()
expected = torch.full((10, 10), 2 * sum(range(size)) / size)
assert torch.allclose(model.module.weight.grad, expected)

if rank == 0:
    dist.send(torch.arange(5.0), size - 1)
if rank == size - 1:
    received = torch.empty(5)
    dist.recv(received, 0)
    assert torch.equal(received, torch.arange(5.0))

dist.barrier()
dist.destroy_process_group()
print(f"rank {rank} of {size}: all right")
