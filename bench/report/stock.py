"""All stored cells of a results folder, read once and sorted: by protocol, by data set, by method.

A setting is a protocol: encoder, recipe, pretraining data and probe. Numbers of one setting can
stand in one figure, one panel a data set and split. Within a setting cells are sorted into series,
one a method; where the cells of a method differ in something else (such as `train.steps`), into one
series each, named after it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import InputError
from bench.report.summary import Cell, mean_interval
from bench.results import Result, Values, path_of, preferred, read_all, read_values

END_TO_END = "end_to_end"
_NOT_SETTINGS = (
    "fraction",
    "draw",
    "seed",
    "probe_seed",
    "score",
    "dataset",
    "pretrain_dataset",
    "recipe",
)
_NOT_COMPARED = (
    "probe.memory_mb",
    "train.checkpoint_seconds",
    "encoder.name",
    "method.name",
    "probe.kind",
)
_LONGEST_LABEL = 40  # characters of a name in a figure


@dataclass(frozen=True, order=True)
class Place:
    """A data set and split, with the tracks that they are made of.

    Attributes:
        dataset: name.
        split: name of the split.
        tracks: hash of tracks, splits and tags.
    """

    dataset: str
    split: str
    tracks: str


@dataclass(frozen=True, order=True)
class Setting:
    """A protocol that numbers of one figure share.

    Attributes:
        encoder: its name.
        recipe: its name.
        pretrain: data set that was pretrained on; "" where that is the probed one.
        probe: kind of the probe.
        convention: of scoring.
    """

    encoder: str
    recipe: str
    pretrain: str
    probe: str
    convention: str

    @property
    def words(self) -> str:
        """As a caption says it."""
        where = (
            f"pretrained on {self.pretrain}"
            if self.pretrain
            else "pretrained on the probed data set"
        )
        recipe = f"recipe {self.recipe}"
        return f"encoder {self.encoder}, {recipe}, {where}, probe {self.probe}, scored by {self.convention}"


@dataclass(frozen=True)
class Score:
    """A metric's mean over cells of one test split.

    Attributes:
        value: the mean.
        low: lower end of the interval over the choice of test tracks; NaN without resamples.
        high: upper end.
        cells: how many.
    """

    value: float
    low: float
    high: float
    cells: int


@dataclass
class Stock:
    """The stored cells.

    Attributes:
        folder: results folder.
        results: one result a cell, in the order of their files.
        left_out: a line for every file that is not used.
    """

    folder: Path
    results: tuple[Result, ...]
    left_out: list[str]
    _values: dict[str, Values | None] = field(default_factory=dict, repr=False)

    def cell(self, result: Result) -> Cell | None:
        """The result with its arrays.

        None, with a line in `left_out`, where they cannot be read.
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
        """All cells by where they were scored."""
        return places(self.results)

    @cached_property
    def settings(self) -> list[Setting]:
        """The settings that there are figures of."""
        return settings(self.results)

    def cells(self, results: Iterable[Result]) -> list[Cell]:
        """Those of the results whose arrays can be read."""
        return [cell for result in results if (cell := self.cell(result))]

    def score(self, results: Sequence[Result], metric: str) -> Score | None:
        """The mean of a metric over cells of one test split; None where no cell has it."""
        cells = [cell for cell in self.cells(results) if metric in cell.result.metrics]
        if not cells:
            return None
        value = float(np.mean([cell.result.metrics[metric].value for cell in cells]))
        stored = all(len(cell.values.resampled.get(metric, ())) for cell in cells)
        low, high = mean_interval(as_long(cells, metric), metric) if stored else (np.nan, np.nan)
        return Score(value, float(low), float(high), len(cells))

    def resampled(self, results: Sequence[Result], metric: str) -> NDArray[np.float64]:
        """(resamples,) the mean over cells in each resample that all share.

        Empty without resamples.
        """
        cells = [cell for cell in self.cells(results) if len(cell.values.resampled.get(metric, ()))]
        if not cells:
            return np.empty(0)
        columns = [cell.values.resampled[metric] for cell in as_long(cells, metric)]
        return np.asarray(np.mean(columns, axis=0))


def as_long(cells: Sequence[Cell], metric: str) -> list[Cell]:
    """The cells with as many resamples as all of them have: the first of more are those of fewer."""
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
    found, left_out = read_all(folder)
    kept = preferred(found)
    if len(kept) < len(found):
        left_out.append(f"{len(found) - len(kept)} other scorings of the same cells are not used")
    stock = Stock(folder, tuple(kept), left_out)
    # All arrays are read now, so that what is damaged is known before the first caption is written.
    return replace(stock, results=tuple(result for result in kept if stock.cell(result)))


def place_of(result: Result) -> Place:
    """Where a cell was scored."""
    return Place(
        result.dataset, str(result.data.get("split", "")), str(result.data.get("tracks_hash", ""))
    )


def probe_of(result: Result) -> str:
    """Kind of the probe; "end_to_end" for a method's own classifier."""
    return str(result.protocol.get("probe", result.spec.probe.kind))


def is_trained(result: Result) -> bool:
    """Whether there was any pretraining."""
    return bool(result.protocol.get("steps"))


def uses_labels(result: Result) -> bool:
    """Whether the encoder was trained on the labels."""
    return result.protocol.get("pretrained_on") == "labelled tracks"


def pretrain_of(result: Result) -> str:
    """Name of the data set that was pretrained on.

    "" where it is the probed one, or there was no pretraining.
    """
    spec = result.spec
    same = (
        spec.pretrain_dataset.name == spec.dataset.name
        or not is_trained(result)
        or uses_labels(result)
    )
    return "" if same else spec.pretrain_dataset.name


def setting_of(result: Result) -> Setting:
    """The setting of a cell."""
    return Setting(
        result.spec.encoder.name,
        result.spec.recipe,
        pretrain_of(result),
        probe_of(result),
        result.convention,
    )


def settings(results: Sequence[Result]) -> list[Setting]:
    """The settings that there are figures of: those of pretrained encoders, or of whatever there is.

    Baselines (untrained, trained on labels, features without an encoder) belong to each setting
    that they fit.
    """
    found = {
        setting_of(result) for result in results if is_trained(result) and not uses_labels(result)
    }
    alone = {
        setting_of(result)
        for result in results
        if not any(fits(result, setting) for setting in found)
    }
    # A method that is its own encoder needs no figure of its own where another setting takes it.
    for setting in sorted(alone, key=lambda one: (one.probe == END_TO_END, one)):
        if not all(
            any(fits(result, other) for other in found)
            for result in results
            if setting_of(result) == setting
        ):
            found.add(setting)
    return sorted(found)


def fits(result: Result, setting: Setting) -> bool:
    """Whether a cell may stand beside the pretrained encoders of a setting."""
    spec = result.spec
    own_encoder = spec.encoder.name == spec.method.name and not is_trained(result)
    baseline = not is_trained(result) or uses_labels(result)
    return (
        (spec.encoder.name == setting.encoder or own_encoder)
        and spec.recipe == setting.recipe
        and (pretrain_of(result) == setting.pretrain or baseline)
        and (probe_of(result) == setting.probe or uses_labels(result))
        and result.convention == setting.convention
    )


def places(results: Iterable[Result]) -> dict[Place, list[Result]]:
    """Results by where they were scored, in order of the name."""
    found: dict[Place, list[Result]] = {}
    for result in results:
        found.setdefault(place_of(result), []).append(result)
    return dict(sorted(found.items()))


def place_names(found: Iterable[Place]) -> dict[Place, str]:
    """A title for each place: data set and split, and a part of the hash where that is needed to tell them apart."""
    found = list(found)
    named = Counter((place.dataset, place.split) for place in found)
    return {
        place: f"{shortened(place.dataset)} ({shortened(place.split)}"
        + (f", {place.tracks[:6]})" if named[place.dataset, place.split] > 1 else ")")
        for place in found
    }


Series = dict[str, dict[float, list[Result]]]
"""Name of the series -> fraction -> its cells (draws and seeds)."""


def series(results: Sequence[Result]) -> Series:
    """Cells of one place and setting by method, and by what else differs, and by fraction."""
    names = series_names(results)
    found: Series = {}
    for result in results:
        found.setdefault(names[result.cell], {}).setdefault(result.spec.fraction, []).append(result)
    return {name: dict(sorted(found[name].items())) for name in sorted(found)}


def series_names(results: Sequence[Result]) -> dict[str, str]:
    """Cell -> name of its series: the method, and what the cells of that method differ in beside it."""
    by_method: dict[str, list[Result]] = {}
    for result in results:
        by_method.setdefault(result.spec.method.name, []).append(result)
    names = {}
    for method, alike in by_method.items():
        # Most cells of a method are asked for alike but for draw and seed: each wording is taken
        # apart once.
        keys = {result.cell: _key(result) for result in alike}
        flat = {
            keys[result.cell]: flattened(result)
            for result in {keys[one.cell]: one for one in alike}.values()
        }
        known = sorted({key for values in flat.values() for key in values})
        differing = [
            key for key in known if len({str(values.get(key)) for values in flat.values()}) > 1
        ]
        for cell, key in keys.items():
            what = ", ".join(f"{one}={flat[key].get(one)}" for one in differing)
            names[cell] = f"{method} ({what})" if what else method
    return names


def _key(result: Result) -> tuple[str, ...]:
    """What `flattened` depends on, as text."""
    spec = result.spec.model_dump_json(exclude=set(_NOT_SETTINGS))
    return spec, result.spec.recipe, pretrain_of(result), probe_of(result), result.convention


def flattened(result: Result) -> dict[str, Any]:
    """What was asked for, by dotted name, without what figures run over and what changes no number."""
    dumped = result.spec.model_dump(mode="json", exclude=set(_NOT_SETTINGS))
    flat = {
        "recipe": result.spec.recipe,
        "encoder": result.spec.encoder.name,
        "pretrain_dataset": pretrain_of(result),
    }
    flat |= {"probe": probe_of(result), "convention": result.convention}
    flat |= dict(_flat("", dumped))
    return {key: value for key, value in flat.items() if key not in _NOT_COMPARED}


def _flat(prefix: str, tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(f"{prefix}{key}.", value)
        else:
            yield f"{prefix}{key}", value


def method_of(name: str) -> str:
    """The method of a series."""
    return name.partition(" (")[0]


def shortened(name: str, longest: int = _LONGEST_LABEL) -> str:
    """A name that fits a figure: one line, cut at its middle where it is too long."""
    name = " ".join(name.split())
    half = longest // 2
    return name if len(name) <= longest else f"{name[: half - 1]}…{name[-half:]}"
