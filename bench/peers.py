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
TORCH_RANKS = "torch_ranks.py"
TORCH = ("torch==2.13.0", "numpy", "ninja", "setuptools", "wheel", "scikit-build-core>=0.10", "nanobind>=2.4")
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
    packages: tuple = ()  # the first one's version is the peer's
    before: tuple = ()  # packages that must be there when the others are installed
    compiler: str = "cc"  # of the environment, or of the machine
    bfloat16: bool = False
    reduces_only: bool = False
    crowded: bool = False  # does it let others run while it waits?
    segments: str = ""  # how the names begin that it has in /dev/shm
    launch: tuple = ()  # empty: `unisono run`
    variants: tuple = (Variant(),)

    @property
    def home(self):
        return FOLDER / self.folder

    @property
    def program(self):
        return FOLDER / "bin" / self.folder

    @property
    def version(self):
        return installed_version(self.home, self.packages[0]) if self.packages else ""

    def environment(self, build, variant=Variant()):
        return {**os.environ, "PATH": f"{self.home}/bin:{os.environ['PATH']}", "LD_LIBRARY_PATH": f"{self.home}/lib",
                **COMMON, "I_MPI_ROOT": str(self.home), "CCL_ROOT": str(self.home),
                "UNISONO_LIBRARY": str(build / "libunisono.so"), **variant.environment}

    def command(self, ranks, arguments, build):
        launch = self.launch or [str(build / "tools/unisono"), "run", "--no-prefix"]
        program = self.torch_ranks() if self.source == TORCH_RANKS else [str(self.program)]
        return [*launch, "-n", str(ranks), *program, *arguments]

    def torch_ranks(self):
        return [str(self.home / "bin/python"), str(ROOT / "bench/paired" / TORCH_RANKS), self.name.lower()]

    def variants_for(self, crowded):
        return [v for v in self.variants if crowded or not v.crowded_only]


# The paired program pins its ranks itself, alike for all. Root may run Open MPI here: it is told what it starts.
COMMON = {"I_MPI_FABRICS": "shm", "I_MPI_PIN": "off", "OMPI_ALLOW_RUN_AS_ROOT": "1",
          "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "CCL_LOG_LEVEL": "error",
          "DS_BUILD_OPS": "0", "TORCH_EXTENSIONS_DIR": str(FOLDER / "extensions")}

# oneCCL's worker threads take the processors from the ranks where there is none to spare for them, and MPICH and oneCCL
# spin without end while they wait: 8 ranks on 2 processors need 50 ms for 8 bytes.
PEERS = [
    Peer("Intel MPI", "intelmpi", "mpi.c", ("impi-rt", "impi-devel"), compiler="mpicc", launch=("mpirun",),
         bfloat16=True, crowded=True, segments="Intel_MPI_",
         variants=(Variant(), Variant("I_MPI_WAIT_MODE=1", {"I_MPI_WAIT_MODE": "1"}, crowded_only=True))),
    Peer("Open MPI", "openmpi", "mpi.c", ("openmpi",), compiler="mpicc", crowded=True, segments="sm_segment",
         launch=("mpirun", "--bind-to", "none", "--oversubscribe")),
    Peer("MPICH", "mpich", "mpi.c", ("mpich",), compiler="mpicc", launch=("mpirun",), bfloat16=True,
         segments="mpich_shm_"),
    Peer("oneCCL", "oneccl", "oneccl.cpp", ("oneccl", "oneccl-devel"), launch=("mpirun",), bfloat16=True,
         segments="Intel_MPI_", variants=(Variant("CCL_WORKER_OFFLOAD=0", {"CCL_WORKER_OFFLOAD": "0"}),)),
    Peer("TCP", "tcp", "tcp.c", reduces_only=True),
    Peer("gloo", "torch", TORCH_RANKS, TORCH, reduces_only=True, bfloat16=True),
    Peer("DeepSpeed", "torch", TORCH_RANKS, ("deepspeed",), before=TORCH, reduces_only=True, bfloat16=True,
         segments="deepspeed_allreduce_buffer_"),
]
NOBODY = Peer("nobody", "none", "none.c")


def run(what, command, **settings):
    """Runs a step of the installation; its last words are the reason when it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, **settings)
    if done.returncode:
        raise Missing(f"{what} failed: {(done.stdout.strip() or 'no output').splitlines()[-1]}")


def stamp(home, packages):
    return home / f"{packages[0].split('=')[0]}.installed"


def is_installed(home, packages):
    """As they are wanted now."""
    file = stamp(home, packages)
    return file.exists() and file.read_text() == "\n".join(packages)


def install(home, packages, pip=False):
    """A virtual environment with the packages. What is complete is left as it is, so that nothing is needed then."""
    if is_installed(home, packages):
        return
    if home != DRIVER:
        install(DRIVER, ("matplotlib",), pip=True)
    if not (home / "bin/python").exists():
        run("venv", [sys.executable, "-m", "venv", *([] if pip else ["--without-pip"]), str(home)])
    pip_install = [str(DRIVER / "bin/pip"), "--python", str(home), "install", "--quiet", "--no-build-isolation"]
    run("pip", [*pip_install, *packages], env={**os.environ, **COMMON})
    stamp(home, packages).write_text("\n".join(packages))


def installed_version(home, package):
    """Of a package in a virtual environment."""
    site, name = next(home.glob("lib/python3*/site-packages")), package.split("=")[0]
    return next(d.version for d in importlib.metadata.distributions(path=[str(site)]) if d.metadata["Name"] == name)


def link_flags(build):
    return [f"-L{build}", "-lunisono", f"-Wl,-rpath,{build}"]


def compile_c(peer, build):
    compiler = shutil.which(peer.compiler, path=peer.environment(build)["PATH"])
    if not compiler:
        raise Missing(f"no {peer.compiler}")
    sources = [str(ROOT / "bench/paired" / s) for s in [*SOURCES, peer.source]]
    run(peer.compiler, [compiler, *C_FLAGS, *sources, "-o", str(peer.program), *link_flags(build),
                        f"-Wl,-rpath,{peer.home / 'lib'}"], env=peer.environment(build))


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


def install_python(peer, build):
    """Our Python package beside the peer. DeepSpeed compiles its operator on first use: not when ranks wait for each
    other."""
    run("unisono's Python package", [
        str(DRIVER / "bin/pip"), "--python", str(peer.home), "install", "--quiet", "--no-index", "--no-deps",
        "--no-build-isolation", "--force-reinstall", str(ROOT)], env=peer.environment(build))
    if peer.name == "DeepSpeed":
        run("DeepSpeed's operator", [*peer.torch_ranks(), "--build"], env=peer.environment(build))


def prepare(peer, build):
    """Installs a peer and builds the paired program with it; raises Missing where that cannot be."""
    peer.program.parent.mkdir(parents=True, exist_ok=True)
    for packages in (peer.before, peer.packages):
        if packages:
            install(peer.home, packages)
    compilers = {".c": compile_c, ".cpp": compile_cpp, ".py": install_python}
    compilers[Path(peer.source).suffix](peer, build)
