"""Where tools are missing and cannot be installed, a test is skipped with code 77 and a line that names them.

Each script runs with a PATH of its own: the shell's basic tools, no apt-get, and nothing that it looks for."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BASIC = ["sh", "env", "python3", "id", "cat", "mktemp", "dirname", "rm"]
SKIP = 77


class Missing(unittest.TestCase):
    def setUp(self):
        self.path = tempfile.TemporaryDirectory()
        self.addCleanup(self.path.cleanup)
        for tool in BASIC:
            found = sys.executable if tool == "python3" else shutil.which(tool)
            os.symlink(found, f"{self.path.name}/{tool}")

    def skipped(self, *command):
        """The last lines of a command that is skipped."""
        done = subprocess.run([ROOT / command[0], *command[1:]], cwd=ROOT, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env={**os.environ, "PATH": self.path.name, "CC": "gcc"})
        self.assertEqual(done.returncode, SKIP, done.stdout)
        return [line for line in done.stdout.splitlines() if line.startswith("skipped")][-1]

    def test_processors(self):
        line = self.skipped("scripts/test", "processors")
        for package in ("qemu-user", "gcc-aarch64-linux-gnu", "clang-19", "lld-19"):
            self.assertIn(package, line)

    def test_packages(self):
        line = self.skipped("scripts/test", "packages")
        for package in ("lintian", "dpkg-dev", "clang-19"):
            self.assertIn(package, line)

    def test_models(self):
        self.assertIn("spin", self.skipped("tests/models/check.py", "channel"))

    def test_lintian(self):
        self.assertIn("lintian", self.skipped("tests/packages/test_lintian.sh", "."))

    def test_use_of_packages(self):
        self.assertIn("dpkg", self.skipped("tests/packages/test_use.sh", "."))


if __name__ == "__main__":
    unittest.main()
