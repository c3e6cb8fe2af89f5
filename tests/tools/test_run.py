"""unisono run: prefixes, environment, signals, ends."""

import os
import re
import signal
import socket
import subprocess
import time
import unittest

from command import TOOL, CommandTest, python

SLEEP = "import time; time.sleep(100)"
IGNORE_TERM = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"


def lines_of(output, rank):
    prefix = b"[%d] " % rank
    return [line[len(prefix):] for line in output.split(b"\n") if line.startswith(prefix)]


class Output(CommandTest):
    def test_lines_carry_the_rank(self):
        status, output, errors = self.command("run", "-n", "3", "sh", "-c", "echo out $RANK; echo err $RANK >&2")
        self.assertEqual(status, 0)
        self.assertEqual(sorted(output.splitlines()), [b"[%d] out %d" % (r, r) for r in range(3)])
        self.assertEqual(sorted(errors.splitlines()), [b"[%d] err %d" % (r, r) for r in range(3)])

    def test_last_line_without_newline_is_completed(self):
        _, output, _ = self.command("run", "-n", "2", "printf", "whole\\npart")
        self.assertEqual(sorted(output.splitlines(True)),
                         [b"[0] part\n", b"[0] whole\n", b"[1] part\n", b"[1] whole\n"])

    def test_any_byte_passes(self):
        code = "import sys; sys.stdout.buffer.write(bytes(b for b in range(256) if b != 10) + b'\\n')"
        _, output, _ = self.command("run", "-n", "1", *python(code))
        self.assertEqual(output, b"[0] " + bytes(b for b in range(256) if b != 10) + b"\n")

    def test_long_lines_stay_whole(self):
        code = "import os; print(os.environ['RANK'] * 3000000)"
        _, output, _ = self.command("run", "-n", "2", *python(code))
        self.assertEqual(sorted(output.splitlines()), [b"[0] " + b"0" * 3000000, b"[1] " + b"1" * 3000000])

    def test_many_lines_from_many_ranks_keep_their_order(self):
        _, output, _ = self.command("run", "-n", "4", *python("for i in range(30000): print(i)"))
        for rank in range(4):
            self.assertEqual(lines_of(output, rank), [b"%d" % i for i in range(30000)])

    def test_no_prefix_leaves_output_alone(self):
        _, output, _ = self.command("run", "-n", "2", "--no-prefix", "echo", "plain")
        self.assertEqual(output, b"plain\nplain\n")

    def test_reader_that_goes_away_ends_the_ranks(self):
        process = self.start("run", "-n", "2", "yes")
        process.stdout.readline()
        process.stdout.close()
        self.assertEqual(process.wait(30), 128 + signal.SIGPIPE)
        self.assert_none_left()

    def test_signals_pass_while_the_reader_is_slow(self):
        process = self.start("run", "-n", "2", "yes")
        time.sleep(0.5)  # nobody reads: the pipe is full
        process.send_signal(signal.SIGTERM)
        self.wait_until(lambda: len(self.living()) <= 2)  # the command and its keeper
        process.communicate(timeout=30)
        self.assertEqual(process.returncode, 128 + signal.SIGTERM)

    def test_last_words_of_helpers_are_awaited(self):
        _, output, _ = self.command("run", "-n", "1", "sh", "-c", "(sleep 0.3; echo late) & echo early")
        self.assertEqual(output, b"[0] early\n[0] late\n")

    def test_news_of_an_end_follow_the_last_words(self):
        _, _, errors = self.command("run", "-n", "1", "sh", "-c", "echo last >&2; exit 9")
        self.assertEqual(errors.splitlines()[0], b"[0] last")
        self.assertIn(b"rank 0 ended with status 9", errors)


class Environment(CommandTest):
    def variables(self, ranks, **more):
        self.environment.update(more)
        _, output, _ = self.command("run", "-n", str(ranks), "env")
        return [dict(line.decode().split("=", 1) for line in lines_of(output, r) if b"=" in line)
                for r in range(ranks)]

    def test_ranks_and_sizes(self):
        for rank, found in enumerate(self.variables(3)):
            self.assertEqual([found[name] for name in ("RANK", "LOCAL_RANK")], [str(rank)] * 2)
            self.assertEqual([found[name] for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "LOCAL_SIZE")], ["3"] * 3)
            self.assertEqual(found["MASTER_ADDR"], "127.0.0.1")

    def test_port_and_the_next_one_are_free(self):
        port = int(self.variables(1)[0]["MASTER_PORT"])
        for number in (port, port + 1):
            with socket.socket() as test:
                test.bind(("127.0.0.1", number))

    def test_secret_is_new_and_common(self):
        first, second = (self.variables(2) for _ in range(2))
        self.assertRegex(first[0]["UNISONO_SECRET"], "^[0-9a-f]{32}$")
        self.assertEqual(first[0]["UNISONO_SECRET"], first[1]["UNISONO_SECRET"])
        self.assertNotEqual(first[0]["UNISONO_SECRET"], second[0]["UNISONO_SECRET"])

    def test_secret_that_is_set_stays(self):
        self.assertEqual(self.variables(1, UNISONO_SECRET="mine")[0]["UNISONO_SECRET"], "mine")

    def test_outer_rank_is_replaced(self):
        self.assertEqual(self.variables(1, RANK="7", WORLD_SIZE="9")[0]["WORLD_SIZE"], "1")

    def test_input_goes_to_rank_0_alone(self):
        _, output, _ = self.command("run", "-n", "3", "cat", input=b"data\n")
        self.assertEqual(output, b"[0] data\n")

    def test_default_is_a_rank_a_processor(self):
        _, output, _ = self.command("run", "echo")
        self.assertLessEqual(len(output.splitlines()), len(os.sched_getaffinity(0)))
        self.assertGreaterEqual(len(output.splitlines()), 1)

    def test_bind_gives_each_rank_a_processor(self):
        ranks = min(2, len(os.sched_getaffinity(0)))
        status, output, errors = self.command("run", "-n", str(ranks), "--bind", "core",
                                              *python("import os; print(*os.sched_getaffinity(0))"))
        if b"needs a processor" in errors:
            self.skipTest("the quota of this machine is smaller than its affinity")
        usable = sorted(os.sched_getaffinity(0))
        self.assertEqual(status, 0)
        self.assertEqual([int(lines_of(output, r)[0]) for r in range(ranks)], usable[:ranks])

    def test_signal_mask_and_dispositions_are_the_callers(self):
        _, output, _ = self.command("run", "-n", "1", "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status")
        plain = subprocess.run(["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"], capture_output=True, check=True)
        self.assertEqual(lines_of(output, 0), plain.stdout.splitlines())

    def test_only_the_standard_files_are_open(self):
        _, output, _ = self.command("run", "-n", "2", "sh", "-c", "ls /proc/$$/fd")
        for rank in range(2):
            self.assertEqual(lines_of(output, rank), [b"0", b"1", b"2"])


class Ends(CommandTest):
    def status(self, *words):
        return self.command("run", *words)[0]

    def test_success(self):
        self.assertEqual(self.status("-n", "2", "--", "true"), 0)

    def test_first_bad_status_wins(self):
        code = "import os, time; r = int(os.environ['RANK']); time.sleep(0.3 * r); raise SystemExit([0, 5, 6][r])"
        self.assertEqual(self.status("-n", "3", *python(code)), 5)

    def test_killed_rank_is_128_and_the_signal(self):
        status, _, errors = self.command("run", "-n", "2", "sh", "-c", '[ $RANK = 0 ] || kill -SEGV $$; sleep 100')
        self.assertEqual(status, 128 + signal.SIGSEGV)
        self.assertIn(b"rank 1 was killed by signal 11", errors)

    def test_others_get_sigterm_first(self):
        code = ("import os, signal, sys, time\n"
                "def end(*_): print('told', flush=True); sys.exit(0)\n"
                "signal.signal(signal.SIGTERM, end); print('up', flush=True)\n"
                "time.sleep(1)\n"
                "if os.environ['RANK'] == '1': sys.exit(3)\n"
                "time.sleep(100)")
        status, output, _ = self.command("run", "-n", "2", *python(code))
        self.assertEqual((status, lines_of(output, 0)), (3, [b"up", b"told"]))

    def test_stubborn_ranks_are_killed_after_the_grace(self):
        code = IGNORE_TERM + "if os.environ['RANK'] == '1': time.sleep(0.5); raise SystemExit(3)\ntime.sleep(100)"
        start = time.monotonic()
        self.assertEqual(self.status("-n", "2", "--grace", "0.5", *python(code)), 3)
        self.assertLess(time.monotonic() - start, 10)
        self.assert_none_left()

    def test_stopped_rank_ends_too(self):
        code = ("import os, signal, time\n"
                "if os.environ['RANK'] == '0': os.kill(os.getpid(), signal.SIGSTOP)\n"
                "time.sleep(0.5); raise SystemExit(4)")
        self.assertEqual(self.status("-n", "2", "--grace", "30", *python(code)), 4)

    def test_grandchildren_end_with_the_job(self):
        script = "sleep 100 & setsid sleep 100 & [ $RANK = 0 ] && sleep 0.5 && exit 3; wait"
        self.assertEqual(self.status("-n", "2", "--grace", "0.5", "sh", "-c", script), 3)
        self.assertEqual(self.living(), [])

    def test_what_a_good_job_leaves_behind_ends_after_the_grace(self):
        self.assertEqual(self.status("-n", "2", "--grace", "0.3", "--no-prefix", "sh", "-c", "setsid sleep 100 &"), 0)
        self.assertEqual(self.living(), [])

    def test_rank_that_leaves_its_process_group_ends_too(self):
        script = "[ $RANK = 0 ] && sleep 0.5 && exit 3; exec timeout 100 sleep 100"
        self.assertEqual(self.status("-n", "2", "sh", "-c", script), 3)
        self.assertEqual(self.living(), [])

    def test_missing_program(self):
        status, _, errors = self.command("run", "-n", "3", "/nonexistent/program")
        self.assertEqual(status, 127)
        self.assertEqual(errors, b"unisono run: cannot start /nonexistent/program: No such file or directory\n")
        self.assert_none_left()

    def test_program_that_cannot_run(self):
        self.assertEqual(self.status("-n", "2", "/etc/passwd"), 126)

    def test_many_ranks(self):
        status, output, _ = self.command("run", "-n", "64", "echo", "here")
        self.assertEqual((status, len(set(output.splitlines()))), (0, 64))


class Signals(CommandTest):
    # Counts each signal, and ends at the last one with the counts as its last words.
    COUNTER = ("import signal, time, sys\n"
               "counts = {}\n"
               "def count(number, _): counts[number] = counts.get(number, 0) + 1\n"
               "for s in ('INT', 'HUP', 'QUIT', 'USR1', 'USR2', 'TERM'):\n"
               "    signal.signal(getattr(signal, 'SIG' + s), count)\n"
               "print('ready', flush=True)\n"
               "while %d not in counts: time.sleep(0.01)\n"
               "time.sleep(0.3); print(sorted((int(k), v) for k, v in counts.items()), flush=True)\n")

    def wait_ready(self, process, ranks):
        for _ in range(ranks):
            self.assertIn(b"ready", process.stdout.readline())

    def test_each_is_passed_on_once(self):
        sent = [signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM]
        process = self.start("run", "-n", "2", *python(self.COUNTER % signal.SIGTERM))
        self.wait_ready(process, 2)
        for number in sent:
            process.send_signal(number)
            time.sleep(0.05)
        output, _ = process.communicate(timeout=30)
        expected = str(sorted((int(number), 1) for number in sent)).encode()
        self.assertEqual(sorted(output.splitlines()), [b"[0] " + expected, b"[1] " + expected])
        self.assertEqual(process.returncode, 0)

    def test_deadly_one_gives_128_and_its_number(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process = self.start("run", "-n", "2", "sh", "-c", "echo ready; exec sleep 100")
            self.wait_ready(process, 2)
            process.send_signal(number)
            process.communicate(timeout=30)
            self.assertEqual(process.returncode, 128 + number)
            self.assert_none_left()

    def test_kill_9_leaves_none(self):
        process = self.start("run", "-n", "3", "sh", "-c", "echo ready; sleep 100 & exec sleep 100")
        self.wait_ready(process, 3)
        self.wait_until(lambda: len(self.living()) >= 8)  # the command, its keeper, six of the ranks
        process.kill()
        self.assert_none_left()

    def test_interrupt_of_a_terminal_arrives_once(self):
        process, terminal = self.start_on_terminal("run", "-n", "2", *python(self.COUNTER % signal.SIGINT))
        shown = self.read_terminal(terminal, b"ready")
        while shown.count(b"ready") < 2:
            shown += self.read_terminal(terminal, b"\n")
        os.write(terminal, b"\x03")
        shown = self.read_terminal(terminal)
        process.wait(30)
        for rank in range(2):
            self.assertIn(b"[%d] [(2, 1)]" % rank, shown)

    def test_rank_0_reads_from_the_terminal(self):
        code = "import os\nif os.environ['RANK'] == '0': print('got', input())"
        process, terminal = self.start_on_terminal("run", "-n", "2", *python(code))
        os.write(terminal, b"hello\n")
        self.assertIn(b"[0] got hello", self.read_terminal(terminal))
        self.assertEqual(process.wait(30), 0)

    def test_stop_and_continue_reach_the_ranks(self):
        process = self.start("run", "-n", "2", "sh", "-c", "echo ready $$; exec sleep 100")
        ranks = [int(process.stdout.readline().split()[-1]) for _ in range(2)]

        def state(pid):
            with open(f"/proc/{pid}/stat") as file:
                return re.search(r"\) (\w)", file.read()).group(1)

        def states():
            return {state(pid) for pid in [process.pid, *ranks]}

        process.send_signal(signal.SIGTSTP)
        self.wait_until(lambda: states() == {"T"})
        process.send_signal(signal.SIGCONT)
        self.wait_until(lambda: "T" not in states())


class Usage(CommandTest):
    def test_errors(self):
        self.assert_usage_error(["run"], "PROGRAM to run is missing")
        self.assert_usage_error(["run", "-n", "0", "true"], "from 1 to")
        self.assert_usage_error(["run", "-n", "two", "true"], "'two'")
        self.assert_usage_error(["run", "--grace", "-1", "true"], "--grace")
        self.assert_usage_error(["run", "--bind", "socket", "true"], "none or core")
        self.assert_usage_error(["run", "--nonsense"], "--nonsense")
        self.assert_usage_error(["run", "-n", "4000", "--bind", "core", "true"], "needs a processor")
        self.assert_usage_error(["nonsense"], "unknown subcommand: nonsense")
        self.assert_usage_error([], "subcommand is missing")

    def test_options_of_the_program_are_its_own(self):
        for dashes in ([], ["--"]):
            _, output, _ = self.command("run", "-n", "1", *dashes, "echo", "-n", "5", "--help")
            self.assertEqual(output, b"[0] 5 --help\n")

    def test_help_and_version(self):
        for words in ([], ["run"], ["bench"], ["tune"], ["info"]):
            status, output, errors = self.command(*words, "--help")
            self.assertEqual((status, errors), (0, b""))
            self.assertIn(b"Usage: unisono", output)
            status, output, _ = self.command(*words, "--version")
            self.assertRegex(output, rb"^unisono \d+\.\d+\.\d+\n$")
            self.assertEqual(status, 0)

    def test_full_disk_is_noticed(self):
        with open("/dev/full", "wb") as full:
            self.assertEqual(self.command("--help", stdout=full)[0], 1)
            self.assertNotEqual(self.command("run", "-n", "1", "echo", "x", stdout=full)[0], 0)


if __name__ == "__main__":
    print(f"testing {TOOL}", flush=True)
    unittest.main(verbosity=2)
