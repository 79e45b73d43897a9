"""Tables of scores with intervals and protocol, one table for each data set, split and setting.

In each column the best score at every share of the labels is marked, and so are the scores that the
paired test of `bench compare` cannot tell from it. `bench.report.table_formats` writes the tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.core.errors import InputError, unknown
from bench.report.captions import left_out, protocol
from bench.report.compare import compare
from bench.report.comparison import Entry
from bench.report.groups import grouped
from bench.report.names import METRICS, metric_title, ordered, percent
from bench.report.reference import MEANING, Published
from bench.report.series import series
from bench.report.setting import Setting
from bench.report.stock import Stock
from bench.results import Result, path_of
from bench.statistics.multiple import holm

ALPHA = 0.05
"""Level of the test for ties, after Holm over what is compared with the best."""
PERMUTATIONS = 2000
"""Permutations of the test for ties; the smallest p-value is 1 in 2001."""


@dataclass(frozen=True)
class Number:
    """A score in a table.

    Attributes:
        value: the score; None where there is none.
        low: lower end of its interval; NaN without an interval.
        high: upper end of the interval.
        rank: "best", "tie" (not told from the best) or "".
        p_value: p-value of the difference to the best, after Holm's adjustment; NaN for the best,
            and where nothing was tested.
    """

    value: float | None
    low: float = float("nan")
    high: float = float("nan")
    rank: str = ""
    p_value: float = float("nan")

    @property
    def text(self) -> str:
        """The score with its interval, to three decimals."""
        if self.value is None:
            return "-"
        text = f"{self.value:.3f}"
        return text if np.isnan(self.low) else f"{text} [{self.low:.3f}, {self.high:.3f}]"


@dataclass
class ScoreTable:
    """A table of texts and scores.

    Attributes:
        title: what all its rows share.
        columns: headings of the columns.
        rows: texts and numbers, one for each column.
        notes: protocol, tests, and what is left out.
        words: how many of the first columns hold text, and are set to the left.
    """

    title: str
    columns: list[str]
    rows: list[list[str | Number]]
    notes: list[str] = field(default_factory=list)
    words: int = 1


def score_tables(stock: Stock, metrics: Sequence[str] | None = None) -> list[ScoreTable]:
    """A table for each data set, split and setting of the stored cells.

    Args:
        stock: the stored cells.
        metrics: the metrics that are columns; macro mAP and ROC-AUC, and for classes accuracy and
            F1, where None.

    Raises:
        InputError: nothing is stored, or no cell has a metric.
    """
    if not stock.results:
        reason = (
            f" ({len(stock.left_out)} files cannot be used: {stock.left_out[0]})"
            if stock.left_out
            else ""
        )
        raise InputError(
            f"no results in {stock.folder}{reason}: `bench run` computes them, "
            "--results names another"
        )
    known = sorted({metric for result in stock.results for metric in result.metrics})
    for metric in metrics or ():
        if metric not in known:
            raise unknown("metric", metric, known)
    tables = []
    for setting in stock.settings:
        tables += [
            _table(stock, stock.titles[place], setting, cells, metrics)
            for place, cells in stock.fitting(setting).items()
        ]
    tables[-1].notes += left_out(stock)
    return tables


def _table(
    stock: Stock,
    where: str,
    setting: Setting,
    results: Sequence[Result],
    metrics: Sequence[str] | None,
) -> ScoreTable:
    named = list(metrics or [name for name in METRICS if "micro" not in name])
    shown = [metric for metric in named if any(metric in result.metrics for result in results)]
    by_series = series(results)
    fractions = sorted({fraction for row in by_series.values() for fraction in row})
    rows: list[list[str | Number]] = []
    notes: list[str] = []
    for fraction in fractions:
        cells_of = {
            name: by_series[name][fraction]
            for name in ordered(list(by_series))
            if fraction in by_series[name]
        }
        absent = [name for name in by_series if name not in cells_of]
        numbers = {metric: _numbers(stock, cells_of, metric, notes) for metric in shown}
        for name, cells in cells_of.items():
            draws, seeds = (
                {getattr(cell.spec, what) for cell in cells} for what in ("draw", "seed")
            )
            row: list[str | Number] = [name, _fraction(fraction), str(len(draws)), str(len(seeds))]
            rows.append([*row, *(numbers[metric][name] for metric in shown)])
        rows += [
            [name, _fraction(fraction), "0", "0", *(Number(None) for _ in shown)]
            for name in ordered(absent)
        ]
    notes = [*protocol(results), _TEST_WORDS, *dict.fromkeys(notes)]
    columns = ["method", "labels", "draws", "seeds", *(metric_title(metric) for metric in shown)]
    return ScoreTable(f"{where}: {setting.words}", columns, rows, notes, words=1)


_TEST_WORDS = (
    "Scores are means over draws and seeds, with their interval over the choice of test tracks. "
    "At each share of the labels the best is marked (bold; * in the terminal), and what is not "
    "told from it (underlined; ~): sign-flip permutation test of the test tracks on matched cells, "
    f"{PERMUTATIONS} permutations, p of {ALPHA:g} or more after Holm over all that is compared "
    "with the best. Seeds of pretraining are no part of this test."
)


def _fraction(fraction: float) -> str:
    return percent(fraction) if fraction <= 1 else f"{fraction:g} tracks"


def _numbers(
    stock: Stock, cells_of: dict[str, list[Result]], metric: str, notes: list[str]
) -> dict[str, Number]:
    """The scores of one column at one share of the labels, with rank and p-value.

    Args:
        stock: the stored cells.
        cells_of: series -> its cells at that share.
        metric: name of the metric.
        notes: gets a line for each series that cannot be compared with the best.
    """
    scores = {name: stock.score(cells, metric) for name, cells in cells_of.items()}
    known = {name: score for name, score in scores.items() if score is not None}
    if not known:
        return {name: Number(None) for name in cells_of}
    best = max(known, key=lambda name: known[name].value)
    others = [name for name in known if name != best]
    tested = {
        name: _p_value(stock, cells_of[best], cells_of[name], best, name, metric, notes)
        for name in others
    }
    certain = [name for name in others if not np.isnan(tested[name])]
    adjusted = (
        dict(zip(certain, holm(np.array([tested[name] for name in certain])), strict=True))
        if certain
        else {}
    )
    numbers = {}
    for name, score in scores.items():
        if score is None:
            numbers[name] = Number(None)
            continue
        p_value = float(adjusted.get(name, np.nan))
        rank = "best" if name == best else "tie" if p_value >= ALPHA else ""
        numbers[name] = Number(score.value, score.low, score.high, rank if others else "", p_value)
    return numbers


def _p_value(
    stock: Stock, best: Sequence[Result], other: Sequence[Result], first: str, second: str,
    metric: str, notes: list[str],
) -> float:  # fmt: skip
    """P-value of the difference to the best; NaN, with a note, where it cannot be tested."""
    sides = (first, stock.cells(best)), (second, stock.cells(other))
    entries = [
        Entry(
            f"{number}: {name}",
            tuple(cell.result for cell in cells),
            tuple(path_of(stock.folder, cell.result) for cell in cells),
        )
        for number, (name, cells) in enumerate(sides)
    ]
    known = {cell.result.cell: cell.values for _, cells in sides for cell in cells}
    try:
        (pair,) = compare(entries, metric, ALPHA, PERMUTATIONS, known).pairs
    except (InputError, ValueError) as error:
        notes.append(f"{second} is not compared with the best: {str(error).splitlines()[0]}")
        return float("nan")
    return pair.p_value


def reference_tables(rows: Sequence[Published]) -> list[ScoreTable]:
    """Published numbers, one table for each paper and test set.

    A column that is the same in all rows stands below the table instead.
    """
    groups = grouped(rows, lambda row: (row.paper, row.evaluated_on, row.split))
    return [_reference_table(several) for several in groups.values()]


_REFERENCE_COLUMNS = (
    "exhibit",
    "method",
    "here",
    "encoder",
    "pretrained on",
    "probe",
    "labels",
    "sure",
)


def _reference_table(rows: Sequence[Published]) -> ScoreTable:
    first = rows[0]
    metrics = [metric for metric in METRICS if any(row.metric == metric for row in rows)]
    by_words: dict[tuple[str, ...], dict[str, str]] = {}
    for row in rows:
        words = (
            row.exhibit,
            row.published_as,
            row.method or "-",
            row.encoder_as,
            row.pretrain_as,
            row.probe_as,
        )
        key = (*words, percent(row.label_fraction), row.certainty)
        by_words.setdefault(key, {})[row.metric] = _published(row)
    kept = [
        place
        for place, column in enumerate(_REFERENCE_COLUMNS)
        if column in ("method", "here") or len({words[place] for words in by_words}) > 1
    ]
    shared = [
        f"{column} {next(iter(by_words))[place]}"
        for place, column in enumerate(_REFERENCE_COLUMNS)
        if place not in kept
    ]
    body: list[list[str | Number]] = [
        [*(words[place] for place in kept), *(numbers.get(metric, "-") for metric in metrics)]
        for words, numbers in by_words.items()
    ]
    where = f"split {first.split}" if first.split else "split not stated, or none of ours"
    kinds = "; ".join(
        f"{kind}: {MEANING[kind]}" for kind in dict.fromkeys(row.certainty for row in rows)
    )
    notes = [f"All rows: {'; '.join(shared)}."] if shared else []
    notes.append(f"Sources: {'; '.join(dict.fromkeys(row.source for row in rows))}.")
    notes.append(f"How sure: {kinds}. ± is the standard deviation over bootstrap resamples.")
    columns = [
        *(_REFERENCE_COLUMNS[place] for place in kept),
        *(metric_title(metric) for metric in metrics),
    ]
    return ScoreTable(
        f"{first.work}, {first.year}: {first.evaluated_on}, {where}",
        columns,
        body,
        notes,
        len(kept),
    )


def _published(row: Published) -> str:
    """A number with as many digits as the work gives, and its standard deviation."""
    digits = 4 if row.tolerance < 0.0005 or row.certainty == "measured" else 3
    return f"{row.value:.{digits}f}" + (f" ± {row.sd:.4f}" if row.sd is not None else "")
