"""Runs the tests of torch.distributed that come with PyTorch (torch.testing._internal.distributed.distributed_test), by
name, on a backend; writes what became of each as JSON: {name: "ok", "skipped: why", or what went wrong}.

usage: torch_suite.py BACKEND RANKS RESULT [TEST...]       without tests: all"""

import json
import os
import sys
import unittest
from datetime import timedelta
from pathlib import Path
from unittest import mock


class LikeOthers(str):
    """A backend's name that the tests for gloo or MPI alone take for theirs."""

    def __eq__(self, other):
        return str.__eq__(self, other) or other in ("gloo", "mpi")

    def __ne__(self, other):
        return not self == other

    __hash__ = "gloo".__hash__


def monitored_barrier(group=None, timeout=None, wait_all_ranks=False):
    """torch.distributed's own refuses all backends but gloo."""
    import torch.distributed as dist
    if group is not dist.GroupMember.NON_GROUP_MEMBER:
        limit = timedelta(seconds=timeout) if isinstance(timeout, float) else timeout or timedelta(minutes=5)
        (group or dist.group.WORLD).monitored_barrier(limit, wait_all_ranks)


def load(backend):
    """The tests, as their program in PyTorch's repository has them."""
    import torch.distributed as dist
    import torch.multiprocessing
    import unisono.torch  # noqa: F401 - registers the backend
    from torch.testing._internal.common_distributed import DistTestCases
    if backend != "gloo":
        DistTestCases.backend_feature["plugin"].add(backend)
        dist.monitored_barrier = monitored_barrier
    with mock.patch("os.environ", {**os.environ, "BACKEND": LikeOthers(backend)}):
        from torch.testing._internal.distributed import distributed_test

    class TestDistBackendWithFork(distributed_test.TestDistBackend, distributed_test.DistributedTest._DistTestBase):
        def setUp(self):
            super().setUp()
            Path(os.environ["INIT_METHOD"].removeprefix("file://")).unlink(missing_ok=True)
            self._start_processes(torch.multiprocessing.get_context("fork").Process)  # spawned ones import for seconds

    return TestDistBackendWithFork


class Result(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.outcomes = {}

    def addSuccess(self, test):
        self.outcomes[test._testMethodName] = "ok"

    def addSkip(self, test, reason):
        self.outcomes[test._testMethodName] = f"skipped: {reason}"

    def addError(self, test, error):
        self.outcomes[test._testMethodName] = self._exc_info_to_string(error, test)

    addFailure = addError


def main():
    backend, ranks, path, *names = sys.argv[1:]
    os.environ.update(BACKEND=backend, WORLD_SIZE=ranks, TEMP_DIR=str(Path(path).parent), OMP_NUM_THREADS="1",
                      INIT_METHOD=f"file://{path}.store", DISTRIBUTED_TESTS_DEFAULT_TIMEOUT="60")
    case, result = load(backend), Result()
    unittest.TestSuite(map(case, names or unittest.TestLoader().getTestCaseNames(case))).run(result)
    Path(path).write_text(json.dumps(result.outcomes))


if __name__ == "__main__":
    main()
