"""Runs an example under `unisono run`, and gives back what it printed without the ranks' prefixes."""

import os
import re
import signal
import subprocess
import sys

UNISONO, PROGRAM = sys.argv[1:3]
TIME_LIMIT = 60  # seconds for one run


class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def find(self, pattern):
        """The first group of the pattern in the standard output."""
        match = re.search(pattern, self.out)
        assert match, f"no {pattern!r} in:\n{self.out}{self.err}"
        return match.group(1)


def run(command, environment=None):
    """Runs a command in a process group of its own, which is killed when it takes too long."""
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, start_new_session=True,
                               env={**os.environ, **(environment or {})})
    try:
        out, err = process.communicate(timeout=TIME_LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        sys.exit(f"{command} hangs:\n{''.join(process.communicate())}")
    strip = re.compile(r"^\[\d+\] ", re.M)
    return Result(process.returncode, strip.sub("", out), strip.sub("", err))


def run_ranks(n, *arguments, environment=None, program=(PROGRAM,)):
    return run([UNISONO, "run", "-n", n, "--", *program, *arguments], environment)


def expect_success(result):
    assert result.status == 0, f"status {result.status}:\n{result.out}{result.err}"
    assert result.err == "", result.err
    return result


def expect_failure(result, status, message):
    """The status, and the message exactly once: no rank adds a consequence to the cause."""
    assert result.status == status, f"status {result.status}, not {status}:\n{result.out}{result.err}"
    lines = result.err.strip().split("\n")
    ours = [line for line in lines if not line.startswith("unisono run:")]
    assert len(ours) == 1 and message in ours[0], result.err
