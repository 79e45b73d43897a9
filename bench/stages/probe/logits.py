"""The product of the probe stage: the logits of every test track, and what was chosen.

A folder holds the logits under each aggregation (`mean_embedding.npy`, `mean_probability.npy`) and
what was chosen on the valid split (`run.json`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.store import load_array, write_array, write_json
from bench.stages.probe.aggregate import AGGREGATIONS


@dataclass(frozen=True)
class Probed:
    """What the probe stage makes of one cell.

    Attributes:
        logits: aggregation -> (test tracks, outputs).
        kind: of the probe.
        chosen: the hyper-parameters that were best on the valid split.
        sweep: one row for each point of the grid.
        seconds: the cell's share of the time.
    """

    logits: dict[str, NDArray[np.float32]]
    kind: str
    chosen: dict[str, Any]
    sweep: list[dict[str, Any]]
    seconds: float

    def write(self, folder: Path) -> None:
        """Writes the product."""
        for name, values in self.logits.items():
            write_array(folder / f"{name}.npy", values)
        run = {
            "seconds": self.seconds,
            "kind": self.kind,
            "chosen": self.chosen,
            "sweep": self.sweep,
        }
        write_json(folder / "run.json", run)


def read_logits(folder: Path) -> dict[str, NDArray[np.float32]]:
    """The logits of a product: aggregation -> (test tracks, outputs).

    Raises:
        InputError: they are not there or damaged.
    """
    return {name: load_array(folder / f"{name}.npy") for name in AGGREGATIONS}
