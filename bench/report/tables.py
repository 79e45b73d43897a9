"""Tables of scores with intervals and protocol; never of mixed splits.

`bench.report.table_formats` writes them. There is one table a data set, split and protocol. In each
column the best of every share of the labels is marked, and what the paired test of `bench compare`
cannot tell from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.core.errors import InputError, unknown
from bench.report.captions import left_out, protocol
from bench.report.compare import Entry, compare
from bench.report.names import METRICS, metric_title, ordered, percent
from bench.report.reference import MEANING, Published
from bench.report.stock import Setting, Stock, fits, place_names, places, series
from bench.results import Result, path_of
from bench.statistics.multiple import holm

ALPHA = 0.05
"""Level of the test for ties, after Holm over what is compared with the best."""
PERMUTATIONS = 2000
"""Of the test for ties; the smallest p is 1 in 2001."""


@dataclass(frozen=True)
class Number:
    """A score in a table.

    Attributes:
        value: the score; None where there is none.
        low: lower end of its interval; NaN for none.
        high: upper end.
        rank: "best", "tie" (not told from the best) or "".
        p_value: of the difference to the best, after Holm; NaN for the best, and where nothing was
            tested.
    """

    value: float | None
    low: float = float("nan")
    high: float = float("nan")
    rank: str = ""
    p_value: float = float("nan")

    @property
    def text(self) -> str:
        """With its interval."""
        if self.value is None:
            return "-"
        text = f"{self.value:.3f}"
        return text if np.isnan(self.low) else f"{text} [{self.low:.3f}, {self.high:.3f}]"


@dataclass
class ScoreTable:
    """A table of texts and scores.

    Attributes:
        title: what all its rows share.
        columns: headings.
        rows: texts and numbers.
        notes: protocol, tests, what is left out.
        words: how many of the first columns are texts.
    """

    title: str
    columns: list[str]
    rows: list[list[str | Number]]
    notes: list[str] = field(default_factory=list)
    words: int = 1


def score_tables(stock: Stock, metrics: Sequence[str] | None = None) -> list[ScoreTable]:
    """A table for each data set, split and protocol of the stored cells.

    Args:
        stock: the cells.
        metrics: columns; macro mAP and ROC-AUC, and for classes accuracy and F1, where None.

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
            f"no results in {stock.folder}{reason}: `bench run` computes them, --results names another"
        )
    known = sorted({metric for result in stock.results for metric in result.metrics})
    for metric in metrics or ():
        if metric not in known:
            raise unknown("metric", metric, known)
    tables = []
    for setting in stock.settings:
        found = places(result for result in stock.results if fits(result, setting))
        names = place_names(stock.places)
        tables += [
            _table(stock, names[place], setting, own, metrics) for place, own in found.items()
        ]
    tables[-1].notes += left_out(stock)
    return tables


def _table(
    stock: Stock, where: str, setting: Setting, own: Sequence[Result], metrics: Sequence[str] | None
) -> ScoreTable:
    named = list(metrics or [name for name in METRICS if "micro" not in name])
    shown = [metric for metric in named if any(metric in result.metrics for result in own)]
    by_series = series(own)
    fractions = sorted({fraction for row in by_series.values() for fraction in row})
    rows: list[list[str | Number]] = []
    notes: list[str] = []
    for fraction in fractions:
        at = {
            name: by_series[name][fraction]
            for name in ordered(list(by_series))
            if fraction in by_series[name]
        }
        absent = [name for name in by_series if name not in at]
        numbers = {metric: _numbers(stock, at, metric, notes) for metric in shown}
        for name, cells in at.items():
            draws, seeds = (
                {getattr(cell.spec, what) for cell in cells} for what in ("draw", "seed")
            )
            row: list[str | Number] = [name, _fraction(fraction), str(len(draws)), str(len(seeds))]
            rows.append([*row, *(numbers[metric][name] for metric in shown)])
        rows += [
            [name, _fraction(fraction), "0", "0", *(Number(None) for _ in shown)]
            for name in ordered(absent)
        ]
    notes = [*protocol(own), _TEST_WORDS, *dict.fromkeys(notes)]
    columns = ["method", "labels", "draws", "seeds", *(metric_title(metric) for metric in shown)]
    return ScoreTable(f"{where}: {setting.words}", columns, rows, notes, words=1)


_TEST_WORDS = (
    "Scores are means over draws and seeds, with their interval over the choice of test tracks. At each share of the "
    "labels the best is marked (bold; * in the terminal), and what is not told from it (underlined; ~): sign-flip "
    f"permutation test of the test tracks on matched cells, {PERMUTATIONS} permutations, p of {ALPHA:g} or more after "
    "Holm over all that is compared with the best. Seeds of pretraining are no part of this test."
)


def _fraction(fraction: float) -> str:
    return percent(fraction) if fraction <= 1 else f"{fraction:g} tracks"


def _numbers(
    stock: Stock, at: dict[str, list[Result]], metric: str, notes: list[str]
) -> dict[str, Number]:
    """The scores of one column at one share of the labels, ranked."""
    scores = {name: stock.score(cells, metric) for name, cells in at.items()}
    known = {name: score for name, score in scores.items() if score is not None}
    if not known:
        return {name: Number(None) for name in at}
    best = max(known, key=lambda name: known[name].value)
    others = [name for name in known if name != best]
    tested = {
        name: _p_value(stock, at[best], at[name], best, name, metric, notes) for name in others
    }
    certain = [name for name in others if not np.isnan(tested[name])]
    adjusted = (
        dict(zip(certain, holm(np.array([tested[name] for name in certain])), strict=True))
        if certain
        else {}
    )
    found = {}
    for name, score in scores.items():
        if score is None:
            found[name] = Number(None)
            continue
        p_value = float(adjusted.get(name, np.nan))
        rank = "best" if name == best else "tie" if p_value >= ALPHA else ""
        found[name] = Number(score.value, score.low, score.high, rank if others else "", p_value)
    return found


def _p_value(
    stock: Stock, best: Sequence[Result], other: Sequence[Result], first: str, second: str,
    metric: str, notes: list[str],
) -> float:  # fmt: skip
    """Of the difference to the best; NaN, with a note, where the two cannot be compared."""
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
    """Published numbers, one table a paper and test set.

    What all rows of a table share stands below it.
    """
    groups: dict[tuple[str, str, str], list[Published]] = {}
    for row in rows:
        groups.setdefault((row.paper, row.evaluated_on, row.split), []).append(row)
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
    # As many digits as the work gives.
    digits = 4 if row.tolerance < 0.0005 or row.certainty == "measured" else 3
    return f"{row.value:.{digits}f}" + (f" ± {row.sd:.4f}" if row.sd is not None else "")
