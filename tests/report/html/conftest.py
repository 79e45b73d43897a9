"""A report that several tests read."""

from pathlib import Path

import pytest

from tests.report.html.pages import Page, report
from tests.synthetic_results import spoil, write_cells


@pytest.fixture(scope="session")
def grid(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Page]]:
    """A folder, and in `out` the report of its results.

    There are several methods, data sets, splits and probes, and files that are no results.
    """
    folder = tmp_path_factory.mktemp("grid")
    methods, datasets = (
        ("simclr", "vicreg", "mfcc", "random_init"),
        ("magnatagatune", "magnatagatune:pons", "gtzan"),
    )
    write_cells(folder / "results", methods, datasets, (0.1, 1.0), 2, 1, ("linear", "mlp"), 100)
    spoil(folder / "results")
    return folder, report(folder / "results", folder / "out")
