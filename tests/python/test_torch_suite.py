"""PyTorch's own tests of torch.distributed on the backend: what gloo passes must pass."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PASSED_BY_GLOO = (HERE / "torch_suite_gloo.txt").read_text().split()  # of PyTorch 2.13, with 4 ranks

# What no backend from outside PyTorch can pass, and why.
IMPOSSIBLE = {"test_ddp_logging_data_cpu": "PyTorch logs every backend from outside under the name 'custom'"}


def outcomes(directory, backend, ranks, names=(), limit=600):
    """{test: "ok", "skipped: why" or what went wrong}"""
    directory.mkdir()
    with (directory / "log").open("w+") as log:
        process = subprocess.Popen([sys.executable, str(HERE / "torch_suite.py"), backend, str(ranks),
                                    str(directory / "outcomes"), *names], stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        try:
            process.wait(limit)
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        log.seek(0)
        assert process.returncode == 0, log.read()[-6000:]
    return json.loads((directory / "outcomes").read_text())


def check(wanted, ours):
    failed = {name: ours[name] for name in wanted if ours[name] != "ok" and name not in IMPOSSIBLE}
    assert not failed, "\n\n".join(f"{name}: {why[-2000:]}" for name, why in failed.items())


@pytest.mark.timeout(620)
def test_what_gloo_passes(tmp_path):
    check(PASSED_BY_GLOO, outcomes(tmp_path / "unisono", "unisono", 4, PASSED_BY_GLOO))


@pytest.mark.long
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("ranks", [4, 8])  # some tests want eight ranks
def test_everything_beside_gloo(tmp_path, ranks):
    gloo, ours = (outcomes(tmp_path / backend, backend, ranks, limit=1100) for backend in ("gloo", "unisono"))
    passed = [name for name, outcome in gloo.items() if outcome == "ok"]
    assert len(passed) > 50
    check(passed, ours)
    failed = [name for name, outcome in ours.items() if not outcome.startswith(("ok", "skipped"))]
    assert set(failed) <= set(IMPOSSIBLE), ours[failed[0]][-2000:]
