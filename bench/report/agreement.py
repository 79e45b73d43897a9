"""How stored scores agree with published ones: reproduced, within the interval, off or missing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isclose
from typing import Literal

from bench.report.groups import grouped
from bench.report.places import place_of
from bench.report.reference import Published, read_papers
from bench.report.series import settings_of
from bench.report.setting import is_trained, pretrain_of, probe_of, uses_labels
from bench.report.stock import Score, Stock
from bench.results import Result

Mark = Literal["reproduced", "within", "off", "missing"]

SIGNS: dict[Mark, str] = {"reproduced": "=", "within": "≈", "off": "≠", "missing": "-"}
"""Mark -> its sign in figures and tables."""

KEY = "   ".join(f"{sign} {mark}" for mark, sign in SIGNS.items())
"""The signs and their marks in one line, for the legend of a figure."""

DEFINITIONS = (
    "Marks: = reproduced, our score differs from the published one by no more than that number's "
    "own tolerance (half a unit of its last digit, or the error with which it was read off a "
    "figure); ≈ within, the published score, give or take that tolerance, lies in the interval of "
    "ours; ≠ off, neither; - missing, no stored cell of that data set, split, method, probe and "
    "fraction. Our interval is over the choice of test tracks, with our mean over draws and seeds "
    "in the middle."
)
"""What the marks mean, as captions print it."""

_ENOUGH_BUDGET = 0.5
"""Share of a paper's tracks drawn in pretraining below which a budget is named as a reason."""


@dataclass(frozen=True)
class Match:
    """A published number beside ours.

    Attributes:
        published: the number.
        mark: how ours agrees with it (see `DEFINITIONS`).
        ours: our score; None where it is missing.
        cells: the results that our score is the mean of.
        reasons: what is missing, or in what the protocols are known to differ.
    """

    published: Published
    mark: Mark
    ours: Score | None
    cells: tuple[Result, ...]
    reasons: tuple[str, ...]


def agree(published: Sequence[Published], stock: Stock) -> list[Match]:
    """Compares each published number with the stored cells that correspond to it.

    These are the cells of the same data set, split, method, probe and fraction. Where cells of
    several protocols fit, those nearest to the paper's are taken (see `_nearest`). Where an exhibit
    compares encoders, only cells of the same encoder fit.
    """
    by_dataset = grouped(stock.results, lambda result: result.dataset)
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
        reason = f"stored cells have no {row.metric}, or their arrays are damaged"
        return Match(row, "missing", None, (), (reason,))
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
    """Whether a cell was pretrained on the data set of a number, or the nearest that there is."""
    if not is_trained(cell) or uses_labels(cell):
        return True
    mine = pretrain_of(cell) or cell.dataset
    if row.pretrain:
        return mine == row.pretrain
    # The pretraining data of this paper are its authors' own, so that any other set is the nearest
    # that there is. A public set that is missing here (Billboard) must not be replaced.
    return row.paper == "icassp2024"


def _nearest(row: Published, cells: Sequence[Result]) -> list[Result]:
    """The cells of the one protocol that is nearest to the paper's.

    The same encoder counts most, then the way to draw labels, the recipe, the number of tracks
    drawn in pretraining, and the number of draws and seeds.
    """
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

    return max(grouped(cells, _protocol).values(), key=nearness)


def _protocol(cell: Result) -> tuple[tuple[str, str], ...]:
    """Everything that was asked for and the tracks, as one key."""
    settings = sorted(settings_of(cell).items())
    return *((name, str(value)) for name, value in settings), ("tracks", place_of(cell).tracks)


def differences(row: Published, cells: Sequence[Result]) -> tuple[str, ...]:
    """In what the protocol of our cells is known to differ from that of a published number.

    Args:
        row: the published number.
        cells: cells of one protocol.
    """
    result = cells[0]
    spec = result.spec
    reasons = []
    if spec.encoder.name != row.encoder:
        reasons.append(f"encoder {spec.encoder.name} in place of {row.encoder}")
    if is_trained(result) and not uses_labels(result):
        pretrained_on = pretrain_of(result) or result.dataset
        if not row.pretrain:
            reasons.append(f"pretrained on {pretrained_on} in place of {row.pretrain_as}")
        reasons += _budget(row, result)
        if spec.views.mode == "same" and row.paper in ("icassp2024", "clmr", "tune"):
            reasons.append("both views are one segment")
    if row.labels and spec.labels.scheme != row.labels:
        reasons.append(f"labels drawn {spec.labels.scheme}, not {row.labels}")
    if not isclose(float(getattr(spec, "scale", 1.0)), 1.0):
        reasons.append(f"scale {spec.scale:g} of the recipe's budget")
    leaked = result.counts.get("leaked_tracks", 0)
    if leaked:
        reasons.append(f"pretrained on {leaked} of the valid and test tracks")
    return tuple(reasons)


def _budget(row: Published, result: Result) -> list[str]:
    """A line where pretraining drew less than half as many tracks as the paper's."""
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
