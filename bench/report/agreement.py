"""How stored scores agree with published ones: reproduced, within the interval, off, or missing, and why."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isclose
from typing import Literal

from bench.report.reference import Published, read_papers
from bench.report.stock import (
    Score,
    Stock,
    flattened,
    is_trained,
    place_of,
    pretrain_of,
    probe_of,
    uses_labels,
)
from bench.results import Result

Mark = Literal["reproduced", "within", "off", "missing"]

SIGNS: dict[Mark, str] = {"reproduced": "=", "within": "≈", "off": "≠", "missing": "-"}
"""What stands for each mark in figures and tables."""

KEY = "   ".join(f"{sign} {mark}" for mark, sign in SIGNS.items())
"""The marks as a figure's legend explains them, in a line."""

DEFINITIONS = (
    "Marks: = reproduced, our score differs from the published one by no more than that number's own tolerance (half a "
    "unit of its last digit, or the error with which it was read off a figure); ≈ within, the published score, give or "
    "take that tolerance, lies in the interval of ours; ≠ off, neither; - missing, no stored cell of that data set, "
    "split, method, probe and fraction. Our interval is over the choice of test tracks, with our mean over draws and "
    "seeds in the middle."
)
"""As captions say it."""

_ENOUGH_BUDGET = 0.5


@dataclass(frozen=True)
class Match:
    """A published number beside ours.

    Attributes:
        published: the number.
        mark: see `DEFINITIONS`.
        ours: our score; None where it is missing.
        cells: the results that it is the mean of.
        reasons: what is missing, or in what the protocols differ as far as that is known.
    """

    published: Published
    mark: Mark
    ours: Score | None
    cells: tuple[Result, ...]
    reasons: tuple[str, ...]


def agree(published: Sequence[Published], stock: Stock) -> list[Match]:
    """Compares each published number with the stored cells of the same data set, split, method, probe and fraction.

    Where cells of several protocols fit, those nearest to the paper's are taken: its encoder, its
    way to draw labels, its recipe, then most draws and seeds. Where an exhibit compares encoders,
    only cells of the same encoder fit.
    """
    by_dataset: dict[str, list[Result]] = {}
    for result in stock.results:
        by_dataset.setdefault(result.dataset, []).append(result)
    encoders: dict[tuple[str, str, str], set[str]] = {}
    for row in published:
        encoders.setdefault((row.paper, row.exhibit, row.method), set()).add(row.encoder)
    return [
        _match(
            row,
            by_dataset,
            stock,
            strict=len(encoders[row.paper, row.exhibit, row.method] - {""}) > 1,
        )
        for row in published
    ]


def _match(
    row: Published, by_dataset: dict[str, list[Result]], stock: Stock, *, strict: bool
) -> Match:
    cells, why = _fitting(row, by_dataset, strict=strict)
    if why:
        return Match(row, "missing", None, (), (why,))
    nearest = _nearest(row, cells)
    ours = stock.score(nearest, row.metric)
    if ours is None:
        return Match(
            row,
            "missing",
            None,
            (),
            (f"stored cells have no {row.metric}, or their arrays are damaged",),
        )
    return Match(row, _mark(row, ours), ours, tuple(nearest), differences(row, nearest))


def _mark(row: Published, ours: Score) -> Mark:
    # Both are sums of floats; a difference of exactly the tolerance counts as within it.
    if abs(ours.value - row.value) <= row.tolerance * (1 + 1e-9):
        return "reproduced"
    if ours.low - row.tolerance <= row.value <= ours.high + row.tolerance:
        return "within"
    return "off"


def _fitting(
    row: Published, by_dataset: dict[str, list[Result]], *, strict: bool
) -> tuple[list[Result], str]:
    """The cells that a number may be compared with, or the first reason why there are none."""
    if not row.dataset:
        return [], f"other data set: {row.evaluated_on} is none of those here"
    if not row.method:
        return [], f"no method here corresponds to {row.published_as}"
    if not row.encoder:
        return [], f"no encoder here corresponds to {row.encoder_as}"
    if not row.probe:
        return [], f"no probe here corresponds to {row.probe_as}"
    cells = by_dataset.get(row.dataset, [])
    if not cells:
        stored = ", ".join(sorted(by_dataset)) or "nothing"
        return [], f"other data set: no cell on {row.dataset}; stored: {stored}"
    steps: list[tuple[str, Callable[[Result], str], str]] = [
        ("other split convention: stored on", lambda cell: place_of(cell).split, row.split),
        ("not computed: stored", lambda cell: cell.spec.method.name, row.method),
        ("other probe: stored", probe_of, row.probe),
        (
            "other labels: stored at fraction",
            lambda cell: f"{cell.spec.fraction:g}",
            f"{row.label_fraction:g}",
        ),
    ]
    for what, read, wanted in steps:
        kept = [cell for cell in cells if read(cell) == wanted]
        if not kept:
            stored = ", ".join(sorted({read(cell) for cell in cells}))
            return [], f"{what} {stored}, not {wanted or 'that of the paper, which is not stated'}"
        cells = kept
    if row.pretrain or row.pretrain_as not in ("", "none"):
        kept = [cell for cell in cells if _pretrained_alike(row, cell)]
        if not kept:
            stored = ", ".join(sorted({pretrain_of(cell) or cell.dataset for cell in cells}))
            return [], f"other pretraining data: {stored}, not {row.pretrain or row.pretrain_as}"
        cells = kept
    if strict:
        kept = [cell for cell in cells if cell.spec.encoder.name == row.encoder]
        if not kept:
            stored = ", ".join(sorted({cell.spec.encoder.name for cell in cells}))
            return [], f"other encoder: stored {stored}, not {row.encoder}"
        cells = kept
    return cells, ""


def _pretrained_alike(row: Published, cell: Result) -> bool:
    """Whether a cell was pretrained on the data set of a number.

    Data that nobody has is no reason to leave it out.
    """
    if not is_trained(cell) or uses_labels(cell):
        return True
    mine = pretrain_of(cell) or cell.dataset
    if row.pretrain:
        return mine == row.pretrain
    # Data that only the authors have: ours is the nearest there is. A public set that is not here
    # (Billboard) is not.
    return row.paper == "icassp2024"


def _nearest(row: Published, cells: Sequence[Result]) -> list[Result]:
    """The cells of the one protocol that is nearest to the paper's."""
    groups: dict[tuple[tuple[str, str], ...], list[Result]] = {}
    for cell in cells:
        key = tuple((name, str(value)) for name, value in sorted(flattened(cell).items()))
        groups.setdefault((*key, ("tracks", place_of(cell).tracks)), []).append(cell)
    paper = read_papers().get(row.paper)
    recipe = paper.recipe if paper else ""

    def nearness(group: list[Result]) -> tuple[bool, bool, bool, float, int, str]:
        spec = group[0].spec
        labels = not row.labels or spec.labels.scheme == row.labels
        views = float(int(group[0].protocol.get("steps") or 0) * spec.train.batch_size)
        return (
            spec.encoder.name == row.encoder,
            labels,
            spec.recipe == recipe,
            views,
            len(group),
            group[0].cell,
        )

    return max(groups.values(), key=nearness)


def differences(row: Published, cells: Sequence[Result]) -> tuple[str, ...]:
    """In what the protocol of our cells is known to differ from that of a published number."""
    result = cells[0]
    spec = result.spec
    found = []
    if spec.encoder.name != row.encoder:
        found.append(f"encoder {spec.encoder.name} in place of {row.encoder}")
    if is_trained(result) and not uses_labels(result):
        mine = pretrain_of(result) or result.dataset
        if not row.pretrain:
            found.append(f"pretrained on {mine} in place of {row.pretrain_as}")
        found += _budget(row, result)
        if spec.views.mode == "same" and row.paper in ("icassp2024", "clmr", "tune"):
            found.append("both views are one segment")
    if row.labels and spec.labels.scheme != row.labels:
        found.append(f"labels drawn {spec.labels.scheme}, not {row.labels}")
    if not isclose(float(getattr(spec, "scale", 1.0)), 1.0):
        found.append(f"scale {spec.scale:g} of the recipe's budget")
    leaked = result.counts.get("leaked_tracks", 0)
    if leaked:
        found.append(f"pretrained on {leaked} of the valid and test tracks")
    return tuple(found)


def _budget(row: Published, result: Result) -> list[str]:
    """Whether pretraining saw fewer tracks than the paper's."""
    drawn = int(result.protocol["steps"]) * result.spec.train.batch_size
    paper = read_papers().get(row.paper)
    if row.epochs:
        tracks = int(result.data.get("train_tracks", 0))
        epochs = drawn / tracks if tracks else 0.0
        if epochs < _ENOUGH_BUDGET * row.epochs:
            return [f"fewer views: {epochs:.3g} epochs in place of {row.epochs}"]
    elif paper and paper.views and drawn < _ENOUGH_BUDGET * paper.views:
        return [f"fewer views: {drawn:.2g} tracks drawn in place of {paper.views:.2g}"]
    return []
