"""examples/heat: the same field, steps and residual to the last bit for any number of ranks, down to a row each, and
the steady state that is known."""

from ranks import PROGRAM, expect_failure, expect_success, run, run_ranks

GRID = 24


def outcome(result):
    """Everything printed but the number of ranks."""
    return expect_success(result).out.split("\n")[1:]


alone = run([PROGRAM, "--grid", GRID])
assert float(alone.find(r"residual ([-\d.e]+)\n")) <= 1e-7, alone.out
assert float(alone.find(r"steady state ([-\d.e]+)\n")) < 1e-3, alone.out
for n in (1, 2, 3, 4):
    result = run_ranks(n, "--grid", GRID)
    assert outcome(result) == outcome(alone), f"{n} ranks:\n{result.out}\nnot\n{alone.out}"

limited = ["--grid", 4, "--steps", 7, "--tolerance", 0]
alone = run([PROGRAM, *limited])
assert alone.find(r"(\d+) steps, .*step limit") == "7", alone.out
assert outcome(run_ranks(4, *limited)) == outcome(alone)

expect_failure(run_ranks(3, "--grid", 2), 2, "more ranks than rows")
expect_failure(run_ranks(3, "--grid", "none"), 2, "usage:")
