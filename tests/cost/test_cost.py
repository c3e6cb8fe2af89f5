#!/usr/bin/env python3
"""What a small call costs, counted and not timed: the numbers are the same on a loaded machine.

usage: test_cost.py instructions|system_calls PROGRAM     against limits.json; 77: the tool that counts is not here
       test_cost.py update PROGRAM                        writes the instructions counted now into limits.json

One rank runs under the tool, the other, where there are two, runs by itself: so it is always the first to arrive, and
the fewest that any call needed are what a call needs that waits for nobody."""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

LIMITS = Path(__file__).resolve().parent / "limits.json"
CALLS = ["barrier 0", "all_reduce 8", "all_reduce 512", "broadcast 8", "all_gather 8"]
PROCESSORS = sorted(os.sched_getaffinity(0))
RANKS = [1, 2] if len(PROCESSORS) > 1 else [1]  # on one processor, to wait is to give it away
TOLERANCE = 1.05  # compilers and libc's memcpy differ a little
ROOMY = 0.9  # a limit so much too high no longer guards anything
COUNTED = 60  # calls under callgrind
TIMES = 3  # so often, where a loaded machine let no call go by without waiting
BATCHES, BATCH = 1000, 100  # under strace: enough that both ranks were left alone for the length of one
TIMEOUT = 60  # seconds
SKIPPED = 77


def start(program, call, batches, calls, ranks, rank, tool=()):
    """A rank, on a processor of its own. Which kernels the processor allows for makes no difference."""
    environment = {**os.environ, "RANK": str(rank), "WORLD_SIZE": str(ranks), "MASTER_ADDR": "localhost",
                   "MASTER_PORT": str(1024 + os.getpid() % 60000), "UNISONO_ISA": "scalar", "UNISONO_LOG": "error",
                   "UNISONO_TUNE": "0"}
    command = [*tool, program, *call.split(), str(batches), str(calls)]
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True,
                            preexec_fn=lambda: os.sched_setaffinity(0, {PROCESSORS[rank]}))


def run(program, call, batches, calls, ranks, tool):
    """Runs the ranks, the first of them under the tool."""
    os.environ["UNISONO_SECRET"] = secrets.token_hex(16)
    started = [start(program, call, batches, calls, ranks, r, tool if r == 0 else ()) for r in range(ranks)]
    try:
        for process in started:
            _, errors = process.communicate(timeout=TIMEOUT)
            if process.returncode:
                sys.exit(f"{' '.join(map(str, process.args))} ended with {process.returncode}:\n{errors}")
    finally:
        for process in started:
            process.kill()
            process.wait()


def instructions(program, call, ranks):
    """The fewest that one of the calls took: callgrind writes a file a call."""
    with tempfile.TemporaryDirectory() as directory:
        run(program, call, COUNTED, 1, ranks, [
            "valgrind", "-q", "--tool=callgrind", "--toggle-collect=measured_batch", "--dump-after=measured_batch",
            f"--callgrind-out-file={directory}/counts"])
        counts = [int(count) for file in Path(directory).iterdir()
                  for count in re.findall(r"^totals: (\d+)", file.read_text(), re.M)]
    counts = [count for count in counts if count]  # the last file has what comes after the calls
    if len(counts) != COUNTED:
        sys.exit(f"callgrind counted {len(counts)} calls, not {COUNTED}")
    return min(counts)


def system_calls(program, call, ranks):
    """The fewest in a batch of calls."""
    with tempfile.TemporaryDirectory() as directory:
        run(program, call, BATCHES, BATCH, ranks, ["strace", "-o", f"{directory}/calls"])
        names = re.findall(r"^(\w+)\(", Path(f"{directory}/calls").read_text(), re.M)
    marks = [i for i, name in enumerate(names) if name == "getppid"][-BATCHES:]
    if len(marks) != BATCHES:
        sys.exit(f"strace saw the end of {len(marks)} batches, not of {BATCHES}")
    return min(b - a - 1 for a, b in zip(marks, marks[1:]))


def can_run(*command):
    return shutil.which(command[0]) and subprocess.run(command, capture_output=True).returncode == 0


def name_of(call, ranks):
    return f"{call.split()[0]}, {call.split()[1]} bytes, {ranks} rank{'s' if ranks > 1 else ''}"


def all_instructions(program):
    return {name_of(call, ranks): instructions(program, call, ranks) for ranks in RANKS for call in CALLS}


def fewest_instructions(program, call, ranks, limit):
    count = instructions(program, call, ranks)
    for _ in range(TIMES - 1):
        if count > limit:
            count = min(count, instructions(program, call, ranks))
    return count


def check_instructions(program):
    limits, failed = json.loads(LIMITS.read_text()), False
    for call, ranks in [(call, ranks) for ranks in RANKS for call in CALLS]:
        name = name_of(call, ranks)
        limit = limits[name] * TOLERANCE
        count = fewest_instructions(program, call, ranks, limit)
        over, roomy = count > limit, count < limits[name] * ROOMY
        note = "  FAILED: too many" if over else "  the limit can be lowered: test_cost.py update" if roomy else ""
        print(f"{name:30} {count:6} instructions, limit {limit:6.0f}{note}")
        failed = failed or over
    return failed


def check_system_calls(program):
    failed = False
    for ranks in RANKS:
        for call in CALLS:
            count = system_calls(program, call, ranks)
            note = "  FAILED: none is right" if count else ""
            print(f"{name_of(call, ranks):30} {count} system calls in {BATCH} calls{note}")
            failed = failed or count > 0
    return failed


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    what, program = sys.argv[1:]
    tool = ["strace", "-o", "/dev/null", "true"] if what == "system_calls" else ["valgrind", "--version"]
    if not can_run(*tool):
        print(f"{tool[0]} cannot run here: scripts/setup test installs it")
        return SKIPPED
    if what == "update":
        LIMITS.write_text(json.dumps(all_instructions(program), indent=2) + "\n")
        return 0
    return int({"instructions": check_instructions, "system_calls": check_system_calls}[what](program))


if __name__ == "__main__":
    sys.exit(main())
