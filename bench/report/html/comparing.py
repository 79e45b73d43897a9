"""Paired comparisons of every stratum and ranks over data sets, as `bench compare` makes them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from bench.core.errors import InputError
from bench.core.table import Table
from bench.report.compare import compare
from bench.report.compare_tables import ranks_tables
from bench.report.comparison import Comparison, Entry, Pair
from bench.report.html.strata import Configuration, Stratum
from bench.report.pairs import among_all
from bench.statistics.ranks import friedman

METRICS = ("map_macro", "roc_auc_macro")
"""Metrics that are compared."""
ALPHA = 0.05
"""Level of the tests, after Holm's adjustment."""
_WORK = 1e10
"""The most tracks times permutations times pairs of a report; some 20 s on one core."""
_FEWEST = 1000  # permutations of a test


@dataclass(frozen=True)
class Compared:
    """The pairs of one stratum for one metric; Holm's adjustment is over these.

    Attributes:
        stratum: the stratum.
        metric: name of the metric.
        pairs: every pair of configurations that could be compared.
        notes: what a reader must know, and pairs that could not be compared, with the reason.
        found: the comparison as `bench compare` makes it, with the sources of variance; None
            without a pair.
    """

    stratum: Stratum
    metric: str
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]
    found: Comparison | None

    def between(self, first: str, second: str) -> tuple[Pair, float] | None:
        """The pair of two configurations, in either order.

        Returns:
            (pair, 1 or -1: the sign that makes its difference first minus second); None where they
            were not compared.
        """
        for pair in self.pairs:
            if (pair.first, pair.second) == (first, second):
                return pair, 1.0
            if (pair.first, pair.second) == (second, first):
                return pair, -1.0
        return None


def permutations_for(strata: Sequence[Stratum], most: int) -> int:
    """How many permutations each test gets: `most`, or fewer where there are very many pairs.

    It depends on the results alone and not on the time taken, so that a report of the same results
    is the same.
    """
    work = sum(
        len(stratum.rows)
        * (len(stratum.rows) - 1)
        / 2
        * int(stratum.rows[0].runs[0].result.data["test_tracks"])
        for stratum in strata
    )
    return int(min(most, max(_FEWEST, _WORK / max(1.0, work * len(METRICS)))))


def compare_stratum(stratum: Stratum, metric: str, permutations: int) -> Compared:
    """Compares every pair of configurations of a stratum.

    A pair that cannot be compared is named in the notes, and does not keep others from being
    compared.
    """
    entries = [_entry(row) for row in stratum.rows if metric in row.scores]
    if len(entries) < 2:
        return Compared(stratum, metric, (), (), None)
    try:
        found = compare(entries, metric, ALPHA, permutations)
    except InputError:
        return _one_by_one(stratum, entries, metric, permutations)
    return Compared(stratum, metric, tuple(found.pairs), tuple(found.notes), found)


def _entry(row: Configuration) -> Entry:
    return Entry(
        row.name, tuple(run.result for run in row.runs), tuple(run.path for run in row.runs)
    )


def _one_by_one(
    stratum: Stratum, entries: Sequence[Entry], metric: str, permutations: int
) -> Compared:
    """Compares each pair on its own, where not all can be compared with each other."""
    comparisons, notes = [], []
    for first, second in combinations(entries, 2):
        try:
            comparisons.append(compare([first, second], metric, ALPHA, permutations))
        except InputError as error:
            notes.append(f"{first.name} and {second.name} are not compared: {error}")
    if not comparisons:
        return Compared(stratum, metric, (), tuple(notes), None)
    pairs = among_all([pair for comparison in comparisons for pair in comparison.pairs], ALPHA)
    scores = {key: value for comparison in comparisons for key, value in comparison.scores.items()}
    notes += [note for comparison in comparisons for note in comparison.notes if note not in notes]
    return Compared(
        stratum, metric, tuple(pairs), tuple(notes), Comparison(metric, pairs, scores, {}, notes)
    )


def ranks(strata: Sequence[Stratum], metric: str) -> list[tuple[Stratum, Table]]:
    """Average ranks over data sets, one table for each fraction, kind of labels and probe.

    There is none where fewer than two data sets share two configurations. Splits of one data set
    are not independent: the one with most configurations stands for it.

    Args:
        strata: every stratum.
        metric: name of the metric.

    Returns:
        (a stratum that says fraction, labels and probe, the table).
    """
    by_kind: dict[tuple[float, str, str], dict[str, Stratum]] = {}
    for stratum in strata:
        chosen = by_kind.setdefault((stratum.fraction, stratum.labels, stratum.probe), {})
        known = chosen.get(stratum.arena.dataset)
        if known is None or len(stratum.rows) > len(known.rows):
            chosen[stratum.arena.dataset] = stratum
    tables = []
    for chosen in by_kind.values():
        table = _ranks_table(list(chosen.values()), metric)
        if table is not None:
            tables.append((next(iter(chosen.values())), table))
    return tables


def _ranks_table(strata: Sequence[Stratum], metric: str) -> Table | None:
    """Average ranks over strata of one kind, one for each data set; None with too little in common.

    Args:
        strata: strata of one fraction, kind of labels and probe, of different data sets.
        metric: name of the metric.
    """
    scored = {
        stratum.arena.title: {row.key: row for row in stratum.rows if metric in row.scores}
        for stratum in strata
    }
    first = next(iter(scored.values()))
    shared = [key for key in first if all(key in rows for rows in scored.values())]
    if len(scored) < 2 or len(shared) < 2:
        return None
    names = [first[key].name for key in shared]
    means = np.array(
        [[rows[key].scores[metric].value for key in shared] for rows in scored.values()]
    )
    test = friedman(means, alpha=ALPHA)
    ranked = {(strata[0].fraction, strata[0].probe): (list(scored), names, test)}
    (table,) = ranks_tables(Comparison(metric, [], {}, ranked, []))
    others = max(len(rows) for rows in scored.values()) - len(shared)
    left_out = f"{others} configurations that some of the data sets lack are left out"
    notes = [*table.notes, f"labels {strata[0].labels}", *([left_out] if others else [])]
    return replace(table, notes=notes)
