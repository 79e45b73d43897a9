"""Made-up cells of a method whose name holds signs that a format could take for markup."""

from pathlib import Path

from tests.synthetic_results import write_cells

ODD = "<script>alert('&')_%$x^2$\\{}#~|"


def write_odd(folder: Path) -> Path:
    """Writes cells of four methods on three data sets and splits; returns the results folder."""
    methods = ["simclr", "vicreg", "byol", ODD]
    write_cells(folder, methods, ["magnatagatune", "magnatagatune:pons", "gtzan"])
    return folder
