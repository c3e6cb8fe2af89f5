"""unisono bench: the table, the checks, the files it writes."""

import json
import os
import shutil
import signal
import tempfile
import unittest

from command import TOOL, CommandTest

QUICK = ["-n", "2", "--max", "4K", "--factor", "16", "--iterations", "3", "--warmup", "1"]
OPERATIONS = ["all_reduce", "all_reduce_cached", "reduce", "reduce_scatter", "broadcast", "all_gather", "gather",
              "scatter", "all_to_all", "all_to_allv", "all_gatherv", "send_recv"]
INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
FLOATS = ["float16", "bfloat16", "float32", "float64"]
PERCENTILES = ["min", "p1", "p5", "p25", "p50", "p75", "p90", "p95", "p99", "max"]


class BenchTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def bench(self, *words):
        """The rows of the table, as lists of words."""
        status, output, errors = self.command("bench", *words)
        self.assertEqual((status, errors), (0, b""), output)
        return [line.split() for line in output.decode().splitlines() if not line.startswith("#")][1:]

    def json(self, *words):
        path = os.path.join(self.folder, "result.json")
        self.bench(*words, "--json", path)
        with open(path) as file:
            return json.load(file)


class Table(BenchTest):
    def test_every_operation(self):
        for operation in OPERATIONS:
            with self.subTest(operation):
                rows = self.bench(operation, *QUICK)
                self.assertEqual([row[0] for row in rows], ["8", "128", "2048"])
                self.assertEqual({len(row) for row in rows}, {8})

    def test_barrier_has_one_row_without_bytes(self):
        rows = self.bench("barrier", *QUICK)
        self.assertEqual([row[0] for row in rows], ["0"])
        self.assertEqual(rows[0][3:6], ["-", "-", "-"])

    def test_odd_number_of_ranks(self):
        for operation in OPERATIONS:
            with self.subTest(operation):
                self.bench(operation, "-n", "3", "--max", "4K", "--factor", "16", "--iterations", "3")

    def test_one_rank(self):
        for operation in OPERATIONS:
            with self.subTest(operation):
                self.bench(operation, "-n", "1", "--max", "1K", "--factor", "16", "--iterations", "3")

    def test_threads(self):
        self.bench("all_reduce", "-n", "2", "--threads", "2", "--min", "1M", "--max", "1M", "--iterations", "5")
        self.assert_usage_error(["bench", "all_reduce", "--threads", "0"], "--threads")

    def test_in_place(self):
        for operation in OPERATIONS[:8]:
            with self.subTest(operation):
                self.bench(operation, *QUICK, "--in-place")

    def test_shared_memory(self):
        for operation in OPERATIONS:
            with self.subTest(operation):
                self.bench(operation, "-n", "2", "--min", "4K", "--max", "256K", "--factor", "8", "--iterations", "3",
                           "--memory", "shared")

    def test_types_and_operations(self):
        for dtype in INTEGERS + FLOATS:
            kinds = ["sum", "prod", "min", "max"] + (["avg"] if dtype in FLOATS else ["band", "bor", "bxor"])
            for op in kinds:
                with self.subTest(dtype=dtype, op=op):
                    self.bench("all_reduce", "-n", "2", "--min", "20K", "--max", "20K", "--iterations", "2",
                               "--dtype", dtype, "--op", op)

    def test_bytes_are_the_total_that_fits(self):
        rows = self.bench("all_gather", "-n", "3", "--min", "8", "--max", "64", "--iterations", "2")
        self.assertEqual([row[0] for row in rows], ["12", "24", "60"])

    def test_header_says_what_was_measured(self):
        _, output, _ = self.command("bench", "reduce", *QUICK, "--dtype", "int16", "--op", "max")
        header = output.decode().splitlines()[0]
        for text in ("# unisono ", "reduce", "2 ranks", "int16", "max", "private memory", "isa"):
            self.assertIn(text, header)

    def test_under_run_the_ranks_are_those_that_there_are(self):
        status, output, _ = self.command("run", "-n", "2", TOOL, "bench", "all_reduce", *QUICK)
        self.assertEqual(status, 0)
        self.assertTrue(all(line.startswith(b"[0] ") for line in output.splitlines()), output)
        self.assertEqual(len(output.splitlines()), 6)

    def test_wrong_number_of_ranks(self):
        status, _, errors = self.command("run", "-n", "2", TOOL, "bench", "barrier", "-n", "3")
        self.assertEqual(status, 2)
        self.assertIn(b"-n 3, but 2 ranks were started", errors)


class Checks(BenchTest):
    def test_wrong_result_is_found_and_located(self):
        self.environment["LD_PRELOAD"] = os.environ["WRONG_RESULT"]
        self.environment["ASAN_OPTIONS"] = "verify_asan_link_order=0"  # in a build with it, it would want to be first
        for memory in ("private", "shared"):
            status, output, errors = self.command("bench", "all_reduce", "-n", "2", "--min", "64", "--max", "64",
                                                  "--memory", memory)
            self.assertEqual(status, 1)
            self.assertIn(b"rank 1: wrong result of all_reduce, 16 elements", errors)
            self.assertIn(b"element 15 is ", errors)
            self.assertEqual(len(output.splitlines()), 3)  # the header and no row

    def test_killed_rank_ends_it(self):
        process = self.start("bench", "all_reduce", "-n", "2", "--max", "1K", "--seconds", "100")
        process.stdout.readline()
        ranks = [pid for pid in self.living() if pid != process.pid]
        os.kill(ranks[0], signal.SIGKILL)
        _, errors = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 1)
        self.assertIn(b"was killed by signal 9", errors)
        self.assert_none_left()

    def test_kill_9_leaves_none(self):
        process = self.start("bench", "barrier", "-n", "2", "--seconds", "100")
        process.stdout.readline()
        process.kill()
        self.assert_none_left()

    def test_too_much_memory_is_refused(self):
        status, output, errors = self.command("bench", "all_reduce", "-n", "2", "--max", "1024G")
        self.assertEqual((status, output), (1, b""))
        self.assertIn(b"lower --max", errors)

    def test_usage_errors(self):
        self.assert_usage_error(["bench"], "OPERATION to measure is missing")
        self.assert_usage_error(["bench", "nonsense"], "unknown operation 'nonsense'", "all_to_allv")
        self.assert_usage_error(["bench", "reduce", "gather"], "one OPERATION at a time")
        self.assert_usage_error(["bench", "reduce", "--min", "1M", "--max", "1K"], "--min is more than --max")
        self.assert_usage_error(["bench", "reduce", "--max", "12Q"], "12Q")
        self.assert_usage_error(["bench", "reduce", "--max", "99999999999G"], "--max")
        self.assert_usage_error(["bench", "reduce", "--factor", "1"], "--factor")
        self.assert_usage_error(["bench", "reduce", "--dtype", "complex"], "complex")
        self.assert_usage_error(["bench", "reduce", "--dtype", "int8", "--op", "avg"], "avg is for floats")
        self.assert_usage_error(["bench", "reduce", "--op", "bxor"], "bxor is for integers")
        self.assert_usage_error(["bench", "reduce", "--memory", "remote"], "remote")
        self.assert_usage_error(["bench", "send_recv", "--in-place"], "not measured in place")
        self.assert_usage_error(["bench", "reduce", "--plot", "chart.gif"], ".svg or .png")
        self.assert_usage_error(["bench", "barrier", "--plot", "chart.svg"], "no size")

    def test_file_that_cannot_be_written_is_told_first(self):
        status, output, errors = self.command("bench", "reduce", *QUICK, "--json", "/nonexistent/file")
        self.assertEqual((status, output), (1, b""))
        self.assertIn(b"cannot write /nonexistent/file: No such file", errors)


class Files(BenchTest):
    def test_json_has_machine_settings_and_percentiles(self):
        self.environment["UNISONO_ISA"] = "scalar"
        found = self.json("reduce_scatter", *QUICK, "--dtype", "float64", "--op", "max", "--memory", "shared")
        self.assertLessEqual({"unisono", "date", "machine", "settings", "sizes"}, found.keys())
        self.assertLessEqual({"processor", "features", "isa", "isa_reason", "packages", "cores", "processors",
                              "processors_usable", "caches", "memory_bytes", "memory_available_bytes", "kernel",
                              "glibc"}, found["machine"].keys())
        environment = found["settings"].pop("environment")
        self.assertEqual(environment["UNISONO_ISA"], "scalar")
        expected = {"operation": "reduce_scatter", "ranks": 2, "dtype": "float64", "op": "max", "memory": "shared",
                    "in_place": False, "bind": False, "threads": 1, "min_bytes": 8, "max_bytes": 4096, "factor": 16,
                    "seconds": 0.3, "iterations": 3, "warmup": 1}
        self.assertEqual(found["settings"], expected)

    def test_json_sizes(self):
        for size in self.json("all_reduce", *QUICK)["sizes"]:
            self.assertEqual(size["elements"] * 4, size["bytes"])
            self.assertEqual(size["samples"], 3)
            for times in (size["time_us"], size["memcpy_us"]):
                values = [times[name] for name in PERCENTILES]
                self.assertEqual(values, sorted(values))
                self.assertTrue(times["min"] <= times["mean"] <= times["max"])
            median = size["time_us"]["p50"]
            self.assertAlmostEqual(size["algorithm_bandwidth_gb_s"], size["bytes"] / median / 1e3, 4)
            self.assertAlmostEqual(size["bus_bandwidth_gb_s"], size["algorithm_bandwidth_gb_s"], 6)  # 2(n-1)/n = 1
            self.assertAlmostEqual(size["time_per_memcpy"] / (median / size["memcpy_us"]["p50"]), 1, 6)

    def test_small_sizes_are_several_calls_a_sample(self):
        sizes = self.json("broadcast", "-n", "2", "--max", "8K", "--factor", "2", "--iterations", "2")["sizes"]
        self.assertEqual([s["calls_per_sample"] for s in sizes], [32] * 8 + [16, 8, 1])

    def test_secret_stays_out(self):
        self.environment["UNISONO_SECRET"] = "do not tell"
        self.assertNotIn("do not tell", json.dumps(self.json("barrier", *QUICK)))

    @unittest.skipUnless(shutil.which("gnuplot"), "gnuplot is not installed")
    def test_plots(self):
        for name, start in (("chart's.svg", b"<?xml"), ("chart.png", b"\x89PNG")):
            path = os.path.join(self.folder, name)
            self.bench("all_reduce", *QUICK, "--plot", path)
            with open(path, "rb") as file:
                content = file.read()
            self.assertTrue(content.startswith(start))
            self.assertGreater(len(content), 5000)

    def test_without_gnuplot_the_package_is_named_before_measuring(self):
        self.environment["PATH"] = self.folder
        status, output, errors = self.command("bench", "reduce", "-n", "2", "--plot", "chart.svg")
        self.assertEqual((status, output), (1, b""))
        self.assertIn(b"apt install gnuplot-nox", errors)


class Progress(BenchTest):
    SLOW = ["bench", "all_reduce", "-n", "2", "--min", "64K", "--max", "64K", "--seconds", "0.5"]

    def test_shown_on_a_terminal_and_wiped_away(self):
        process, terminal = self.start_on_terminal(*self.SLOW)
        shown = self.read_terminal(terminal)
        self.assertEqual(process.wait(30), 0)
        self.assertIn(b"\r\x1b[Kmeasuring all_reduce of 64 KiB", shown)
        self.assertIn(b"\r\x1b[K       65536", shown)  # the line is clean before the row

    def test_not_shown_in_a_pipe(self):
        status, output, errors = self.command(*self.SLOW)
        self.assertEqual((status, errors), (0, b""))
        self.assertNotIn(b"\r", output)


if __name__ == "__main__":
    print(f"testing {TOOL}", flush=True)
    unittest.main(verbosity=2)
