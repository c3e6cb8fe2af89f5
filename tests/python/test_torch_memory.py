"""Tensors in shared memory."""

import os
import sys
import threading

import pytest
import torch
import torch.distributed as dist

import unisono.torch
from torch_ranks import group, same


def switched():
    with group() as (rank, size):
        before = torch.ones(1000)
        with unisono.torch.shared_memory():
            inside = torch.full((1000,), rank + 1.0)
            with unisono.torch.shared_memory():
                nested = inside * 2
            third = torch.zeros(3)
        after = torch.ones(1000)
        unisono.torch.enable_shared_memory()
        assert unisono.torch.is_shared(torch.ones(1))
        unisono.torch.disable_shared_memory()
        assert [unisono.torch.is_shared(t) for t in (before, inside, nested, third, after)] == [0, 1, 1, 1, 0]
        assert inside.data_ptr() % 64 == 0
        for t in (before, inside, nested, after):
            expected = sum(t / (rank + 1) * (r + 1) if t is inside or t is nested else t for r in range(size))
            dist.all_reduce(t)
            assert same(t, expected)
        del inside, nested  # freed outside
        chosen = unisono.torch.empty(3, 4, dtype=torch.bfloat16)
        assert unisono.torch.is_shared(chosen) and chosen.shape == (3, 4)


def test_the_switch(run):
    run(2, switched)


def shares():
    with group() as (rank, size):
        whole = torch.arange(1000.0)
        view = whole[10:20]
        assert unisono.torch.share_(whole) is whole and unisono.torch.is_shared(view)
        assert whole.tolist() == list(range(1000))
        view.zero_()
        assert whole[10:20].sum() == 0
        dist.all_reduce(whole)
        assert whole[20] == 20 * size
        parameter = torch.nn.Parameter(torch.ones(5))
        unisono.torch.share_(parameter)
        (parameter * 2).sum().backward()
        assert parameter.grad.tolist() == [2] * 5
        whole.resize_(5000)
        assert whole[999] == 999 * size


def test_share_(run):
    run(2, shares)


def outlives():
    with group():
        kept = unisono.torch.empty(100000)
    kept.fill_(3)
    copied = kept.clone()
    with group():
        dist.all_reduce(kept)
        assert not unisono.torch.is_shared(copied)
    assert kept.sum() == 300000 * 2


def test_tensors_outlive_the_group(run):
    run(2, outlives)


def from_threads():
    with group():
        with unisono.torch.shared_memory():
            def work():
                for i in range(300):
                    t = torch.full((i * 7 + 1,), float(i))
                    assert (t + t).sum() == 2 * i * (i * 7 + 1)
            threads = [threading.Thread(target=work) for _ in range(4)]
            [t.start() for t in threads]
            [t.join() for t in threads]


def test_threads(run):
    run(1, from_threads)


class Writes(torch.utils.data.Dataset):
    """Its worker writes into the tensor that it was forked with."""

    def __init__(self, tensor):
        self.tensor = tensor

    def __len__(self):
        return 4

    def __getitem__(self, index):
        seen = self.tensor[0].item()
        self.tensor.fill_(-1)
        new = torch.ones(1000)
        return torch.tensor([seen, self.tensor.sum().item(), new.sum().item()])


def forks():
    with group() as (rank, _):
        with unisono.torch.shared_memory():
            tensor = torch.full((100000,), 7.0)
            loader = torch.utils.data.DataLoader(Writes(tensor), num_workers=2, multiprocessing_context="fork")
            rows = torch.cat(list(loader))
        assert rows[0].tolist() == [7, -100000, 1000]  # the child has a copy, and writes to that
        assert (tensor == 7).all()
        dist.all_reduce(tensor)
        assert (tensor == 14).all()
        child = os.fork()
        if child == 0:
            try:
                dist.all_reduce(tensor)
            except RuntimeError as error:
                os._exit(0 if "forked" in str(error) else 3)
            os._exit(4)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        dist.all_reduce(tensor, async_op=True).wait()  # a thread that a child does not have
        child = os.fork()
        if child == 0:
            sys.exit(5)  # and not os._exit: the group is taken down
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) in (1, 5)


def test_a_forked_child_cannot_reach_its_parents_tensors(run):
    run(2, forks)


def without_group():
    with pytest.raises(RuntimeError, match="init_process_group"):
        unisono.torch.empty(3)
    with group("gloo"):
        with pytest.raises(RuntimeError, match="init_process_group"):
            unisono.torch.share_(torch.ones(3))


def test_shared_memory_needs_a_group(run):
    run(1, without_group)
