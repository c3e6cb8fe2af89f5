"""The programs in README.md, docs/pytorch.md and docs/deepspeed.md run as they stand there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def programs(name):
    """{(document, heading): program}"""
    text = (ROOT / name).read_text()
    return {(name, re.findall(r"^## (.*)", text[:match.start()], re.M)[-1]): match[1]
            for match in re.finditer(r"^```python\n(.*?)^```", text, re.M | re.S)}


PROGRAMS = {**programs("README.md"), **programs("docs/pytorch.md"), **programs("docs/deepspeed.md")}


def execute(name):
    exec(compile(PROGRAMS[name], " ".join(name), "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("name", PROGRAMS, ids=": ".join)
def test_program(run, name):
    run(2, execute, name)
