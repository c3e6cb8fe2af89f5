"""Shared by the tests: starting ranks, and leaving out what takes long."""

import os

import pytest

import ranks


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("long") and "TEST_LONG" not in os.environ:
            item.add_marker(pytest.mark.skip(reason="takes minutes or gigabytes; TEST_LONG=1 runs it"))


@pytest.fixture
def run(tmp_path, request):
    """Runs a function of the test's module as N ranks: run(3, function, arguments...) -> what each returned."""
    def start(n, function, *arguments, **settings):
        return ranks.run(n, function, *arguments, directory=tmp_path, **settings)
    return start
