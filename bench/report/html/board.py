"""The leaderboard and the list of runs, as their templates want them: numbers, drawings and marks side by side."""

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
"""Metrics of the leaderboard, where a run has them."""
BEST, TIED = "best", "tied"


@dataclass(frozen=True)
class Number:
    """A number with its interval; None where there is none.

    Attributes:
        value: the number.
        ends: of the interval.
        bar: the interval drawn, as `Markup`.
        mark: `BEST` of its stratum, `TIED` with the best by the paired test, or nothing.
    """

    value: float | None
    ends: tuple[float | None, float | None] = (None, None)
    bar: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Row:
    """One configuration in the leaderboard.

    Attributes:
        stratum: where it may be compared.
        configuration: what it is.
        numbers: in the order of the board's metrics.
        above: what it adds to the untrained encoder.
        place: its number on the board, from 1.
    """

    stratum: Stratum
    configuration: Configuration
    numbers: tuple[Number, ...]
    above: Number
    place: int

    @property
    def spec(self) -> RunSpec:
        """Of its first run: the settings that all its runs share."""
        return self.configuration.runs[0].result.spec

    @property
    def pretrained_on(self) -> str:
        """Where its encoder comes from, in words."""
        return pretrained_on(self.configuration.runs[0])

    @property
    def probe(self) -> str:
        """Kind of the probe; "end_to_end" for a method with a classifier of its own."""
        return str(self.configuration.runs[0].result.protocol["probe"])


@dataclass(frozen=True)
class Board:
    """The leaderboard.

    Attributes:
        metrics: of its columns.
        above: whether any row has a difference to the untrained encoder.
        groups: the rows of each arena, best first in each stratum; scores of two arenas never share
            a group.
        scales: (arena, metric) -> what the drawings of that column span; "above" for the
            differences.
    """

    metrics: tuple[str, ...]
    above: bool
    groups: dict[Arena, list[Row]]
    scales: dict[tuple[Arena, str], Scale]


def board(strata: Sequence[Stratum], compared: Sequence[Compared]) -> Board:
    """Puts the configurations of every stratum into one board."""
    metrics = tuple(
        name for name in SHOWN if any(name in row.scores for one in strata for row in one.rows)
    )
    marks = {(id(one.stratum), one.metric): _marks(one) for one in compared}
    groups: dict[Arena, list[Row]] = {}
    scales, place = _scales(strata, metrics), 0
    for stratum in strata:
        arena = stratum.arena
        for row in stratum.rows:
            numbers = [
                _number(
                    row, metric, scales.get((arena, metric)), marks.get((id(stratum), metric), {})
                )
                for metric in metrics
            ]
            place += 1
            made = Row(
                stratum, row, tuple(numbers), _above(row, scales.get((arena, "above"))), place
            )
            groups.setdefault(arena, []).append(made)
    return Board(
        metrics,
        any(row.above.value is not None for rows in groups.values() for row in rows),
        groups,
        scales,
    )


def _marks(compared: Compared) -> dict[str, str]:
    """The best of a stratum, and those that the paired test does not tell from it.

    Nothing where nothing competes.
    """
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
    found = row.above
    if found is None or on is None:
        return Number(None)
    bar = interval(found.difference, found.low, found.high, on, zero=True)
    return Number(found.difference, (found.low, found.high), bar)


def pretrained_on(run: Run) -> str:
    """Where a run's encoder comes from, in words."""
    spec = run.result.spec
    if not run.result.protocol["steps"]:
        return "nothing"
    same = spec.pretrain_dataset == spec.dataset
    return "same data" if same else dataset_name(spec.pretrain_dataset.name)


def place_in_words(run: Run) -> str:
    """What tells a run from the others of its configuration."""
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
        title: of its arena.
        numbers: metric -> number.
        state: "counted", "other scoring", and "warning" behind either.
        pretraining_seconds: time that pretraining took; None where it is not stored.
    """

    run: Run
    numbers: tuple[Number, ...]
    state: str
    pretraining_seconds: float | None


def listed(runs: Sequence[Run], metrics: Sequence[str]) -> list[Listed]:
    """Every run, in the order of data set, split, method, fraction, draw and seeds."""
    found = []
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
        found.append(Listed(run, numbers, state, run.result.seconds.get("pretrain")))
    return found


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
