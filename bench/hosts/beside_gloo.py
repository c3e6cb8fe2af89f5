"""All_reduce of float32 over several machines: unisono beside gloo, in turns, in one program; as bench/paired.

A rank, to be started by mpirun. usage: beside_gloo.py LIBRARY --sizes BYTES,... --seconds S"""

import argparse
import ctypes
import json
import os
import statistics
import sys
import time

import torch
import torch.distributed as dist

LEAST, MOST, SMALL, LARGE, BACK_TO_BACK = 7, 2000, 4096, 8 << 20, 32
FLOAT32, SUM = 10, 0  # of unisono.h


class Unisono:
    def __init__(self, library):
        self.library = ctypes.CDLL(library)
        self.library.unisono_last_error.restype = ctypes.c_char_p
        self.comm = ctypes.c_void_p()
        self.check(self.library.unisono_comm_init_env(ctypes.byref(self.comm), None))

    def check(self, status):
        if status:
            sys.exit(f"unisono: {self.library.unisono_last_error().decode()}")

    def all_reduce(self, tensor):
        address = ctypes.c_void_p(tensor.data_ptr())
        self.check(self.library.unisono_all_reduce(address, address, ctypes.c_size_t(tensor.numel()), FLOAT32, SUM,
                                                   self.comm))


def sample(all_reduce, tensor):
    """The slowest rank's time of a call, in us."""
    calls = BACK_TO_BACK if tensor.nbytes <= SMALL else 1
    tensor.fill_(dist.get_rank() + 1)
    dist.barrier()
    start = time.perf_counter()
    for _ in range(calls):
        all_reduce(tensor)
    took = torch.tensor((time.perf_counter() - start) * 1e6 / calls, dtype=torch.float64)
    size = dist.get_world_size()
    if calls == 1 and tensor[-1] != size * (size + 1) / 2:
        sys.exit("a wrong sum")
    dist.all_reduce(took, op=dist.ReduceOp.MAX)
    return took.item()


def measure(contestants, size, seconds):
    tensor = torch.empty(size // 4)
    times = [[], []]
    for all_reduce in contestants:
        sample(all_reduce, tensor)
    on, end = torch.tensor(1), time.perf_counter() + seconds * (4 if size >= LARGE else 1)
    while on:
        order = (0, 1) if len(times[0]) % 2 else (1, 0)  # takes turns in going first
        for i in order:
            times[i].append(sample(contestants[i], tensor))
        n = len(times[0])
        on = torch.tensor(int(n < LEAST or (n < MOST and time.perf_counter() < end)))
        dist.broadcast(on, 0)
    if dist.get_rank() == 0:
        ratio = statistics.median(alone / ours for alone, ours in zip(*times))
        print(json.dumps({"operation": "all_reduce", "bytes": size, "rounds": len(times[0]),
                          "us": {"peer": statistics.median(times[0]), "private": statistics.median(times[1])},
                          "over_private": {"peer": ratio}}), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("library")
    parser.add_argument("--sizes", required=True)
    parser.add_argument("--seconds", type=float, default=0.5)
    options = parser.parse_args()
    dist.init_process_group("gloo", init_method=f"tcp://{os.environ['MASTER_ADDR']}:29700",
                            rank=int(os.environ["PMI_RANK"]), world_size=int(os.environ["PMI_SIZE"]))
    torch.set_num_threads(1)
    unisono = Unisono(options.library)
    for size in options.sizes.split(","):
        measure((dist.all_reduce, unisono.all_reduce), int(size), options.seconds)
    dist.barrier()
    os._exit(0)  # what MPI and gloo would wait for is over


if __name__ == "__main__":
    main()
