"""The paired measurement from Python: a peer that lives in PyTorch and unisono, by the same kind of call and in turn. A
rank, to be started by `unisono run`.

usage: torch_ranks.py gloo|deepspeed --operations all_reduce|decode --sizes BYTES,... --dtype float32|bfloat16
                      --seconds S
       torch_ranks.py deepspeed --build      compiles DeepSpeed's operator, which it does on first use"""

import argparse
import json
import os
import statistics
import time

import numpy as np
import torch
import torch.distributed as dist

import unisono.torch
from decode import Model, rows_of

SMALL, CALLS_OF_SMALL, FEWEST_ROUNDS, MOST_ROUNDS, WARM_UPS, LARGE = 4096, 32, 7, 2000, 3, 8 << 20
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


# ---- the calls: of the peer and, of the same kind, of unisono

def with_gloo():
    gloo = dist.new_group(backend="gloo")
    return lambda tensor: dist.all_reduce(tensor, group=gloo), dist.all_reduce


def load_deepspeed():
    os.environ["DS_ACCELERATOR"] = "cpu"
    from deepspeed.ops.op_builder.cpu import ShareMemCommBuilder
    return ShareMemCommBuilder().load(verbose=False)


def with_deepspeed():
    load_deepspeed().initialize(dist.get_world_size(), dist.get_rank())
    return torch.ops.deepspeed.inference_all_reduce_, torch.ops.unisono.all_reduce_


# ---- the operations: {contestant: (what is done before a sample, the sample's calls)}

def views(memory, size, dtype, count):
    """The buffers of a sample's calls, each its own."""
    stride = -(-size // 64) * 64
    return [memory[k * stride:k * stride + size].view(dtype) for k in range(count)]


def reductions(peer, ours, size, dtype):
    count = CALLS_OF_SMALL if size <= SMALL else 1
    room = count * (size + 64)
    private = views(torch.zeros(room, dtype=torch.uint8), size, dtype, count)
    shared = views(unisono.torch.empty(room, dtype=torch.uint8), size, dtype, count)

    def contestant(all_reduce, buffers):
        def write(value):
            for buffer in buffers:
                buffer.fill_((dist.get_rank() + value) % 8)

        def check():
            expected = sum((rank + 1) % 8 for rank in range(dist.get_world_size()))
            return all((buffer == expected).all() for buffer in buffers)
        return write, [lambda b=buffer: all_reduce(b) for buffer in buffers], check

    return {"peer": contestant(peer, private), "private": contestant(ours, private), "shared": contestant(ours, shared)}


def decodings(peer, ours, size, dtype):
    """One token of each sequence. In shared memory: what the step computes with, but not its weights."""
    model, results = Model(size, dtype), {}

    def contestant(name, all_reduce, within):
        def step():
            with torch.inference_mode():
                results[name] = model.step(all_reduce)

        def step_within():
            with unisono.torch.shared_memory():
                step()

        def check():
            return torch.allclose(results[name], results["peer"], rtol=0.02, atol=0.02)
        return lambda _: None, [step_within if within else step], check

    return {"peer": contestant("peer", peer, False), "private": contestant("private", ours, False),
            "shared": contestant("shared", ours, True)}


# ---- measuring

def slowest(comm, times):
    return comm.all_reduce(np.array(times), "max").tolist()


def sample(comm, contestant, value):
    """µs a call: write the buffers, meet, time the calls. All are through before anyone writes the next buffers."""
    prepare, calls, _ = contestant
    prepare(value)
    comm.barrier()
    start = time.perf_counter_ns()
    for call in calls:
        call()
    each = (time.perf_counter_ns() - start) / 1e3 / len(calls)
    comm.barrier()
    return each


def play(comm, contestants, rounds):
    """{contestant: µs, round by round}; another one goes first in every round."""
    names, times = list(contestants), {name: [] for name in contestants}
    for i in range(rounds):
        for name in names[i % len(names):] + names[:i % len(names)]:
            times[name].append(sample(comm, contestants[name], i))
    return times


def rounds_for(comm, contestants, seconds):
    start = time.perf_counter()
    play(comm, contestants, WARM_UPS)
    fitting = seconds * WARM_UPS / slowest(comm, [time.perf_counter() - start])[0]
    return int(min(max(fitting, FEWEST_ROUNDS), MOST_ROUNDS))


def measure(comm, contestants, seconds):
    for name, contestant in contestants.items():
        sample(comm, contestant, 1)
        if not contestant[2]():
            raise RuntimeError(f"{name}: wrong result")
    rounds = rounds_for(comm, contestants, seconds)
    times = {name: slowest(comm, values) for name, values in play(comm, contestants, rounds).items()}

    def over(memory):
        return {name: round(statistics.median(a / b for a, b in zip(values, times[memory])), 4)
                for name, values in times.items() if name != memory}

    return {"rounds": rounds, "us": {name: round(statistics.median(values), 4) for name, values in times.items()},
            "over_private": over("private"), "over_shared": over("shared")}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=["gloo", "deepspeed"])
    parser.add_argument("--build", action="store_true")
    parser.add_argument("--operations", choices=["all_reduce", "decode"])
    parser.add_argument("--sizes", type=lambda text: [int(size) for size in text.split(",")])
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--seconds", type=float, default=0.5)
    return parser.parse_args()


def pin(rank):
    processors = sorted(os.sched_getaffinity(0))
    if int(os.environ["WORLD_SIZE"]) <= len(processors):
        os.sched_setaffinity(0, {processors[rank]})


def main():
    options = arguments()
    if options.build:
        return load_deepspeed()
    pin(int(os.environ["RANK"]))
    torch.set_num_threads(1)
    dist.init_process_group("unisono")
    peer, ours = {"gloo": with_gloo, "deepspeed": with_deepspeed}[options.peer]()
    operation = {"all_reduce": reductions, "decode": decodings}[options.operations]
    with unisono.Communicator.from_env() as comm:
        for size in options.sizes:
            contestants = operation(peer, ours, size, DTYPES[options.dtype])
            found = measure(comm, contestants, options.seconds * (4 if size >= LARGE else 1))
            if comm.rank == 0:
                print(json.dumps({"operation": options.operations, "dtype": options.dtype, "ranks": comm.size,
                                  "bytes": size, "tokens": rows_of(size, DTYPES[options.dtype]), **found}), flush=True)
        comm.barrier()  # nobody leaves before the others are done
    dist.destroy_process_group()
    return None


if __name__ == "__main__":
    main()
