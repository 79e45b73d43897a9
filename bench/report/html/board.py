"""The leaderboard and the list of runs: rows of numbers with their drawings and marks."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.report.html.charts import Scale, interval, scale
from bench.report.html.collect import Arena, Run
from bench.report.html.comparing import ALPHA, Compared
from bench.report.html.overview import warnings
from bench.report.html.strata import Configuration, Stratum
from bench.results import dataset_name
from bench.settings.specs import RunSpec

SHOWN = ("map_macro", "roc_auc_macro", "accuracy", "f1_macro")
"""Metrics of the leaderboard, where any run has them."""
BEST, TIED = "best", "tied"
"""Marks of a score: the best of its stratum, or not told from the best by the paired test."""


@dataclass(frozen=True)
class Number:
    """A number with its interval; None where there is none.

    Attributes:
        value: the number.
        ends: lower and upper end of the interval.
        bar: drawing of the interval, as `Markup`.
        mark: `BEST`, `TIED` or nothing.
    """

    value: float | None
    ends: tuple[float | None, float | None] = (None, None)
    bar: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Row:
    """One configuration in the leaderboard.

    Attributes:
        stratum: the stratum that it stands in.
        configuration: the configuration.
        numbers: its scores, in the order of the board's metrics.
        above: difference of its mAP to that of the untrained encoder.
        place: number of the row on the board, from 1.
    """

    stratum: Stratum
    configuration: Configuration
    numbers: tuple[Number, ...]
    above: Number
    place: int

    @property
    def spec(self) -> RunSpec:
        """The spec of its first run, for the settings that all its runs share."""
        return self.configuration.runs[0].result.spec

    @property
    def pretrained_on(self) -> str:
        """What its encoder was pretrained on, in words."""
        return pretrained_on(self.configuration.runs[0])

    @property
    def probe(self) -> str:
        """Kind of the probe; "end_to_end" for a method with a classifier of its own."""
        return str(self.configuration.runs[0].result.protocol["probe"])


@dataclass(frozen=True)
class Board:
    """The leaderboard.

    Attributes:
        metrics: names of the metrics that are columns.
        above: whether any row has a difference to the untrained encoder.
        groups: the rows of each arena, best first in each stratum; scores of two arenas never share
            a group.
        scales: (arena, metric) -> scale of the drawings in that column; "above" for the
            differences.
    """

    metrics: tuple[str, ...]
    above: bool
    groups: dict[Arena, list[Row]]
    scales: dict[tuple[Arena, str], Scale]


def board(strata: Sequence[Stratum], compared: Sequence[Compared]) -> Board:
    """Puts the configurations of every stratum into one leaderboard.

    Args:
        strata: every stratum.
        compared: the comparisons in each stratum, for the marks.
    """
    rows = [(stratum, row) for stratum in strata for row in stratum.rows]
    metrics = tuple(name for name in SHOWN if any(name in row.scores for _, row in rows))
    marks = {(id(each.stratum), each.metric): _marks(each) for each in compared}
    scales = _scales(strata, metrics)
    groups: dict[Arena, list[Row]] = {}
    for place, (stratum, row) in enumerate(rows, 1):
        arena = stratum.arena
        numbers = tuple(
            _number(row, metric, scales.get((arena, metric)), marks.get((id(stratum), metric), {}))
            for metric in metrics
        )
        above = _above(row, scales.get((arena, "above")))
        groups.setdefault(arena, []).append(Row(stratum, row, numbers, above, place))
    any_above = any(row.above.value is not None for group in groups.values() for row in group)
    return Board(metrics, any_above, groups, scales)


def _marks(compared: Compared) -> dict[str, str]:
    """Name of a configuration -> `BEST` or `TIED`; empty with fewer than two configurations."""
    rows = [row for row in compared.stratum.rows if compared.metric in row.scores]
    if len(rows) < 2:
        return {}
    best = max(rows, key=lambda row: row.scores[compared.metric].value)
    marks = {best.name: BEST}
    for row in rows:
        pair = compared.between(best.name, row.name)
        if pair and not pair[0].adjusted < ALPHA:
            marks[row.name] = TIED
    return marks


def _scales(strata: Sequence[Stratum], metrics: Sequence[str]) -> dict[tuple[Arena, str], Scale]:
    """(arena, metric or "above") -> the scale that holds all its values and intervals."""
    ends: dict[tuple[Arena, str], list[float | None]] = {}
    for stratum in strata:
        for row in stratum.rows:
            for metric in metrics:
                score = row.scores.get(metric)
                ends.setdefault((stratum.arena, metric), []).extend(
                    [score.value, score.low, score.high] if score else []
                )
            above = row.above
            ends.setdefault((stratum.arena, "above"), []).extend(
                [above.difference, above.low, above.high] if above else []
            )
    return {key: scale(values, zero=key[1] == "above") for key, values in ends.items() if values}


def _number(row: Configuration, metric: str, on: Scale | None, marks: dict[str, str]) -> Number:
    score = row.scores.get(metric)
    if score is None or on is None:
        return Number(None)
    bar = interval(score.value, score.low, score.high, on)
    return Number(score.value, (score.low, score.high), bar, marks.get(row.name, ""))


def _above(row: Configuration, on: Scale | None) -> Number:
    above = row.above
    if above is None or on is None:
        return Number(None)
    bar = interval(above.difference, above.low, above.high, on, zero=True)
    return Number(above.difference, (above.low, above.high), bar)


def pretrained_on(run: Run) -> str:
    """What a run's encoder was pretrained on, in words."""
    spec = run.result.spec
    if not run.result.protocol["steps"]:
        return "nothing"
    same = spec.pretrain_dataset == spec.dataset
    return "same data" if same else dataset_name(spec.pretrain_dataset.name)


def place_in_words(run: Run) -> str:
    """Draw, seeds and imported subset of a run, which tell it from others of its configuration."""
    spec = run.result.spec
    words = [f"draw {spec.draw}", f"seed {spec.seed}"] + (
        [f"probe seed {spec.probe_seed}"] if spec.probe_seed else []
    )
    return ", ".join(words + ([f"subset {spec.labels.subset}"] if spec.labels.subset else []))


@dataclass(frozen=True)
class Listed:
    """One run in the list of runs.

    Attributes:
        run: the run.
        numbers: its scores, in the order of the leaderboard's metrics.
        state: "counted" or "other scoring", followed by "warning" where there is one.
        pretraining_seconds: time that pretraining took; None where it is not stored.
    """

    run: Run
    numbers: tuple[Number, ...]
    state: str
    pretraining_seconds: float | None


def listed(runs: Sequence[Run], metrics: Sequence[str]) -> list[Listed]:
    """Every run, sorted by data set, split, method, probe, fraction, draw and seeds.

    Args:
        runs: all runs.
        metrics: names of the metrics that are columns.
    """
    rows = []
    for run in sorted(runs, key=_order):
        metrics_of = run.result.metrics
        numbers = tuple(
            Number(metrics_of[name].value, (metrics_of[name].low, metrics_of[name].high))
            if name in metrics_of
            else Number(None)
            for name in metrics
        )
        state = ("counted" if run.counted else "other scoring") + (
            ", warning" if warnings(run) else ""
        )
        rows.append(Listed(run, numbers, state, run.result.seconds.get("pretrain")))
    return rows


def _order(run: Run) -> tuple[object, ...]:
    spec = run.result.spec
    place = (spec.fraction, spec.draw, spec.seed, spec.probe_seed)
    return (
        run.result.dataset,
        run.result.data["split"],
        spec.method.name,
        spec.probe.kind,
        *place,
        run.page,
    )
