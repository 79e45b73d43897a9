"""`bench compare`: chooses stored cells and compares every pair of entries, stratum by stratum."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from bench.core.errors import InputError, unknown
from bench.report.comparable import FACETS, ambiguous, facet, why_not
from bench.report.comparison import Comparison, Entry, Pair, Stratum, stratum_of
from bench.report.groups import Slot, slot_of
from bench.report.pairs import among_all, components_of, pairs_of
from bench.report.summary import Cell
from bench.results import (
    Result,
    Values,
    dataset_name,
    path_of,
    preferred,
    read,
    read_all,
    read_values,
)
from bench.statistics.ranks import Friedman, friedman

Strata = dict[Stratum, dict[str, dict[Slot, Cell]]]
"""Stratum -> name of the entry -> slot -> cell."""


def select(
    names: Sequence[str], folder: Path, dataset: str | None, fractions: Sequence[float]
) -> tuple[list[Entry], list[str]]:
    """Finds the stored cells of each entry.

    Args:
        names: methods, each optionally with `,key=value`; or paths of results.
        folder: the results folder.
        dataset: name of a data set; None for all.
        fractions: fractions of the labels; empty for all.

    Returns:
        (entries, a line for every file that could not be read).

    Raises:
        InputError: no such method or cell, or fewer than two entries.
    """
    if len(set(names)) < 2:
        raise InputError(
            "give two or more methods or result files to compare, such as: "
            "bench compare simclr vicreg"
        )
    stored, notes = read_all(folder)
    dataset = dataset_name(dataset) if dataset else None
    entries = []
    for name in dict.fromkeys(names):
        if name.endswith(".json"):
            path = Path(name)
            if not path.is_file():
                raise InputError(f"no such result file: {name}")
            entries.append(Entry(name, (read(path),), (path,)))
            continue
        cells = [
            cell
            for cell in _matching(name, stored, folder)
            if dataset in (None, cell.dataset)
            and (not fractions or cell.spec.fraction in fractions)
        ]
        if not cells:
            raise InputError(_no_cell(name, folder, dataset, fractions))
        entries.append(Entry(name, tuple(cells), tuple(path_of(folder, cell) for cell in cells)))
    return entries, [f"left out: {note}" for note in notes]


def _matching(name: str, stored: list[Result], folder: Path) -> list[Result]:
    """The stored cells of a method, with the facets that its entry asks for."""
    method, *conditions = name.split(",")
    known = sorted({result.spec.method.name for result in stored})
    if not known:
        raise InputError(
            f"no results in {folder}: `bench run` computes them, --results names another folder"
        )
    if method not in known:
        raise unknown(f"method among the results in {folder}", method, known)
    matching = [result for result in stored if result.spec.method.name == method]
    for condition in conditions:
        key, equals, value = condition.partition("=")
        if not equals or key not in FACETS:
            raise InputError(
                f"'{name}': behind a method give key=value with a key of {', '.join(FACETS)}"
            )
        matching = [result for result in matching if facet(result, key) == value]
    return matching


def _no_cell(name: str, folder: Path, dataset: str | None, fractions: Sequence[float]) -> str:
    where = f" on {dataset}" if dataset else ""
    listed = ", ".join(f"{fraction:g}" for fraction in fractions)
    share = f" at fraction {listed}" if fractions else ""
    return f"no stored cell of {name}{where}{share} in {folder}: `bench run` computes it"


def compare(
    entries: Sequence[Entry], metric: str, alpha: float = 0.05, permutations: int = 10_000,
    known: Mapping[str, Values] | None = None,
) -> Comparison:  # fmt: skip
    """Compares every pair of entries in every stratum that both have cells in.

    Args:
        entries: two or more.
        metric: name of the metric, such as "map_macro".
        alpha: level of the critical difference of ranks, and of the smallest detectable difference.
        permutations: number of permutations of each test.
        known: cell -> its arrays, where they have been read before.

    Raises:
        InputError: two entries share no stratum (the message says in what they differ), an entry
            has several cells in one slot, or the metric is not there.
    """
    notes: list[str] = []
    strata = _by_stratum(entries, known or {}, notes)
    pairs: list[Pair] = []
    for first, second in combinations(entries, 2):
        shared = [
            stratum for stratum, sides in strata.items() if {first.name, second.name} <= set(sides)
        ]
        if not shared:
            raise InputError(why_not(first, second))
        for stratum in shared:
            pairs += pairs_of(
                stratum, first.name, second.name, strata[stratum], metric, permutations, notes
            )
    if not pairs:
        raise InputError("; ".join(notes) or "nothing to compare")
    pairs = among_all(pairs, alpha)
    compared = {pair.stratum for pair in pairs}
    scores = {
        (stratum, name): components_of(cells, metric)
        for stratum, sides in strata.items()
        for name, cells in sides.items()
        if stratum in compared
    }
    return Comparison(metric, pairs, scores, _ranks(entries, strata, metric, alpha), notes)


def _by_stratum(entries: Sequence[Entry], known: Mapping[str, Values], notes: list[str]) -> Strata:
    """The cells of all entries with their arrays, by stratum, entry and slot."""
    # Two probes are compared with each other only where that is asked for.
    by_probe = not any("probe=" in entry.name or entry.name.endswith(".json") for entry in entries)
    strata: Strata = {}
    for entry in entries:
        for result, path in _preferred(entry, notes):
            sides = strata.setdefault(stratum_of(result, by_probe=by_probe), {})
            cells = sides.setdefault(entry.name, {})
            slot = slot_of(result)
            if slot in cells:
                raise InputError(ambiguous(entry.name, cells[slot].result, result))
            cells[slot] = Cell(result, known.get(result.cell) or read_values(path))
    return strata


def _preferred(entry: Entry, notes: list[str]) -> list[tuple[Result, Path]]:
    """The results of an entry with their paths, one scoring for each cell."""
    kept = preferred(entry.cells)
    unused = len(entry.cells) - len(kept)
    if unused:
        notes.append(f"{entry.name}: {unused} other scorings of the same cells are not used")
    paths = {result.cell: path for result, path in zip(entry.cells, entry.paths, strict=True)}
    return [(result, paths[result.cell]) for result in kept]


def _ranks(
    entries: Sequence[Entry], strata: Strata, metric: str, alpha: float
) -> dict[tuple[float, str], tuple[list[str], list[str], Friedman]]:
    """Ranks over the data sets on which every entry has a score, by fraction and probe.

    Fractions and probes with fewer than two such data sets are left out.
    """
    names = [entry.name for entry in entries]
    scores: dict[tuple[float, str], dict[str, list[float]]] = {}
    for stratum, sides in strata.items():
        if set(names) <= set(sides):
            means = [
                float(np.mean([cell.result.metrics[metric].value for cell in sides[name].values()]))
                for name in names
            ]
            rows = scores.setdefault((stratum.fraction, stratum.probe), {})
            rows[f"{stratum.dataset} ({stratum.split})"] = means
    return {
        key: (list(rows), names, friedman(np.array(list(rows.values())), alpha=alpha))
        for key, rows in scores.items()
        if len(rows) > 1
    }
