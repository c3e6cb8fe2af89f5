"""The peers: what they are installed from, how the paired program is built with each of them and started.

Each has a virtual environment of its own below the bench's folder, because their files have the same names. Nothing of
them is linked into the library or the command."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build-bench"
DRIVER = FOLDER / "driver"  # the environment with pip and what draws
SOURCES = ["main.c", "options.c", "measure.c", "buffers.c", "data.c", "flags.c", "contestants.c", "report.c"]
C_FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-O3", "-Wall", f"-I{ROOT / 'include'}"]


class Missing(Exception):
    """Why a peer cannot take part."""


@dataclass(frozen=True)
class Variant:
    """Settings of a peer. Where it has several the best one counts, size by size."""
    name: str = "default"
    environment: dict = field(default_factory=dict)
    crowded_only: bool = False


@dataclass(frozen=True)
class Peer:
    name: str
    folder: str
    source: str
    packages: tuple = ()
    compiler: str = "cc"  # of the environment, or of the machine
    bfloat16: bool = False
    reduces_only: bool = False
    crowded: bool = False  # does it let others run while it waits?
    launch: tuple = ("mpirun",)
    variants: tuple = (Variant(),)

    @property
    def home(self):
        return FOLDER / self.folder

    @property
    def program(self):
        return FOLDER / "bin" / self.folder

    @property
    def version(self):
        if not self.packages:
            return ""
        site = next(self.home.glob("lib/python3*/site-packages"))
        return next(d.version for d in importlib.metadata.distributions(path=[str(site)])
                    if d.metadata["Name"] == self.packages[0])

    def environment(self, variant=Variant()):
        return {**os.environ, "PATH": f"{self.home}/bin:{os.environ['PATH']}", "LD_LIBRARY_PATH": f"{self.home}/lib",
                **COMMON, "I_MPI_ROOT": str(self.home), "CCL_ROOT": str(self.home), **variant.environment}

    def command(self, ranks, arguments, build):
        launch = [str(build / "tools/unisono"), "run", "--no-prefix"] if not self.packages else self.launch
        return [*launch, "-n", str(ranks), str(self.program), *arguments]

    def variants_for(self, crowded):
        return [v for v in self.variants if crowded or not v.crowded_only]


# The paired program pins its ranks itself, alike for all. Root may run Open MPI here: it is told what it starts.
COMMON = {"I_MPI_FABRICS": "shm", "I_MPI_PIN": "off", "OMPI_ALLOW_RUN_AS_ROOT": "1",
          "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "CCL_LOG_LEVEL": "error"}

# oneCCL's worker threads take the processors from the ranks where there is none to spare for them, and MPICH and oneCCL
# spin without end while they wait: 8 ranks on 2 processors need 50 ms for 8 bytes.
PEERS = [
    Peer("Intel MPI", "intelmpi", "mpi.c", ("impi-rt", "impi-devel"), "mpicc", bfloat16=True, crowded=True,
         variants=(Variant(), Variant("I_MPI_WAIT_MODE=1", {"I_MPI_WAIT_MODE": "1"}, crowded_only=True))),
    Peer("Open MPI", "openmpi", "mpi.c", ("openmpi",), "mpicc", crowded=True,
         launch=("mpirun", "--bind-to", "none", "--oversubscribe")),
    Peer("MPICH", "mpich", "mpi.c", ("mpich",), "mpicc", bfloat16=True),
    Peer("oneCCL", "oneccl", "oneccl.cpp", ("oneccl", "oneccl-devel"), bfloat16=True,
         variants=(Variant("CCL_WORKER_OFFLOAD=0", {"CCL_WORKER_OFFLOAD": "0"}),)),
    Peer("TCP loopback", "tcp", "tcp.c", reduces_only=True),
]
NOBODY = Peer("nobody", "none", "none.c")


def run(what, command, **settings):
    """Runs a step of the installation; its last words are the reason when it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          **settings)
    if done.returncode:
        raise Missing(f"{what} failed: {(done.stdout.strip() or 'no output').splitlines()[-1]}")


def install(home, packages, pip=True):
    """A virtual environment with the packages. One that is complete is left as it is, so that nothing is needed then."""
    complete = home / "complete"
    if complete.exists() and complete.read_text() == " ".join(packages):
        return
    if home != DRIVER:
        install(DRIVER, ("matplotlib",))
    run("venv", [sys.executable, "-m", "venv", *([] if pip else ["--without-pip"]), str(home)])
    run("pip", [str(DRIVER / "bin/pip"), "--python", str(home), "install", "--quiet", *packages])
    complete.write_text(" ".join(packages))


def link_flags(build):
    return [f"-L{build}", "-lunisono", f"-Wl,-rpath,{build}"]


def compile_c(peer, build):
    compiler = shutil.which(peer.compiler, path=peer.environment()["PATH"])
    if not compiler:
        raise Missing(f"no {peer.compiler}")
    sources = [str(ROOT / "bench/paired" / s) for s in [*SOURCES, peer.source]]
    run(peer.compiler, [compiler, *C_FLAGS, *sources, "-o", str(peer.program), *link_flags(build),
                        f"-Wl,-rpath,{peer.home / 'lib'}"], env=peer.environment())


def compile_cpp(peer, build):
    """The C++ of the peer, and the C files as objects beside it."""
    objects = FOLDER / "objects"
    objects.mkdir(exist_ok=True)
    sources = [str(ROOT / "bench/paired" / s) for s in SOURCES]
    run("cc", ["cc", *C_FLAGS, "-c", *sources], cwd=objects)
    run("c++", ["c++", "-std=c++17", "-O3", f"-I{ROOT / 'include'}", f"-I{peer.home / 'include'}",
                str(ROOT / "bench/paired" / peer.source), *[str(objects / f"{Path(s).stem}.o") for s in SOURCES],
                "-o", str(peer.program), f"-L{peer.home / 'lib'}", "-lccl", *link_flags(build),
                f"-Wl,-rpath,{peer.home / 'lib'}"])


def prepare(peer, build):
    """Installs a peer and builds the paired program with it; raises Missing where that cannot be."""
    peer.program.parent.mkdir(parents=True, exist_ok=True)
    if peer.packages:
        install(peer.home, peer.packages, pip=False)
    (compile_cpp if peer.source.endswith(".cpp") else compile_c)(peer, build)
