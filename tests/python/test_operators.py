"""torch.ops.unisono: values, types, gradients, groups, torch.compile."""

import re

import pytest
import torch
import torch.distributed as dist
from torch._inductor.utils import run_and_get_code

from torch_ranks import group, same, tensor_of

all_reduce, all_reduce_ = torch.ops.unisono.all_reduce, torch.ops.unisono.all_reduce_
OPS = {"sum": dist.ReduceOp.SUM, "prod": dist.ReduceOp.PRODUCT, "min": dist.ReduceOp.MIN, "max": dist.ReduceOp.MAX,
       "avg": dist.ReduceOp.AVG, "band": dist.ReduceOp.BAND, "bor": dist.ReduceOp.BOR, "bxor": dist.ReduceOp.BXOR}
TYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.int8, torch.uint8, torch.int16,
         torch.uint16, torch.int32, torch.uint32, torch.int64, torch.uint64, torch.bool, torch.complex64,
         torch.complex128]


def values():
    """Each type and operation as the process group has it, or an error where that has one."""
    with group() as (rank, _):
        for dtype in TYPES + [torch.float8_e4m3fn]:
            for op, reduce_op in OPS.items():
                x = tensor_of(rank, (5, 7), dtype if dtype in TYPES else torch.float32).to(dtype)
                wanted, given = x.clone(), x.clone()
                try:
                    dist.all_reduce(wanted, reduce_op)
                except (RuntimeError, ValueError):  # ValueError is torch's own, for complex numbers
                    with pytest.raises(RuntimeError, match="is not defined for"):
                        all_reduce(x, op)
                    continue
                assert same(all_reduce(x, op), wanted) and same(x, given)
                assert all_reduce_(x, op) is None and same(x, wanted)
        with pytest.raises(RuntimeError, match="no operation 'median'"):
            all_reduce(x, "median")


def test_values(run):
    run(3, values)


def layouts():
    with group() as (rank, size):
        whole = torch.full((6, 8), float(rank))
        for view in (whole[:, ::2], whole.t()[1:3], whole[0, 0], whole[:0]):
            before = view.clone()
            result = all_reduce(view)
            assert result.is_contiguous() and (result == before + sum(range(size)) - rank).all()
        all_reduce_(whole[:, ::2])
        assert (whole[:, ::2] == sum(range(size))).all() and (whole[:, 1::2] == rank).all()


def test_layouts(run):
    run(3, layouts)


def gradients():
    with group() as (rank, size):
        def in_place(x):
            y = x * 2
            all_reduce_(y)
            return y
        for f in (lambda x: all_reduce(x * 2), in_place):
            x = torch.ones(3, requires_grad=True)
            (f(x) * (rank + 1)).sum().backward()
            assert (x.grad == size * (size + 1)).all()  # twice the sum of the ranks' factors
        x = torch.ones(3, requires_grad=True)
        square = x * 1
        kept = (square * square).sum()
        with torch.no_grad():
            all_reduce_(square)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            kept.backward()
        with pytest.raises(RuntimeError, match="no gradient"):
            all_reduce(x, "max").sum().backward()


def test_gradients(run):
    run(3, gradients)


def groups(backend):
    with group(backend) as (rank, size):
        pair = dist.new_group([0, 2])
        x = torch.tensor([rank])
        if rank != 1:
            all_reduce_(x, "sum", pair.group_name)
            assert x.item() == 2
        all_reduce_(x)
        assert x.item() == 5


def another_group():
    for _ in range(3):
        with group() as (_, size):
            assert all_reduce(torch.ones(1)).item() == size


@pytest.mark.parametrize("backend", ["unisono", "gloo"])
def test_groups(run, backend):
    run(3, groups, backend)


def test_a_default_group_after_another(run):
    run(2, another_group)


def without_group():
    return all_reduce(torch.ones(2)).tolist()


def test_ranks_of_the_environment(run):
    assert run(3, without_group) == [[3.0, 3.0]] * 3


def check_operator():
    with group():
        for args in ((torch.randn(5),), (torch.randn(4, 3).t(),), (torch.arange(4), "max")):
            for operator in (all_reduce.default, all_reduce_.default):
                results = torch.library.opcheck(operator, args)
                assert len(results) == 4 and set(results.values()) == {"SUCCESS"}
        torch.library.opcheck(all_reduce.default, (torch.randn(5, requires_grad=True),))
        torch.library.opcheck(all_reduce_.default, (torch.randn(5, requires_grad=True).clone(),))
        assert all_reduce(torch.empty(3, 4, device="meta")).shape == (3, 4)
        assert all_reduce_(torch.empty(3, 4, device="meta")) is None


def test_opcheck(run):
    run(1, check_operator)


def called(code):
    """The operators that a compiled program calls, in order."""
    return re.findall(r"torch\.ops\.unisono\.(all_reduce_?)\.default\(", "\n".join(code))


@torch.no_grad()
def mixed(x, y):
    all_reduce(x)  # nobody uses it
    b = y + 1
    all_reduce_(b)
    c = all_reduce(y)
    d = y * 2
    all_reduce_(d, "max")
    unused = x + 1
    all_reduce_(unused)
    return all_reduce(x * 2), d, c, b


@torch.no_grad()
def in_the_middle(x):
    y = x * 2
    all_reduce_(y)
    return y + 1


@torch.no_grad()
def of_an_argument(x):
    all_reduce_(x)


def squares(x, w):
    y = x * w
    all_reduce_(y)
    return (all_reduce(y) ** 2).sum()


def compiles():
    with group() as (rank, size):
        x, y = torch.full((64,), float(rank)), torch.full((32,), 1.0)
        results, code = run_and_get_code(torch.compile(mixed, fullgraph=True), x, y)
        assert called(code) == ["all_reduce", "all_reduce_", "all_reduce", "all_reduce_", "all_reduce_", "all_reduce"]
        assert [r[0].item() for r in results] == [size * (size - 1), 2, size, 2 * size]

        result, code = run_and_get_code(torch.compile(in_the_middle, fullgraph=True), y)
        assert (result == 2 * size + 1).all() and called(code) == ["all_reduce_"]
        assert code[0].count("empty_strided_cpu((32, )") == 2, "the operator works in place, without a copy"

        result, code = run_and_get_code(torch.compile(of_an_argument, fullgraph=True), x)
        assert (x == sum(range(size))).all() and "empty_strided_cpu((64, )" not in code[0]

        for dynamic in (False, True):
            grads = []
            for f in (squares, torch.compile(squares, fullgraph=True, dynamic=dynamic)):
                w = torch.full((8,), rank + 1.0, requires_grad=True)
                f(torch.ones(8), w).backward()
                grads.append(w.grad)
            assert grads[0].abs().sum() > 0 and same(*grads)


@pytest.mark.timeout(320)
def test_compile(run, tmp_path):
    run(2, compiles, limit=300, env={"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "inductor")})
