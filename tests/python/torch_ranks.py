"""What the tests of the PyTorch parts share: ranks of a process group, and small models."""

from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

import unisono.torch  # noqa: F401 - registers the backend


@contextmanager
def group(backend="unisono", seconds=60):
    """The default process group; rank and size."""
    dist.init_process_group(backend, timeout=timedelta(seconds=seconds))
    try:
        yield dist.get_rank(), dist.get_world_size()
    finally:
        dist.destroy_process_group()


def tensor_of(rank, shape, dtype, seed=0):
    """The same for every caller that gives the same arguments."""
    generator = torch.Generator().manual_seed(1000 * seed + rank)
    if dtype == torch.bool:
        return torch.randint(0, 2, shape, generator=generator).bool()
    if dtype.is_complex:
        return torch.randn(shape, generator=generator, dtype=torch.cdouble).to(dtype)
    if dtype.is_floating_point:
        return torch.randn(shape, generator=generator, dtype=torch.double).to(dtype)
    return torch.randint(0, 5, shape, generator=generator).to(dtype)


def same(a, b):
    """Bit for bit."""
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(
        a.contiguous().view(-1).view(torch.uint8), b.contiguous().view(-1).view(torch.uint8))


def model(width=16, seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(width, 2 * width), torch.nn.ReLU(), torch.nn.Linear(2 * width, width))


def batch(rank, step, width=16):
    return tensor_of(rank, (8, width), torch.float32, seed=step)


def llama():
    """A small one, as Hugging Face has it."""
    from transformers import LlamaConfig, LlamaForCausalLM
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(hidden_size=64, intermediate_size=128, num_hidden_layers=2, vocab_size=96,
                                        num_attention_heads=4, num_key_value_heads=2))
