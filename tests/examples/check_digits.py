"""examples/digits: for one number of ranks the losses are the same to the last bit whatever the algorithm and the
kind of memory, and the classifier is good."""

from ranks import PROGRAM, expect_failure, expect_success, run, run_ranks

ALGORITHMS = ["auto", "inline", "staged", "pull", "push"]
MEMORY = ["private", "shared", "mixed"]
SHORT = ["--epochs", 3]


def outcome(result):
    """Everything printed that may not differ: the losses of all epochs and steps, and the accuracy."""
    return [line for line in expect_success(result).out.split("\n") if " steps of " not in line]


def check_accuracy(n):
    assert float(expect_success(run_ranks(n)).find(r"test accuracy ([\d.]+)%")) >= 97


def check_same(n):
    expected = outcome(run_ranks(n, *SHORT))
    for algorithm in ALGORITHMS:
        for memory in MEMORY:
            result = run_ranks(n, *SHORT, "--memory", memory, environment={"UNISONO_ALGORITHM": algorithm})
            assert outcome(result) == expected, f"{n} ranks, {algorithm}, {memory}:\n{result.out}\nnot {expected}"


assert outcome(run([PROGRAM, *SHORT])) == outcome(run_ranks(1, *SHORT))
check_accuracy(1)
for ranks in (2, 3):
    check_accuracy(ranks)
    check_same(ranks)
    expect_failure(run_ranks(ranks, "--data", "/dev/null"), 1, "line 1 of the data")
    expect_failure(run_ranks(ranks, "--data", "/nowhere/digits.csv"), 1, "No such file or directory")
    expect_failure(run_ranks(ranks, "--memory", "other"), 2, "usage:")
