"""The stored cells of a results folder, read once, with their mean scores and resamples."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import InputError
from bench.report.places import Place, place_names, places
from bench.report.setting import Setting, fits, settings
from bench.report.summary import Cell, mean_interval
from bench.results import Result, Values, path_of, preferred, read_all, read_values


@dataclass(frozen=True)
class Score:
    """The mean of a metric over cells of one test split.

    Attributes:
        value: the mean.
        low: lower end of the interval over the choice of test tracks; NaN without resamples.
        high: upper end of the interval.
        cells: number of cells.
    """

    value: float
    low: float
    high: float
    cells: int


@dataclass
class Stock:
    """The stored cells of a results folder.

    Attributes:
        folder: the results folder.
        results: one result for each cell, in the order of their files.
        left_out: a line for every file that is not used.
    """

    folder: Path
    results: tuple[Result, ...]
    left_out: list[str]
    _values: dict[str, Values | None] = field(default_factory=dict, repr=False)

    def cell(self, result: Result) -> Cell | None:
        """The result with its arrays.

        None, with a line in `left_out`, where the arrays cannot be read.
        """
        if result.cell not in self._values:
            try:
                self._values[result.cell] = read_values(path_of(self.folder, result))
            except InputError as error:
                self._values[result.cell] = None
                self.left_out.append(str(error))
        values = self._values[result.cell]
        return None if values is None else Cell(result, values)

    @cached_property
    def places(self) -> dict[Place, list[Result]]:
        """All cells by the place that they were scored on."""
        return places(self.results)

    @cached_property
    def titles(self) -> dict[Place, str]:
        """The title of each place."""
        return place_names(self.places)

    @cached_property
    def settings(self) -> list[Setting]:
        """The settings that figures are drawn of."""
        return settings(self.results)

    def fitting(self, setting: Setting) -> dict[Place, list[Result]]:
        """The cells that fit a setting, by place."""
        return places(result for result in self.results if fits(result, setting))

    def cells(self, results: Iterable[Result]) -> list[Cell]:
        """The results with their arrays; those whose arrays cannot be read are left out."""
        return [cell for result in results if (cell := self.cell(result))]

    def score(self, results: Sequence[Result], metric: str) -> Score | None:
        """The mean of a metric over cells of one test split; None where no cell has the metric."""
        cells = [cell for cell in self.cells(results) if metric in cell.result.metrics]
        if not cells:
            return None
        value = float(np.mean([cell.result.metrics[metric].value for cell in cells]))
        stored = all(len(cell.values.resampled.get(metric, ())) for cell in cells)
        low, high = mean_interval(cut_alike(cells, metric), metric) if stored else (np.nan, np.nan)
        return Score(value, float(low), float(high), len(cells))

    def resampled(self, results: Sequence[Result], metric: str) -> NDArray[np.float64]:
        """(resamples,) the mean of a metric over cells in each resample that all cells have.

        Empty where no cell has resamples.
        """
        cells = [cell for cell in self.cells(results) if len(cell.values.resampled.get(metric, ()))]
        if not cells:
            return np.empty(0)
        columns = [cell.values.resampled[metric] for cell in cut_alike(cells, metric)]
        return np.asarray(np.mean(columns, axis=0))


def cut_alike(cells: Sequence[Cell], metric: str) -> list[Cell]:
    """The cells with the resamples of one metric, cut to the number that every cell has.

    Resamples are drawn in one order for all cells of a test set, so that the first n of a longer
    list are those of a list of n.
    """
    shared = min(len(cell.values.resampled[metric]) for cell in cells)
    return [
        Cell(
            cell.result,
            replace(cell.values, resampled={metric: cell.values.resampled[metric][:shared]}),
        )
        for cell in cells
    ]


def read_stock(folder: Path) -> Stock:
    """Reads a results folder.

    Files that cannot be read, and scorings beside the usual one, are named in `left_out`.
    """
    stored, left_out = read_all(folder)
    kept = preferred(stored)
    if len(kept) < len(stored):
        left_out.append(f"{len(stored) - len(kept)} other scorings of the same cells are not used")
    stock = Stock(folder, tuple(kept), left_out)
    # All arrays are read now, so that what is damaged is known before the first caption is written.
    return replace(stock, results=tuple(result for result in kept if stock.cell(result)))
