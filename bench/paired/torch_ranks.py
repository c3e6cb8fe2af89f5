"""The paired measurement from Python: all_reduce of a tensor by a peer that lives in PyTorch, and by unisono through
its C interface (ctypes), in turn. A rank, to be started by `unisono run`; UNISONO_LIBRARY says where libunisono.so is.

usage: torch_ranks.py gloo|deepspeed --operations all_reduce --sizes BYTES,... --dtype float32|bfloat16 --seconds S
       torch_ranks.py deepspeed --build      compiles DeepSpeed's operator, which it does on first use"""

import argparse
import ctypes
import json
import os
import statistics
import time

import torch

SMALL, CALLS_OF_SMALL, FEWEST_ROUNDS, MOST_ROUNDS, WARM_UPS, LARGE = 4096, 32, 7, 2000, 3, 8 << 20
DTYPES = {"float32": (torch.float32, 10), "bfloat16": (torch.bfloat16, 9)}  # with unisono's numbers
FLOAT64, SUM, MAX = 11, 0, 3


class Unisono:
    """The few functions that are needed here."""

    def __init__(self):
        self.library = ctypes.CDLL(os.environ["UNISONO_LIBRARY"])
        self.library.unisono_last_error.restype = ctypes.c_char_p
        self.comm = ctypes.c_void_p()
        self.must(self.library.unisono_comm_init_env(ctypes.byref(self.comm), None))
        self.rank = self.library.unisono_comm_rank(self.comm)
        self.size = self.library.unisono_comm_size(self.comm)

    def must(self, status):
        if status:
            raise RuntimeError(self.library.unisono_last_error().decode())

    def barrier(self):
        self.must(self.library.unisono_barrier(self.comm))

    def slowest(self, times):
        values = (ctypes.c_double * len(times))(*times)
        self.must(self.library.unisono_all_reduce(values, values, ctypes.c_size_t(len(times)), FLOAT64, MAX, self.comm))
        return list(values)

    def shared_memory(self, size):
        """A tensor of bytes that every rank can reach."""
        pointer = ctypes.c_void_p()
        self.must(self.library.unisono_mem_alloc(self.comm, ctypes.c_size_t(size), ctypes.byref(pointer)))
        return torch.frombuffer((ctypes.c_char * size).from_address(pointer.value), dtype=torch.uint8)

    def all_reduce(self, tensor, number):
        """What reduces this tensor when it is called."""
        function, comm = self.library.unisono_all_reduce, self.comm
        pointer, count = ctypes.c_void_p(tensor.data_ptr()), ctypes.c_size_t(tensor.numel())
        return lambda: self.must(function(pointer, pointer, count, number, SUM, comm))


def load_deepspeed():
    os.environ["DS_ACCELERATOR"] = "cpu"
    from deepspeed.ops.op_builder.cpu import ShareMemCommBuilder
    return ShareMemCommBuilder().load(verbose=False)


def start_gloo(_):
    torch.distributed.init_process_group("gloo")
    return lambda tensor: lambda: torch.distributed.all_reduce(tensor)


def start_deepspeed(world):
    load_deepspeed().initialize(world.size, world.rank)
    return lambda tensor: lambda: torch.ops.deepspeed.inference_all_reduce_(tensor)


def sample(world, buffers, calls, value):
    """µs a call: write the buffers, meet, time the calls."""
    for buffer in buffers:
        buffer.fill_((world.rank + value) % 8)
    world.barrier()
    start = time.perf_counter_ns()
    for call in calls:
        call()
    return (time.perf_counter_ns() - start) / 1e3 / len(calls)


def check(world, name, buffers, calls):
    sample(world, buffers, calls, 1)
    expected = sum((rank + 1) % 8 for rank in range(world.size))
    if not all((buffer == expected).all() for buffer in buffers):
        raise RuntimeError(f"{name}: wrong sum of {buffers[0].numel()} elements")


def views(memory, size, dtype, calls):
    """The buffers of a sample's calls, each its own."""
    stride = -(-size // 64) * 64
    return [memory[k * stride:k * stride + size].view(dtype) for k in range(calls)]


def line_up(world, bind_peer, memories, size, dtype):
    torch_type, number = DTYPES[dtype]
    count = CALLS_OF_SMALL if size <= SMALL else 1
    private, shared = (views(memory, size, torch_type, count) for memory in memories)
    return {"peer": (private, [bind_peer(buffer) for buffer in private]),
            "private": (private, [world.all_reduce(buffer, number) for buffer in private]),
            "shared": (shared, [world.all_reduce(buffer, number) for buffer in shared])}


def play(world, contestants, rounds):
    """{contestant: µs, round by round}; another one goes first in every round."""
    names, times = list(contestants), {name: [] for name in contestants}
    for i in range(rounds):
        for name in names[i % len(names):] + names[:i % len(names)]:
            times[name].append(sample(world, *contestants[name], i))
    return times


def rounds_for(world, contestants, seconds):
    start = time.perf_counter()
    play(world, contestants, WARM_UPS)
    fitting = seconds * WARM_UPS / world.slowest([time.perf_counter() - start])[0]
    return int(min(max(fitting, FEWEST_ROUNDS), MOST_ROUNDS))


def measure(world, contestants, seconds):
    for name, (buffers, calls) in contestants.items():
        check(world, name, buffers, calls)
    rounds = rounds_for(world, contestants, seconds)
    times = {name: world.slowest(values) for name, values in play(world, contestants, rounds).items()}

    def over(memory):
        return {name: round(statistics.median(a / b for a, b in zip(values, times[memory])), 4)
                for name, values in times.items() if name != memory}

    return {"rounds": rounds, "us": {name: round(statistics.median(values), 4) for name, values in times.items()},
            "over_private": over("private"), "over_shared": over("shared")}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=["gloo", "deepspeed"])
    parser.add_argument("--build", action="store_true")
    parser.add_argument("--operations", choices=["all_reduce"])
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
    world = Unisono()
    bind_peer = {"gloo": start_gloo, "deepspeed": start_deepspeed}[options.peer](world)
    room = max(*options.sizes, CALLS_OF_SMALL * SMALL)
    memories = torch.zeros(room, dtype=torch.uint8), world.shared_memory(room)
    for size in options.sizes:
        contestants = line_up(world, bind_peer, memories, size, options.dtype)
        found = measure(world, contestants, options.seconds * (4 if size >= LARGE else 1))
        if world.rank == 0:
            print(json.dumps({"operation": "all_reduce", "dtype": options.dtype, "ranks": world.size, "bytes": size,
                              **found}), flush=True)
    world.barrier()  # nobody leaves before the others are done
    return None


if __name__ == "__main__":
    main()
