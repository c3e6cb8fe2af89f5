"""Compiles the PyTorch parts for the PyTorch that is installed.

`pip install` does it where it finds PyTorch beside it (--no-build-isolation). Otherwise the first `import
unisono.torch` does, once for each version of PyTorch, into the user's cache; it needs a C++ compiler. Ahead of
time, as in a container's recipe: python -m unisono.torch.build"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shlex
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parent

# The operators use PyTorch's stable ABI, which later versions serve too; the backend fits one version.
PARTS = {"operators": ["operators.cpp"], "backend": None}  # None: all other files


def part_files(part: str, sources: Path) -> list[Path]:
    own = PARTS[part]
    if own is not None:
        return [sources / name for name in own]
    others = {name for names in PARTS.values() for name in names or []}
    return sorted(p for p in sources.glob("*.cpp") if p.name not in others)


def file_name(part: str) -> str:
    """One for each version of PyTorch and Python that it has to fit."""
    import torch
    if part == "operators":
        return "operators.so"
    return f"backend-torch{torch.__version__.split('+')[0]}-{sysconfig.get_config_var('SOABI')}.so"


def cache_directory() -> Path:
    """Where parts compiled at import are kept: another place for other sources and another home of the package."""
    digest = hashlib.sha256(str(PACKAGE).encode())
    for file in sorted((HERE / "source").iterdir()):
        digest.update(file.name.encode() + file.read_bytes())
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "unisono" / digest.hexdigest()[:16]


def run(command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise ImportError(f"unisono.torch could not be compiled:\n{shlex.join(command)}\n{done.stdout}")


def compile_part(part: str, sources: Path, include: Path, library: Path, output: Path, rpath: str) -> None:
    """Leaves output/file_name(part). What is newer than its sources is not compiled again."""
    import torch
    from torch.utils import cpp_extension
    compiler = shlex.split(os.environ.get("CXX", "c++"))
    flags = ["-std=c++20", "-O2", "-fPIC", "-fvisibility=hidden", "-Wall",
             f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}",
             f"-I{include}", f"-I{sysconfig.get_path('include')}",
             *(f"-isystem{path}" for path in cpp_extension.include_paths())]
    objects = output / f"objects-{file_name(part)}"
    objects.mkdir(parents=True, exist_ok=True)
    headers = [*sources.glob("*.h"), *include.glob("*.h"), Path(__file__)]

    def compile_file(file: Path) -> str:
        made = objects / f"{file.stem}.o"
        newest = max(p.stat().st_mtime for p in [file, *headers])
        if not made.exists() or made.stat().st_mtime < newest:
            run([*compiler, *flags, "-c", str(file), "-o", str(made)])
        return str(made)

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        made = list(pool.map(compile_file, part_files(part, sources)))
    torch_libraries = [f"-L{path}" for path in cpp_extension.library_paths()]
    torch_libraries += ["-lc10", "-ltorch_cpu", "-ltorch"] + (["-ltorch_python"] if part == "backend" else [])
    unfinished = objects / "unfinished.so"
    run([*compiler, "-shared", *made, "-o", str(unfinished), str(library), f"-Wl,-rpath,{rpath}", *torch_libraries])
    os.replace(unfinished, output / file_name(part))


def compiled(part: str) -> Path:
    """The compiled part, from the package or the cache; compiles it where neither has it."""
    name, cache = file_name(part), cache_directory()
    for directory in (HERE / "built", cache):
        if (directory / name).exists():
            return directory / name
    import torch
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:  # ranks that start together wait for the one that compiles
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (cache / name).exists():
            print(f"unisono: compiling its {part} for PyTorch {torch.__version__}, once, into {cache} (about a minute)",
                  file=sys.stderr, flush=True)
            library = next((PACKAGE / "lib").glob("libunisono.so.*"))
            compile_part(part, HERE / "source", PACKAGE / "include", library, cache, str(PACKAGE / "lib"))
    return cache / name


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--sources", type=Path)
    arguments.add_argument("--include", type=Path)
    arguments.add_argument("--library", type=Path)
    arguments.add_argument("--output", type=Path, help="with the three above: compile for a package")
    given = arguments.parse_args()
    for part in PARTS:
        if given.output:
            compile_part(part, given.sources, given.include, given.library, given.output, "$ORIGIN/../../lib")
        else:
            print(compiled(part))


if __name__ == "__main__":
    main()
