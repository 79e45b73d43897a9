"""The paired comparisons of every stratum, and ranks over data sets, by the functions of `bench compare`."""

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
ALPHA = 0.05
_WORK = 1e10
"""Tracks times permutations times pairs that a report may take; some 20 s on one core."""
_FEWEST = 1000


@dataclass(frozen=True)
class Compared:
    """The pairs of one stratum for one metric; Holm's adjustment is over these.

    Attributes:
        stratum: what is compared.
        metric: of what.
        pairs: every pair that could be compared.
        notes: what a reader must know, and pairs that could not be compared with the reason.
        found: as `bench compare` would have it, with the sources of variance; None without a pair.
    """

    stratum: Stratum
    metric: str
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]
    found: Comparison | None

    def between(self, first: str, second: str) -> tuple[Pair, float] | None:
        """The pair of two names in either order, and the sign that turns its difference to first minus second."""
        for pair in self.pairs:
            if (pair.first, pair.second) == (first, second):
                return pair, 1.0
            if (pair.first, pair.second) == (second, first):
                return pair, -1.0
        return None


def permutations_for(strata: Sequence[Stratum], most: int) -> int:
    """How many permutations each test gets: as many as asked for, fewer where there are very many pairs.

    A function of the results alone, so that a report of the same results is the same.
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
    """Compares every pair of configurations.

    What cannot be compared is said, and does not keep the others from it.
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
    """Average ranks over data sets, one table a fraction, kind of labels and probe that two data sets or more have.

    Each with one of its strata, which says these.

    Splits of one data set are not independent: the one with most configurations stands for it.
    """
    by_place: dict[tuple[float, str, str], dict[str, Stratum]] = {}
    for stratum in strata:
        chosen = by_place.setdefault((stratum.fraction, stratum.labels, stratum.probe), {})
        known = chosen.get(stratum.arena.dataset)
        if known is None or len(stratum.rows) > len(known.rows):
            chosen[stratum.arena.dataset] = stratum
    tables = []
    for (fraction, labels, probe), chosen in by_place.items():
        scored = {
            stratum.arena.title: {row.key: row for row in stratum.rows if metric in row.scores}
            for stratum in chosen.values()
        }
        shared = [
            key
            for key in next(iter(scored.values()))
            if all(key in rows for rows in scored.values())
        ]
        if len(scored) < 2 or len(shared) < 2:
            continue
        names = [next(iter(scored.values()))[key].name for key in shared]
        means = np.array(
            [[rows[key].scores[metric].value for key in shared] for rows in scored.values()]
        )
        test = friedman(means, alpha=ALPHA)
        made = Comparison(metric, [], {}, {(fraction, probe): (list(scored), names, test)}, [])
        for table in ranks_tables(made):
            others = max(len(rows) for rows in scored.values()) - len(shared)
            left = (
                [f"{others} configurations that some of the data sets lack are left out"]
                if others
                else []
            )
            notes = [*table.notes, f"labels {labels}", *left]
            tables.append((next(iter(chosen.values())), replace(table, notes=notes)))
    return tables
