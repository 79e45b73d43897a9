"""Made-up cells, and all figures of them, that several tests read."""

from pathlib import Path

import pytest

from bench.report.figures.kinds import KINDS, PAPERS, Drawn, draw
from tests.report.figures.cells import METHODS, TAGS
from tests.synthetic_results import write_cells


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    write_cells(
        folder, METHODS, ("midiband", "magnatagatune"), (0.1, 1.0), 2, 2, ("mlp",), 60, tags=TAGS
    )
    return folder


@pytest.fixture(scope="session")
def drawn(stored: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Drawn]:
    folder = tmp_path_factory.mktemp("drawn")
    return folder, draw(stored, folder, kinds=list(KINDS), papers=list(PAPERS), formats=("svg",))
