"""The results of real runs that tests of comparisons and of re-scoring read."""

import shutil
from pathlib import Path

import pytest

from tests.report.real_runs import RUN, run_two_methods


@pytest.fixture(scope="session")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the results of two methods and the home that they were made in.

    There are 2 pretraining seeds, 2 draws and 2 probe seeds at fraction 0.4, and no draws at 1.
    """
    folder = tmp_path_factory.mktemp("computed")
    grid = ["--fraction", "0.4,1.0", "--draws", "2", "--seed", "0,1", "--probe-seeds", "2"]
    run_two_methods(folder, RUN, *grid, "--probe", "mlp")
    return folder


@pytest.fixture
def stored(computed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of these results and their home, in the folder that `main` runs in."""
    shutil.copytree(computed, tmp_path, dirs_exist_ok=True)
    return tmp_path / "results"
