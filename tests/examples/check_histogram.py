"""examples/histogram: counts as Python does, for files of all sizes around a block; a file that cannot be read is
one clear message and status 1 on every rank."""

import collections
import random
import re
import tempfile
from pathlib import Path

from ranks import PROGRAM, expect_failure, expect_success, run, run_ranks

BLOCK = 1 << 20
SIZES = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 12345]


def counts_printed(result):
    rows = re.findall(r"^0x([0-9a-f]{2}) .{5}\s*(\d+) ", expect_success(result).out, re.M)
    return {int(byte, 16): int(count) for byte, count in rows}


def check_counts(paths):
    expected = collections.Counter()
    for path in paths:
        expected.update(path.read_bytes())
    runs = [run([PROGRAM, *paths])] + [run_ranks(n, *paths) for n in (1, 2, 3)]
    for result in runs:
        assert counts_printed(result) == dict(expected), result.out
        assert int(result.find(r"total +(\d+)")) == expected.total()


def check_failures(good, missing):
    for n in (1, 2, 3):
        expect_failure(run_ranks(n, good, missing), 1, f"{missing}: No such file or directory")
        expect_failure(run_ranks(n, good, good.parent), 1, f"{good.parent}: Is a directory")
        expect_failure(run_ranks(n), 2, "usage:")
    # A file that only one rank cannot read: the others learn of it.
    one_fails = 'if [ "$RANK" != 1 ]; then set -- "$1" "$2" "$2"; fi; exec "$@"'
    expect_failure(run_ranks(3, PROGRAM, good, missing, program=("sh", "-c", one_fails, "sh")), 1,
                   f"{missing}: No such file or directory")



with tempfile.TemporaryDirectory() as name:
    directory, generator = Path(name), random.Random(1)
    files = [directory / f"{size} bytes" for size in SIZES]
    for path, size in zip(files, SIZES):
        path.write_bytes(generator.randbytes(size))
    text = directory / "text"
    text.write_text("only a few different bytes\n" * 1000)
    check_counts([*files, text])
    check_counts([text])
    check_failures(text, directory / "missing")
