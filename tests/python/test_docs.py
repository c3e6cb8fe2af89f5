"""The programs in docs/pytorch.md run as they stand there."""

import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[2] / "docs/pytorch.md").read_text()
PROGRAMS = {re.findall(r"^## (.*)", TEXT[:match.start()], re.M)[-1]: match[1]
            for match in re.finditer(r"^```python\n(.*?)^```", TEXT, re.M | re.S)}


def execute(name):
    exec(compile(PROGRAMS[name], name, "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(run, name):
    run(2, execute, name)
