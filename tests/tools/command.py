"""Runs the command `unisono` for the tests: always with a time limit, and nothing of it survives a test."""

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
import unittest
import uuid

TOOL = os.environ.get("UNISONO_TOOL", "unisono")
LIMIT = 60  # seconds for one command
OUTER_VARIABLES = ("RANK", "WORLD_SIZE", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID", "UNISONO_SECRET",
                   "OMP_NUM_THREADS")


def python(code):
    """The words of a command that runs Python code."""
    return [sys.executable, "-c", code]


class CommandTest(unittest.TestCase):
    def setUp(self):
        # Every process of a test carries this mark in its environment: so that those left behind are found.
        self.mark = "UNISONO_TEST=" + uuid.uuid4().hex
        self.environment = {k: v for k, v in os.environ.items() if k not in OUTER_VARIABLES}
        self.environment["UNISONO_TEST"] = self.mark.split("=")[1]
        self.addCleanup(self.end_all)

    def living(self):
        """The processes of this test that live, zombies excepted."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/environ", "rb") as file:
                    if self.mark.encode() in file.read().split(b"\0"):
                        found.append(int(pid))
        return found

    def end_all(self):
        for pid in self.living():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def assert_none_left(self, seconds=5):
        self.wait_until(lambda: not self.living(), seconds)

    def wait_until(self, condition, seconds=20):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                self.fail(f"waited in vain; still living: {self.living()}")
            time.sleep(0.02)

    def start(self, *words, **settings):
        settings = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                    "env": self.environment, "start_new_session": True, **settings}
        process = subprocess.Popen([TOOL, *words], **settings)
        self.addCleanup(self.forget, process)
        return process

    @staticmethod
    def forget(process):
        if process.poll() is None:
            process.kill()
        for file in (process.stdin, process.stdout, process.stderr):
            if file:
                file.close()
        process.wait()

    def command(self, *words, input=None, **settings):
        """Runs `unisono WORDS` to its end: (status, output, errors), as bytes."""
        if input is not None:
            settings["stdin"] = subprocess.PIPE
        process = self.start(*words, **settings)
        output, errors = process.communicate(input, timeout=LIMIT)
        return process.returncode, output, errors

    def start_on_terminal(self, *words):
        """Starts `unisono WORDS` as the foreground job of a new terminal: (process, the terminal's other end)."""
        ours, theirs = pty.openpty()

        def take_terminal():
            os.setsid()
            os.close(os.open(os.ttyname(theirs), os.O_RDWR))  # a session leader's first terminal becomes its own

        process = self.start(*words, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=False,
                             preexec_fn=take_terminal)
        os.close(theirs)
        self.addCleanup(os.close, ours)
        return process, ours

    def read_terminal(self, terminal, until=None):
        """What the terminal shows, up to some text or to the end."""
        shown = b""
        with contextlib.suppress(OSError):  # the end of a terminal is EIO
            while until is None or until not in shown:
                piece = os.read(terminal, 65536)
                if not piece:
                    break
                shown += piece
        return shown

    def assert_usage_error(self, words, *texts):
        status, output, errors = self.command(*words)
        self.assertEqual((status, output), (2, b""), errors)
        for text in texts:
            self.assertIn(text, errors.decode())
