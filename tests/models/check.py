#!/usr/bin/env python3
"""Checks a model of this folder with Spin: as it is, in its variants, and with each of its mutations.

usage: check.py NAME [NUMBER...]    NAME: arrival, stage, ...; NUMBER: these mutations only (0: the model as it is)

The comment at a model's beginning lists them: `variant: OPTIONS`, `variant (long): OPTIONS` (searched with
TEST_LONG=1) and `mutation NUMBER: WHAT` or `mutation NUMBER (OPTIONS): WHAT`. The model and its variants must hold in
every reachable state, the search completed; every mutation must fail. Prints a line each. Exit status 1: something
did not come out so; 77: Spin or the compiler is missing."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

MODELS = Path(__file__).resolve().parent
MEGABYTES = 3000  # of memory for the states of one search
DEPTH = 1000000
SKIP = 77


class Case(NamedTuple):
    """A search: the model's options, what the line says, and whether the model must hold."""
    options: list[str]
    what: str
    must_hold: bool


class Result(NamedTuple):
    """What a search found."""
    error: str  # empty: none
    complete: bool
    states: int
    output: str


def cases_of(model: Path) -> dict[int, list[Case]]:
    """The cases that the model's comment lists, by the number of the mutation."""
    text = model.read_text().split("*/")[0]
    cases = {0: [Case([], "as it is", True)]}
    for long, options in re.findall(r"^ \*   variant( \(long\))?: (.+)$", text, re.M):
        if not long or os.environ.get("TEST_LONG"):
            cases[0].append(Case(options.split(), f"as it is, {options}", True))
    for number, options, what in re.findall(r"^ \*   mutation (\d+)(?: \((-D.+?)\))?: (.+)$", text, re.M):
        cases[int(number)] = [Case([f"-DMUTATION={number}", *options.split()], f"mutation {number}: {what}", False)]
    return cases


def run(command: list[str], directory: Path) -> str:
    """What the command printed; it must succeed."""
    done = subprocess.run(command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-4000:]}")
    return done.stdout


def build(model: Path, case: Case, directory: Path) -> None:
    """Makes the program `pan` that searches the model's states; a mutation's is not worth optimising."""
    for file in MODELS.glob("*.pml"):
        shutil.copy(file, directory)
    run(["spin", "-a", *case.options, model.name], directory)
    run([os.environ.get("CC", "gcc"), "-O2" if case.must_hold else "-O0", "-w", "-DSAFETY", "-DCOLLAPSE",
         "-DVECTORSZ=2048", f"-DMEMLIM={MEGABYTES}", "-o", "pan", "pan.c"], directory)


def search(directory: Path) -> Result:
    """Runs `pan` and reads its report."""
    text = subprocess.run(["./pan", f"-m{DEPTH}", "-w22"], cwd=directory, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True).stdout
    errors = re.search(r"errors: (\d+)", text)
    states = re.search(r"(\d+) states, stored", text)
    if not errors or not states:
        sys.exit(f"pan did not report:\n{text[-4000:]}")
    truncated = re.search(r"not completed|max search depth too small|out of memory|reached -DMEMLIM", text)
    found = re.search(r"^pan:\d+: (assertion violated|invalid end state)", text, re.M)
    kinds = {"assertion violated": "stale or torn data", "invalid end state": "a wait without end"}
    error = kinds[found.group(1)] if found else "an error" if int(errors.group(1)) else ""
    return Result(error, not truncated, int(states.group(1)), text)


def trail(model: Path, options: list[str], directory: Path) -> str:
    """The steps of the model itself that lead to the error."""
    text = run(["spin", "-t", "-p", *options, model.name], directory)
    return "\n".join(line for line in text.splitlines() if re.search(rf"proc .*{model.name}", line))


def check(model: Path, case: Case) -> bool:
    """Runs one case and prints its line."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        build(model, case, directory)
        result = search(directory)
        steps = trail(model, case.options, directory) if result.error and case.must_hold else ""
    good = not result.error and result.complete if case.must_hold else bool(result.error)
    outcome = result.error or ("holds" if result.complete else "search not completed")
    print(f"{'pass' if good else 'FAIL'} {model.stem}, {case.what}: {outcome} "
          f"({result.states} states, {time.monotonic() - begin:.1f} s)", flush=True)
    if not good:
        print(steps or result.output)
    return good


def main() -> int:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for tool in ("spin", os.environ.get("CC", "gcc")):
        if not shutil.which(tool):
            print(f"skipped: there is no {tool}")
            return SKIP
    model = MODELS / f"{sys.argv[1]}.pml"
    cases = cases_of(model)
    numbers = [int(n) for n in sys.argv[2:]] or sorted(cases)
    results = [check(model, case) for number in numbers for case in cases[number]]
    print(f"{sum(results)} of {len(results)} as they should be")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
