"""unisono tune: the machine is measured, once, and what was found counts from then on."""

import os
import tempfile
import time
import unittest
from pathlib import Path

from command import TOOL, CommandTest

BENCH = ("bench", "-n", "2", "--max=8", "--seconds=0.01", "all_reduce")


@unittest.skipIf(len(os.sched_getaffinity(0)) < 2, "needs two processors")
class Tune(CommandTest):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.cache = Path(folder.name)
        self.environment["XDG_CACHE_HOME"] = folder.name
        self.environment.pop("UNISONO_TUNE", None)

    def kept(self):
        """The one file that the cache folder has."""
        files = [file for file in self.cache.rglob("*") if file.is_file()]
        self.assertEqual(len(files), 1, files)
        return files[0]

    def run_well(self, *words):
        status, output, errors = self.command(*words)
        self.assertEqual(status, 0, errors)
        return output.decode(), errors.decode()

    def test_tunes(self):
        self.assertIn("not measured yet", self.run_well("info")[0])
        output, errors = self.run_well("tune")
        self.assertRegex(output, r"^exchange [\d.]+, turn [\d.]+, write [\d.]+, read [\d.]+, fold [\d.]+, in ns; from ")
        self.assertIn(str(self.kept()), output)
        self.assertEqual(errors, "")
        self.assertIn(output.strip(), self.run_well("info")[0])

    def test_first_use_measures_and_the_second_does_not(self):
        end = time.monotonic() + 30
        while not any(file.is_file() for file in self.cache.rglob("*")):
            if time.monotonic() > end:
                self.skipTest("the processors had other work for 30 seconds")
            self.run_well(*BENCH)
        before = self.kept().stat().st_mtime_ns
        self.run_well(*BENCH)
        self.assertEqual(self.kept().stat().st_mtime_ns, before)
        self.assertIn("system Linux", self.kept().read_text())

    def test_damaged_file_is_measured_anew(self):
        self.run_well("tune")
        self.kept().write_text(self.kept().read_text()[:-3])
        self.assertIn("damaged: measuring anew", self.run_well(*BENCH)[1])
        self.run_well("tune")
        self.assertEqual(self.run_well(*BENCH)[1], "")

    def test_no_place_to_keep_it(self):
        self.environment["XDG_CACHE_HOME"] = "/proc"
        self.assertEqual(self.run_well(*BENCH)[1], "")
        status, _, errors = self.command("tune")
        self.assertEqual(status, 1)
        self.assertIn(b"nothing was kept", errors)

    def test_without(self):
        self.environment["UNISONO_TUNE"] = "0"
        self.run_well(*BENCH)
        self.assertEqual(list(self.cache.iterdir()), [])

    def test_compares_the_algorithms(self):
        output, _ = self.run_well("bench", "-n", "2", "--min=1024", "--max=64K", "--factor=8", "--seconds=0.01",
                                  "--algorithms", "all_reduce")
        rows = [line.split() for line in output.splitlines() if line.split()[0].isdigit()]
        self.assertEqual([row[0] for row in rows], ["1024", "8192", "65536"])
        for row in rows:
            times = dict(zip(("auto", "inline", "oneshot", "staged", "pull", "push", "levels"), map(float, row[1:8])))
            best = min((time, name) for name, time in times.items() if name != "auto")
            self.assertEqual(times[row[8]], best[0])
            self.assertAlmostEqual(float(row[9]), times["auto"] / best[0], delta=0.1)

    def test_bad_words(self):
        self.assert_usage_error(["tune", "now"], "takes no arguments")
        self.assert_usage_error(["bench", "--algorithms", "--json=x", "all_reduce"], "--algorithms")
        self.environment["UNISONO_TUNE"] = "maybe"
        status, _, errors = self.command(*BENCH)
        self.assertEqual(status, 1)
        self.assertIn(b"UNISONO_TUNE=maybe", errors)

    def test_needs_two_processors(self):
        one = {min(os.sched_getaffinity(0))}
        status, _, errors = self.command("tune", preexec_fn=lambda: os.sched_setaffinity(0, one))
        self.assertEqual(status, 1)
        self.assertIn(b"two processors", errors)


if __name__ == "__main__":
    print(f"testing {TOOL}", flush=True)
    unittest.main(verbosity=2)
