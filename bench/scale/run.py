#!/usr/bin/env python3
"""All_reduce on 16 to 1,024 machines of 8 ranks, simulated: the library's own code between the machines beside a flat
ring, a tree and recursive doubling. docs/scale.md says what is real of it, and what is not.

usage: bench/scale/run.py [--json FILE [--go-on] [--charts DIRECTORY]] [--machines N...] [--check]

Needs SimGrid (`scripts/setup scale`)."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from bisect import bisect_left
from dataclasses import replace
from math import log2
from pathlib import Path

from cluster import Cluster, Formulas

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent
sys.path.insert(0, str(ROOT / "bench"))
import figures  # noqa: E402
import peers  # noqa: E402
FIGURES = ROOT / "docs/charts/figures.json"
SOURCES = {"all_gather": "all_gather", "broadcast": "broadcast", "reduce": "all_reduce",
           "reduce_scatter": "reduce_scatter"}
LIBRARY = [*(f"machines/{name}" for name in ("across", "copy", "exchange", "gather", "measure", "narrow", "pipeline",
                                             "reduce", "reduction", "ride", "scatter", "span", "swap")),
           "collectives/select", "collectives/groups", "collectives/call", "error"]
MPIS = ["MPICH", "Intel MPI", "Open MPI"]
SIZES = [64 << 10, 64 << 20]
OF_LIBRARY = ("unisono", "unisono_progress", "check")
ALGORITHMS = ["unisono", "unisono_progress", "ring", "recursive_doubling", "tree"]
MOST_MESSAGES = 4e6  # of a flat ring: a minute or two
FLAGS = ["-std=c11", "-O2", "-fPIC", "-D_GNU_SOURCE", "-Wall", "-Wextra", f"-I{ROOT / 'src'}", f"-I{ROOT / 'include'}",
         f"-I{FOLDER}"]

CLOCK = ["-include", "smpi/smpi_helpers.h"]  # the clock is the simulation's


# ---- phases within a machine

def load_phases(ranks):
    """{operation: [(bytes, µs)]} for that many ranks. `make bench` has measured private memory with two. Of what a
    collective moves within a machine a rank has a share of (n - 1) / n, so that eight take 7/4 times as long, if
    memory serves eight processors as it serves two. A reduce takes no longer than an all_reduce. Two ranks that
    reduce and scatter 2 m bytes fold m each, and copy as much: folding takes half of that."""
    table = figures.load(json.loads(FIGURES.read_text()))
    measured = {operation: sorted(figures.of_all(table[source, "float32", 2], "private").items())
                for operation, source in SOURCES.items()}
    times = (ranks - 1) / ranks * 2
    phases = {operation: [(size, us * times) for size, us in points] for operation, points in measured.items()}
    phases["fold"] = [(size // 2, us / 2) for size, us in measured["reduce_scatter"]]
    return phases


def near_bandwidth(size):
    """Bytes/s between two ranks of a machine that send each other halves of so much: the best of the MPIs that were
    measured in an all_gather of about as much."""
    cell = figures.load(json.loads(FIGURES.read_text()))["all_gather", "float32", 2]
    nearest = [min(figures.of_peer(cell, peer).items(), key=lambda point: abs(log2(point[0] / size))) for peer in MPIS]
    return max(of / 2 / us * 1e6 for of, us in nearest)


def interpolate(points, size):
    if size <= points[0][0]:
        return points[0][1]
    i = min(bisect_left([b for b, _ in points], size), len(points) - 1)
    (a, ta), (b, tb) = points[i - 1], points[i]
    return ta + (tb - ta) / (b - a) * (size - a)


def seconds_of(points, size, whole):
    """As machine.c works it out: a part of a large buffer is in the caches no more than all of it."""
    time = interpolate(points, size)
    return max(time, interpolate(points, whole) * size / whole if whole > size else 0) * 1e-6


# ---- the simulation

def compile_simulator(folder):
    """What defines main is compiled by SMPI's compiler; the rest as ever."""
    objects = []
    for source in [*(ROOT / f"src/{name}.c" for name in LIBRARY), *(FOLDER / f"{name}.c" for name in
                                                                     ("engine", "flat", "machine", "meeting"))]:
        objects.append(folder / f"{source.parent.name}-{source.stem}.o")
        subprocess.run(["cc", *FLAGS, *CLOCK, "-c", source, "-o", objects[-1]], check=True)
    subprocess.run(["smpicc", *FLAGS, FOLDER / "simulate.c", *objects, "-lsimgrid", "-o", folder / "simulate"],
                   check=True)
    return folder / "simulate"


class Simulator:
    def __init__(self, cluster, folder):
        self.cluster, self.folder = cluster, folder
        self.program = compile_simulator(folder)
        self.times = folder / "times"
        self.times.write_text("".join(f"{operation} {size} {us}\n"
                                      for operation, points in load_phases(cluster.ranks).items()
                                      for size, us in points))

    def run(self, machines, *calls):
        """The records of some calls (algorithm, size) in one start, all of the library or all flat ones of one size."""
        algorithm, size = calls[0]
        (self.folder / "platform.xml").write_text(replace(self.cluster, near=near_bandwidth(size)).platform())
        hosts = [f"machine{i}:{self.cluster.ranks}" for i in range(machines)]
        (self.folder / "hosts").write_text("\n".join(hosts * 2) + "\n")
        processes = machines * self.cluster.ranks * (2 if algorithm in OF_LIBRARY else 1)
        options = [f"--cfg={name}:{value}" for name, value in self.cluster.options().items()]
        done = subprocess.run(["smpirun", "-np", str(processes), "-platform", self.folder / "platform.xml", "-hostfile",
                               self.folder / "hosts", *options, "--log=root.thres:error", self.program, str(machines),
                               str(self.cluster.ranks), self.times, *(str(word) for call in calls for word in call)],
                              cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True)
        records = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        if done.returncode or len(records) != len(calls):
            sys.exit(f"{algorithm} on {machines} machines ended with {done.returncode}: "
                     f"{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return records


def is_affordable(algorithm, machines, ranks):
    return algorithm != "ring" or 2 * (machines * ranks) ** 2 <= MOST_MESSAGES


def starts(machines, ranks):
    """What is called in each start. Where a flat ring has too many messages, its formula has to do."""
    flat = [name for name in ALGORITHMS if name not in OF_LIBRARY and is_affordable(name, machines, ranks)]
    return [[(algorithm, size)] for algorithm in flat for size in SIZES] + \
        [[(algorithm, size) for algorithm in ALGORITHMS if algorithm in OF_LIBRARY for size in SIZES]]


def simulate(simulator, machines, records, keep):
    """Adds the records that are not there yet."""
    known = {(r["machines"], r["algorithm"], r["bytes"]) for r in records}
    for n in machines:
        for calls in starts(n, simulator.cluster.ranks):
            if all((n, *call) in known for call in calls):
                continue
            for record in simulator.run(n, *calls):
                records.append(record)
                print(f"{n:5} machines, {record['bytes'] >> 10:6} KiB, {record['algorithm']}: {record['us']:.1f} us",
                      flush=True)
            keep(records)


def check(simulator):
    """A few machines: the sums are right, and the times are near what the formulas say. For tests."""
    for machines in (3, 16):
        for size in (4, 512, 4096, 64 << 10, 5 << 20):
            simulator.run(machines, ("check", size))
    for size in SIZES:
        formulas = formulas_of(simulator.cluster, size)
        for algorithm in ALGORITHMS:
            times = [simulator.run(machines, (algorithm, size))[0]["us"] for machines in (2, 4, 16)]
            expected = [getattr(formulas, algorithm)(size, machines) * 1e6 for machines in (2, 4, 16)]
            print(f"{size >> 10} KiB, {algorithm}: {times} us, by the formulas {expected}")
            if any(not 0.7 <= t / e <= 1.4 for t, e in zip(times[1:], expected[1:])):
                sys.exit("that is too far from the formulas")
            if times[2] < 0.9 * times[1]:  # of large messages bandwidth decides, which does not depend on the machines
                sys.exit("more machines took less time")


def formulas_of(cluster, size):
    phases = load_phases(cluster.ranks)
    return Formulas(replace(cluster, near=near_bandwidth(size)),
                    lambda operation, m: seconds_of(phases[operation], m, size))


def document(cluster, machines, records):
    table = [{"algorithm": algorithm, "machines": n, "bytes": size,
              "us": round(getattr(formulas_of(cluster, size), algorithm)(size, n) * 1e6, 3)}
             for algorithm in ALGORITHMS for n in machines for size in SIZES]
    return json.dumps({"simulated": records, "formulas": table}, indent=1) + "\n"


def draw(results, directory):
    """In the environment that has matplotlib."""
    peers.install(peers.DRIVER, ("matplotlib",), pip=True)
    subprocess.run([peers.DRIVER / "bin/python", FOLDER / "chart.py", results, directory], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--json", type=Path, default=Path("scale.json"), help="write what was simulated")
    parser.add_argument("--go-on", action="store_true", help="keep what that file has, and simulate the rest")
    parser.add_argument("--charts", type=Path, help="draw what is in that file then")
    parser.add_argument("--machines", type=int, nargs="+", default=[16, 32, 64, 128, 256, 512, 1024])
    parser.add_argument("--check", action="store_true", help="a small simulation, whose results are looked at")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        simulator = Simulator(Cluster(), Path(folder))
        if options.check:
            return check(simulator)
        results = options.json
        records = json.loads(results.read_text())["simulated"] if options.go_on and results.exists() else []
        simulate(simulator, options.machines, records,
                 lambda found: results.write_text(document(simulator.cluster, options.machines, found)))
    if options.charts:
        draw(options.json, options.charts)


if __name__ == "__main__":
    main()
