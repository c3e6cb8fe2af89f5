#!/usr/bin/env python3
"""Two machines of two ranks, as network namespaces: all_reduce of float32 by unisono over an MPI beside that MPI alone,
and beside gloo.

usage: bench/hosts/run.py [--build DIRECTORY] [--layout 2,2] [--max BYTES] [--seconds S] [--peers NAME...]

Needs root, `scripts/setup machines`, a build with tests, the packages that `make machines` installs and, for gloo,
those of `make bench`."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "bench"))
import peers  # noqa: E402

PACKAGES = ROOT / "build-machines"
INTEL = {"FI_PROVIDER_PATH": str(PACKAGES / "impi-rt/lib"), "I_MPI_ROOT": str(PACKAGES / "impi-rt")}
# Peer: the package that carries unisono's data, what it needs, and who is beside it.
PEERS = {"MPICH": ("mpich", {}, None), "Intel MPI": ("impi-rt", INTEL, None),
         "gloo": ("mpich", {"GLOO_SOCKET_IFNAME": "eth0"}, "beside_gloo.py")}
TIMEOUT = 600  # seconds, for a peer


def compile_program(build):
    """By the standard ABI of MPI 5: one program for both peers."""
    program = PACKAGES / "beside_mpi"
    subprocess.run([PACKAGES / "mpich/bin/mpicc_abi", "-O2", "-o", program, ROOT / "bench/hosts/beside_mpi.c",
                    f"-I{ROOT / 'include'}", f"-L{build}", "-lunisono", f"-Wl,-rpath,{build}"], check=True,
                   env={**os.environ, "LD_LIBRARY_PATH": str(PACKAGES / "mpich/lib")})
    return program


def ranks_program(build, compiled, script):
    """What a rank runs: the compiled program, or PyTorch's Python with a script."""
    if not script:
        return [compiled]
    gloo = next(peer for peer in peers.PEERS if peer.name == "gloo")
    peers.install(gloo.home, gloo.packages)
    return [gloo.home / "bin/python", ROOT / "bench/hosts" / script, build / "libunisono.so"]


def measure(program, build, package, settings, options):
    """The lines of one peer."""
    agent = ROOT / "tests/machines/agent.sh"
    layout = options.layout.split(",")
    addresses = ",".join(f"10.77.0.{i + 1}:{n}" for i, n in enumerate(layout))
    environment = {**os.environ, **settings, "LD_LIBRARY_PATH": str(PACKAGES / package / "lib"),
                   "PATH": f"{PACKAGES / package / 'bin'}:{os.environ['PATH']}", "TEST_MACHINES": options.layout,
                   "MASTER_ADDR": "10.77.0.1", "MASTER_PORT": "29500", "UNISONO_SECRET": "of this bench"}
    done = subprocess.run([build / "tests/inside_machines", "mpiexec.hydra", "-bootstrap", "rsh", "-bootstrap-exec",
                           agent, "-iface", "eth0", "-hosts", addresses, "-n", str(sum(map(int, layout))), *program,
                           str(options.min), str(options.max), str(options.seconds)], env=environment,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT)
    if done.returncode:
        print(f"{package}: ended with {done.returncode}\n{done.stdout}", file=sys.stderr)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build-gcc")
    parser.add_argument("--layout", default="2,2", help="ranks of each machine")
    parser.add_argument("--min", type=int, default=8)
    parser.add_argument("--max", type=int, default=64 << 20)
    parser.add_argument("--seconds", type=float, default=2, help="for each size")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS, metavar="NAME")
    options = parser.parse_args()
    build = options.build.resolve()
    compiled = compile_program(build)
    for peer in options.peers:
        package, settings, script = PEERS[peer]
        print(f"{peer}, {options.layout} ranks: us of a call; ratio: the peer's time divided by unisono's, "
              "round by round")
        print(f"{'bytes':>12} {'alone':>10} {'unisono':>10} {'ratio':>7}")
        for line in measure(ranks_program(build, compiled, script), build, package, settings, options):
            print(f"{line['bytes']:>12} {line['alone_us']:>10} {line['unisono_us']:>10} {line['ratio']:>7}", flush=True)


if __name__ == "__main__":
    main()
