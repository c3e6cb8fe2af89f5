"""Shared by the tests: starting ranks."""

import pytest

import ranks


@pytest.fixture
def run(tmp_path, request):
    """Runs a function of the test's module as N ranks: run(3, function, arguments...) -> what each returned."""
    def start(n, function, *arguments, **settings):
        return ranks.run(n, function, *arguments, directory=tmp_path, **settings)
    return start
