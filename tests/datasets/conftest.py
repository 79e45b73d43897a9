"""One tree of every data set, in its own layout."""

from pathlib import Path

import pytest

from tests.fake_datasets import TREES


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One tree of each data set, not to be changed."""
    folder = tmp_path_factory.mktemp("datasets")
    return {name: make(folder / name) for name, (make, _) in TREES.items()}
