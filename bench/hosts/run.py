#!/usr/bin/env python3
"""Machines as network namespaces: unisono over an engine beside that engine alone, in turns, in one program
(bench/paired, and beside_gloo.py for gloo).

usage: bench/hosts/run.py [--build DIRECTORY] [--layout 2,2] [--operations NAME,...] [--max BYTES] [--seconds S]
                          [--peers NAME...] [--json FILE]

Needs root, `scripts/setup machines` and a build with tests. A peer that cannot be installed, built or started is left
out, with a line that says why."""

import argparse
import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
import typing
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "bench"))
import peers  # noqa: E402
from bench import processor  # noqa: E402


def script(name):
    """A program of scripts/ as a module."""
    loader = importlib.machinery.SourceFileLoader(name, str(ROOT / "scripts" / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


tests = script("test")  # which knows how the engines are installed, and where
OPEN_MPI = next(peer for peer in peers.PEERS if peer.name == "Open MPI")
GLOO = next(peer for peer in peers.PEERS if peer.name == "gloo")
AGENT = ROOT / "tests/machines/agent.sh"
TIMEOUT = 600  # seconds, for a peer
KI, MI = 1 << 10, 1 << 20


class Beside(typing.NamedTuple):
    """A peer, and the engine that carries unisono's data beside it: of scripts/test, or none of these."""
    name: str
    engine: str
    source: str  # of bench/paired, or a script of here


PEERS = [Beside("MPICH", "MPICH", "mpi.c"), Beside("Intel MPI", "Intel MPI", "mpi.c"),
         Beside("oneCCL", "oneCCL", "oneccl.cpp"), Beside("Open MPI", "", "mpi.c"),
         Beside("gloo", "MPICH", "beside_gloo.py")]


# ---- building


def engine_of(peer):
    return next((engine for engine in tests.ENGINES if engine.name == peer.engine), None)


def environment_of(peer):
    engine = engine_of(peer)
    return tests.environment_of(engine) if engine else OPEN_MPI.environment(ROOT)


def install(peer):
    engine = engine_of(peer)
    if not engine:
        peers.install(OPEN_MPI.home, OPEN_MPI.packages)
    elif not tests.install_once(tests.home_of(engine), engine.packages):
        raise peers.Missing(f"pip cannot install {', '.join(engine.packages)}")


def link(peer, compiler, flags, build, *libraries):
    program = build / "hosts" / peer.name.replace(" ", "-").lower()
    program.parent.mkdir(exist_ok=True)
    objects = [str(program.parent / f"{Path(source).stem}.o") for source in peers.SOURCES]
    peers.run("cc", ["cc", *peers.C_FLAGS, "-c", *[str(ROOT / "bench/paired" / s) for s in peers.SOURCES]],
              cwd=program.parent)
    peers.run(Path(compiler).name, [str(compiler), *flags, "-O3", f"-I{ROOT / 'include'}",
                                    str(ROOT / "bench/paired" / peer.source), *objects, "-o", str(program),
                                    *libraries, *peers.link_flags(build)], env=environment_of(peer))
    return [str(program)]


def prepare(peer, build):
    """What a rank runs. MPICH and Intel MPI are both taken by the standard ABI of MPI 5, whose header MPICH has."""
    install(peer)
    if peer.source.endswith(".py"):
        peers.install(GLOO.home, GLOO.packages)
        return [str(GLOO.home / "bin/python"), str(ROOT / "bench/hosts" / peer.source), str(build / "libunisono.so")]
    if peer.source.endswith(".cpp"):
        home = tests.home_of(engine_of(peer))
        return link(peer, "c++", ["-std=c++17", f"-I{home / 'include'}"], build, f"-L{home / 'lib'}", "-lccl")
    if not peer.engine:
        return link(peer, OPEN_MPI.home / "bin/mpicc", ["-std=c11"], build)
    mpich = PEERS[0]
    install(mpich)
    return link(mpich, tests.home_of(engine_of(mpich)) / "bin/mpicc_abi", ["-std=c11"], build)


# ---- measuring


def launcher(peer, layout, folder):
    """mpirun's words, up to the program: on the first machine, from where the agent reaches the others."""
    hosts = [f"10.77.0.{i + 1}:{n}" for i, n in enumerate(layout)]
    if not peer.engine:
        return ["mpirun", "--prtemca", "plm_ssh_agent", str(AGENT), "--prtemca", "prte_if_include", "eth0",
                "--mca", "btl_tcp_if_include", "eth0", "--bind-to", "none", "--host", ",".join(hosts)]
    file = Path(folder, "machines")  # Intel MPI's takes no numbers of ranks from -hosts
    file.write_text("\n".join(hosts))
    return ["mpiexec.hydra", "-bootstrap", "rsh", "-bootstrap-exec", str(AGENT), "-iface", "eth0", "-machinefile",
            str(file)]


def measure(peer, program, options):
    """A record of each operation and size; raises Missing where its ranks fail."""
    layout = [int(n) for n in options.layout.split(",")]
    what = ["--sizes", ",".join(map(str, sizes(options))), "--seconds", str(options.seconds)]
    if peer.name != "gloo":
        what += ["--machines", "--operations", options.operations]
    settings = {"TEST_MACHINES": options.layout, "MASTER_ADDR": "10.77.0.1", "MASTER_PORT": "29500",
                "UNISONO_SECRET": "of this bench", "GLOO_SOCKET_IFNAME": "eth0", "FI_TCP_IFACE": "eth0",
                "TORCH_CPP_LOG_LEVEL": "ERROR"}
    if sum(layout) > len(os.sched_getaffinity(0)):
        settings |= {"OMPI_MCA_mpi_yield_when_idle": "1"}  # it does not see that its machines share processors
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([str(options.build / "tests/inside_machines"), *launcher(peer, layout, folder), "-n",
                               str(sum(layout)), *program, *what], env={**environment_of(peer), **settings},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT)
    if done.returncode:
        raise peers.Missing(f"its ranks ended with {done.returncode}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def sizes(options):
    """Each eight times the one before, 64 KiB, from where data counts and not the call, and the largest."""
    found, size = {options.max}, options.min
    while size < options.max:
        found.add(size)
        size *= 8
    return sorted(found | {64 * KI} if options.min <= 64 * KI <= options.max else found)


def versions(peer):
    """Of the peer, and of what carries unisono's data beside it."""
    engine = engine_of(peer)
    found = {engine.name: peers.installed_version(tests.home_of(engine), engine.packages[0])} if engine else {}
    return found | {alone.name: alone.version for alone in (GLOO, OPEN_MPI) if alone.name == peer.name}


def commit():
    """With "-dirty" where files differ from it; "": not known here."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    return subprocess.run(git, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.strip()


def record_of(peer, r):
    return {"peer": peer.name, "operation": r["operation"], "bytes": r["bytes"], "rounds": r["rounds"],
            "ratio": r["over_private"]["peer"], "us": {"peer": r["us"]["peer"], "unisono": r["us"]["private"]}}


def show(peer, options, records):
    print(f"{peer.name}, {options.layout} ranks: us of a call; ratio: the peer's time divided by unisono's, round by "
          "round")
    print(f"{'operation':>15} {'bytes':>12} {'alone':>10} {'unisono':>10} {'ratio':>7}")
    for r in records:
        print(f"{r['operation']:>15} {r['bytes']:>12} {r['us']['peer']:>10.1f} {r['us']['private']:>10.1f} "
              f"{r['over_private']['peer']:>7.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build-gcc", help="default: build-gcc, of `make machines`")
    parser.add_argument("--layout", default="2,2", help="ranks of each machine")
    parser.add_argument("--operations", default="all_reduce", help="as bench/paired has them; gloo has all_reduce")
    parser.add_argument("--min", type=int, default=8)
    parser.add_argument("--max", type=int, default=64 * MI)
    parser.add_argument("--seconds", type=float, default=2, help="for each size; four times that from 8 MiB on")
    names = [peer.name for peer in PEERS]
    parser.add_argument("--peers", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--json", type=Path, help="the figures, written after each peer; us, ratio: medians of rounds")
    options = parser.parse_args()
    options.build = options.build.resolve()
    if not (options.build / "libunisono.so").exists():
        parser.error(f"no libunisono.so in {options.build}: `make machines` makes build-gcc, with oneCCL's engine; or "
                     "`make`, and --build build")
    results = {"processor": processor(), "processors": len(os.sched_getaffinity(0)), "date": time.strftime("%Y-%m-%d"),
               "commit": commit(), "layout": options.layout, "versions": {}, "left_out": {}, "records": []}
    for peer in PEERS:
        if peer.name not in options.peers:
            continue
        try:
            records = measure(peer, prepare(peer, options.build), options)
            show(peer, options, records)
            results["versions"] |= versions(peer)
            results["records"] += [record_of(peer, r) for r in records]
        except (peers.Missing, subprocess.TimeoutExpired) as why:
            print(f"{peer.name}: left out: {why}")
            results["left_out"][peer.name] = str(why)
        if options.json:
            options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
