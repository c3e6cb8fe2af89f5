"""Every collective of the backend, on every type that it can have, against torch's own arithmetic in rank order."""

import pytest
import torch
import torch.distributed as dist
from torch.distributed import ReduceOp

from torch_ranks import group, same, tensor_of

MOVED = [torch.bool, torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32,
         torch.uint64, torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex32, torch.complex64,
         torch.complex128, torch.float8_e4m3fn, torch.float8_e5m2]


def moves_data(shape):
    with group() as (rank, size):
        for dtype in MOVED:
            inputs = [tensor_of(r, shape, dtype) for r in range(size)]
            mine = inputs[rank]

            x = mine.clone()
            dist.broadcast(x, 1)
            assert same(x, inputs[1]), dtype

            parts = [torch.empty_like(mine) for _ in range(size)]
            dist.all_gather(parts, mine)
            assert all(map(same, parts, inputs)), dtype

            out = torch.empty((size, *shape), dtype=dtype)
            dist.all_gather_into_tensor(out, mine)
            assert all(map(same, out, inputs)), dtype

            parts = [torch.empty_like(mine) for _ in range(size)] if rank == 1 else None
            dist.gather(mine, parts, 1)
            assert rank != 1 or all(map(same, parts, inputs)), dtype

            out = torch.empty_like(mine)
            dist.scatter(out, inputs if rank == 1 else None, 1)
            assert same(out, mine), dtype

            wholes = [tensor_of(r, (size, *shape), dtype, seed=5) for r in range(size)]
            out = torch.empty((size, *shape), dtype=dtype)
            dist.all_to_all_single(out, wholes[rank])
            assert all(same(x, whole[rank]) for x, whole in zip(out, wholes)), dtype


@pytest.mark.parametrize("shape", [(3, 5), (0,), (40000,)], ids=str)
def test_moving_data_of_every_type(run, shape):
    run(3, moves_data, shape)


def uneven():
    with group() as (rank, size):
        # rank r sends (r + s + 1) rows to rank s
        mine = tensor_of(rank, (sum(rank + s + 1 for s in range(size)), 2), torch.float32)
        counts = [rank + s + 1 for s in range(size)]
        out = torch.empty(sum(counts), 2)
        dist.all_to_all_single(out, mine, counts, counts)
        parts = [torch.empty(n, 2) for n in counts]
        dist.all_to_all(parts, list(mine.split(counts)))
        expected = []
        for r in range(size):
            theirs = tensor_of(r, (sum(r + s + 1 for s in range(size)), 2), torch.float32)
            expected.append(theirs.split([r + s + 1 for s in range(size)])[rank])
        assert same(out, torch.cat(expected))
        assert all(same(a, b) for a, b in zip(parts, expected))
        lists = [torch.empty(r + 1) for r in range(size)]
        dist.all_gather(lists, torch.full((rank + 1,), float(rank)))
        assert all(same(x, torch.full((r + 1,), float(r))) for r, x in enumerate(lists))
        out = torch.empty(rank + 1)
        dist.reduce_scatter(out, [torch.ones(r + 1) for r in range(size)])
        assert out.tolist() == [size] * (rank + 1)


def test_parts_of_different_sizes(run):
    run(3, uneven)


# ---- reductions

INTEGERS = [torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64]
FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
COMPLEX = [torch.complex64, torch.complex128]


def folded(op, inputs):
    """The result by torch's arithmetic, in rank order; 16-bit floats in float32, rounded once."""
    dtype = inputs[0].dtype
    if dtype == torch.bool:
        inputs = [x.to(torch.uint8) for x in inputs]
        op = {ReduceOp.SUM: ReduceOp.MAX, ReduceOp.PRODUCT: ReduceOp.MIN}.get(op, op)
    if dtype in (torch.float16, torch.bfloat16):
        inputs = [x.float() for x in inputs]
    fold = {ReduceOp.SUM: torch.add, ReduceOp.AVG: torch.add, ReduceOp.PRODUCT: torch.mul, ReduceOp.MIN: torch.minimum,
            ReduceOp.MAX: torch.maximum, ReduceOp.BAND: torch.bitwise_and, ReduceOp.BOR: torch.bitwise_or,
            ReduceOp.BXOR: torch.bitwise_xor}[op]
    result = inputs[0]
    for x in inputs[1:]:
        result = fold(result, x)
    if op == ReduceOp.AVG and dtype.is_complex:
        result = torch.view_as_complex(torch.view_as_real(result) / len(inputs))
    elif op == ReduceOp.AVG:
        result = result / len(inputs)
    return result.to(dtype)


def defined():
    everywhere = [(ReduceOp.SUM, t) for t in (torch.bool, *INTEGERS, *FLOATS, *COMPLEX)]
    everywhere += [(ReduceOp.AVG, t) for t in (*FLOATS, *COMPLEX)]
    everywhere += [(op, t) for op in (ReduceOp.PRODUCT, ReduceOp.MIN, ReduceOp.MAX)
                   for t in (torch.bool, *INTEGERS, *FLOATS)]
    bitwise = ReduceOp.BAND, ReduceOp.BOR, ReduceOp.BXOR
    return everywhere + [(op, t) for op in bitwise for t in (torch.bool, *INTEGERS)]


def reduces(shape):
    with group() as (rank, size):
        for op, dtype in defined():
            inputs = [tensor_of(r, (size, *shape), dtype) for r in range(size)]
            expected, mine = folded(op, inputs), inputs[rank]
            x = mine.clone()
            dist.all_reduce(x, op)
            assert same(x, expected), (op, dtype, x, expected)
            x = mine.clone()
            dist.reduce(x, 1, op)
            assert same(x, expected if rank == 1 else mine), (op, dtype)
            out = torch.empty(shape, dtype=dtype)
            dist.reduce_scatter_tensor(out, mine, op)
            assert same(out, expected[rank]), (op, dtype)
            out = torch.empty(shape, dtype=dtype)
            dist.reduce_scatter(out, [x.clone() for x in mine], op)
            assert same(out, expected[rank]), (op, dtype)


@pytest.mark.parametrize("shape", [(7,), (0, 2), (3000,)], ids=str)
def test_reductions_of_every_type(run, shape):
    run(3, reduces, shape)


def more_types():
    with group() as (rank, size):
        for dtype in (torch.uint16, torch.uint32, torch.uint64):
            x = torch.tensor([rank, 40000]).to(dtype)
            dist.all_reduce(x, ReduceOp.MAX)
            assert x.to(torch.int64).tolist() == [size - 1, 40000]
        x = torch.tensor([1 + 2j], dtype=torch.complex32)
        dist.all_reduce(x)
        assert x.to(torch.complex64).tolist() == [size * (1 + 2j)]
        x = torch.ones(2).to(torch.float8_e4m3fn)
        with pytest.raises(RuntimeError, match="SUM is not defined for Float8_e4m3fn"):
            dist.all_reduce(x)


def test_rare_types(run):
    run(2, more_types)


def undefined():
    with group() as (_, size):
        for op, dtype in ((ReduceOp.BAND, torch.float32), (ReduceOp.AVG, torch.int32), (ReduceOp.AVG, torch.bool)):
            with pytest.raises(RuntimeError, match="is not defined for"):
                dist.all_reduce(torch.ones(2).to(dtype), op)
        with pytest.raises((RuntimeError, ValueError), match="complex"):
            dist.all_reduce(torch.ones(2, dtype=torch.cfloat), ReduceOp.MAX)
        x = torch.ones(2)
        dist.all_reduce(x)
        assert x.tolist() == [size] * 2  # none of them has broken anything


def test_undefined_reductions_are_errors(run):
    run(2, undefined)


def premultiplied():
    with group() as (rank, size):
        for factor in (0.5, torch.tensor(0.5)):
            for dtype in (torch.float32, torch.bfloat16, torch.complex64):
                x = torch.full((10,), rank + 1.0).to(dtype)
                dist.all_reduce(x, dist._make_nccl_premul_sum(factor))
                assert same(x, torch.full((10,), 0.5 * size * (size + 1) / 2).to(dtype))
        out = torch.empty(2)
        dist.reduce_scatter_tensor(out, torch.ones(2 * size), dist._make_nccl_premul_sum(3.0))
        assert out.tolist() == [3.0 * size] * 2


def test_premul_sum(run):
    run(2, premultiplied)


def in_inference_mode():
    with group() as (rank, size):
        with torch.inference_mode():
            parts, columns = [torch.empty(3) for _ in range(size)], torch.zeros(3, 4)
            columns[:, 1] = rank
            works = [dist.all_gather(parts, torch.full((3,), float(rank)), async_op=True),
                     dist.all_reduce(columns[:, 1], async_op=True)]
            if rank == 0:
                works.append(dist.irecv(columns[:, 3], 1))
            elif rank == 1:
                dist.send(torch.ones(3), 0)
        futures = [work.get_future() for work in works]
        torch.futures.wait_all(futures)  # in threads that are not the caller's
        assert [p.tolist() for p in parts] == [[r] * 3 for r in range(size)]
        assert columns[:, 1].tolist() == [size * (size - 1) / 2] * 3 and (rank or columns[:, 3].tolist() == [1] * 3)


def test_tensors_of_inference_mode(run):
    run(2, in_inference_mode)


# ---- shapes

def with_gaps():
    with group() as (rank, size):
        base = tensor_of(rank, (6, 8), torch.float32)
        views = [lambda t: t.t(), lambda t: t[::2, 1:5], lambda t: t[:, 3], lambda t: t[1:3].transpose(0, 1)]
        for view in views:
            expected = base.clone()
            view(expected).copy_(folded(ReduceOp.SUM, [view(tensor_of(r, (6, 8), torch.float32)) for r in range(size)]))
            whole = base.clone()
            dist.all_reduce(view(whole))
            assert same(whole, expected)  # and nothing beside the view was touched
            whole = torch.zeros(6, 8)
            view(whole).copy_(view(base))
            dist.broadcast(view(whole), 1)
            assert same(view(whole), view(tensor_of(1, (6, 8), torch.float32)))
            parts = [view(torch.zeros(6, 8)) for _ in range(size)]
            dist.all_gather(parts, view(base))
            assert all(same(p, view(tensor_of(r, (6, 8), torch.float32))) for r, p in enumerate(parts))
        parameter = torch.nn.Parameter(torch.ones(4, 4))
        with torch.no_grad():
            dist.all_reduce(parameter.t()[:2])
        assert parameter.sum().item() == 8 * size + 8


def test_tensors_with_gaps(run):
    run(2, with_gaps)


def in_place():
    with group() as (rank, size):
        buffer = torch.zeros(size * 3)
        mine = buffer[rank * 3:rank * 3 + 3]
        mine.fill_(rank + 1)
        dist.all_gather_into_tensor(buffer, mine)
        assert buffer.tolist() == [r + 1.0 for r in range(size) for _ in range(3)]
        dist.reduce_scatter_tensor(mine, buffer)
        assert mine.tolist() == [size * (rank + 1.0)] * 3
        buffer = torch.arange(size * 2.0) + rank
        dist.all_gather_into_tensor(torch.empty(0), torch.empty(0))
        dist.all_to_all_single(buffer, buffer)  # over itself
        assert buffer.tolist() == [v for r in range(size) for v in (2.0 * rank + r, 2.0 * rank + 1 + r)]
        other = torch.arange(size * 2.0)
        dist.all_gather_into_tensor(other, other[1:3])  # overlaps, but not at this rank's place
        assert other.tolist() == [1.0, 2.0] * size


def test_overlapping_tensors(run):
    run(3, in_place)


def coalesced():
    with group() as (rank, size):
        tensors = [torch.full((n,), float(rank + 1)) for n in (1, 0, 1000)]
        dist.all_reduce_coalesced(tensors)
        total = size * (size + 1) / 2
        assert [t.sum().item() for t in tensors] == [total, 0, 1000 * total]
        tensors = [torch.full((4,), float(rank)) for _ in range(3)]
        with dist._coalescing_manager():
            for t in tensors:
                dist.all_reduce(t)
        assert all(t.tolist() == [size * (size - 1) / 2] * 4 for t in tensors)
        inputs, outputs = [torch.full((n,), float(rank)) for n in (2, 5)], [torch.empty(n * size) for n in (2, 5)]
        with dist._coalescing_manager(async_ops=True) as manager:
            for out, x in zip(outputs, inputs):
                dist.all_gather_into_tensor(out, x)
        manager.wait()
        assert all(same(out, torch.arange(size).float().repeat_interleave(n)) for out, n in zip(outputs, (2, 5)))
        shards = [torch.empty(n) for n in (2, 5)]
        with dist._coalescing_manager():
            for shard, whole in zip(shards, outputs):
                dist.reduce_scatter_tensor(shard, whole)
        assert all(s.tolist() == [float(size * rank)] * n for s, n in zip(shards, (2, 5)))
        lists = [[torch.empty(2), torch.empty(1)] for _ in range(size)]
        dist.all_gather_coalesced(lists, [torch.full((2,), float(rank)), torch.full((1,), rank + 0.5)])
        assert [[x.tolist() for x in one] for one in lists] == [[[r, r], [r + 0.5]] for r in map(float, range(size))]
        device = torch.device("cpu")
        x, y = torch.ones(2), torch.ones(2)
        dist.group.WORLD._start_coalescing(device)
        dist.group.WORLD.allreduce([x])
        dist.group.WORLD.allreduce([y])
        work = dist.group.WORLD._end_coalescing(device)
        work.get_future().wait()
        work.wait()
        assert x.tolist() == y.tolist() == [size] * 2


def test_coalesced(run):
    run(2, coalesced)


def sparse():
    with group() as (rank, size):
        gloo = dist.new_group(backend="gloo")
        cases = [torch.sparse_coo_tensor([[rank, 2]], [1.0, 2.0 + rank], (5,)),
                 torch.sparse_coo_tensor([[rank, 2], [0, rank]], tensor_of(rank, (2, 3), torch.float64), (4, 4, 3)),
                 torch.sparse_coo_tensor(torch.empty(1, 0, dtype=torch.int64), [], (5,)),
                 torch.sparse_coo_tensor([[0] * (rank + 1)], [1.0] * (rank + 1), (2,))]
        for case in cases:
            def reduced(pg):
                x = case.clone()
                dist.all_reduce(x, group=pg)
                return x.coalesce()
            ours, theirs = reduced(dist.group.WORLD), reduced(gloo)
            assert torch.equal(ours.indices(), theirs.indices()) and torch.allclose(ours.values(), theirs.values())
        with pytest.raises(RuntimeError, match="SUM only"):
            dist.all_reduce(cases[0], ReduceOp.MAX)
        with pytest.raises(RuntimeError, match="different dimensions"):
            dist.all_reduce(torch.sparse_coo_tensor([[0]], [1.0], (5 + rank,)))


def test_sparse_all_reduce_equals_gloo(run):
    run(3, sparse)


def objects():
    with group() as (rank, size):
        everyone = [None] * size
        dist.all_gather_object(everyone, {"rank": rank, "text": "x" * rank})
        assert everyone == [{"rank": r, "text": "x" * r} for r in range(size)]
        got = [rank, None]
        dist.broadcast_object_list(got, 1)
        assert got == [1, None]
        mine = [None]
        dist.scatter_object_list(mine, [f"for {r}" for r in range(size)] if rank == 0 else None, 0)
        assert mine == [f"for {rank}"]


def test_objects(run):
    run(2, objects)


def wrong():
    with group() as (rank, size):
        for call in (lambda: dist.group.WORLD.allreduce([torch.ones(1), torch.ones(1)]),
                     lambda: dist.all_gather_into_tensor(torch.empty(3), torch.empty(2)),
                     lambda: dist.all_to_all_single(torch.empty(2 * size), torch.empty(2 * size), [1] * size, None)):
            with pytest.raises((RuntimeError, ValueError)):
                call()
        x = torch.ones(1)
        dist.all_reduce(x)
        assert x.item() == size


def test_wrong_tensors_are_errors_and_break_nothing(run):
    run(2, wrong)
