"""A home with tones and a method that gets into trouble."""

from pathlib import Path

import pytest

from tests.conftest import make_tones
from tests.sweeping import Runner, write_trouble


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    found = Runner(tmp_path / "place")
    make_tones(found.folder / "tones")
    write_trouble(found.folder)
    return found
