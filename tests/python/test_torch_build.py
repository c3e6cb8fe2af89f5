"""The PyTorch parts, compiled by the first `import unisono.torch` of an installation that has none."""

import shutil
from pathlib import Path

import pytest

import ranks
import unisono

HERE = Path(__file__).parent


@pytest.fixture
def environment(tmp_path):
    """That of a package installed without PyTorch beside it, and of an empty cache."""
    shutil.copytree(Path(unisono.__file__).parent, tmp_path / "site/unisono",
                    ignore=shutil.ignore_patterns("built", "__pycache__"))
    return {"PYTHONPATH": f"{tmp_path / 'site'}:{HERE}", "XDG_CACHE_HOME": str(tmp_path / "cache")}


def imports():
    import torch
    import unisono.torch
    from torch_ranks import group
    with group() as (_, size):
        assert torch.ops.unisono.all_reduce(torch.ones(3)).tolist() == [size] * 3
    return unisono.torch._backend.__file__


@pytest.mark.long  # minutes of a processor's time
@pytest.mark.timeout(1900)
def test_the_first_import_compiles_once(run, environment):
    for compiler in ("c++", "false"):  # what is there is not compiled again
        where = run(2, imports, env={**environment, "CXX": compiler}, limit=1800)
        cached = sorted(p.name for p in Path(environment["XDG_CACHE_HOME"]).rglob("*.so") if p.is_file())
        assert where[0] == where[1] and where[0].startswith(environment["XDG_CACHE_HOME"])
        assert len(cached) == 2 and cached[0].startswith("backend-torch") and cached[1] == "operators.so"


def test_without_a_compiler_the_error_shows_the_command(run, environment):
    with pytest.raises(ranks.RankFailed, match="ImportError: unisono.torch could not be compiled:\nfalse -std="):
        run(1, imports, env={**environment, "CXX": "false"})
