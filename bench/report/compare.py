"""Comparisons of methods from stored results alone: paired tests, ranks over data sets, sources of variance.

Cells are compared within a stratum: one data set and split, one fraction, labelled subsets of one
kind, one kind of probe and one convention of scoring. In a stratum two methods are matched by draw
and seeds, and differ in nothing but what was asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.errors import InputError, unknown
from bench.report.summary import Cell, difference
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
from bench.statistics.detectable import smallest_detectable
from bench.statistics.grid import balanced_grid
from bench.statistics.multiple import holm
from bench.statistics.paired import Paired
from bench.statistics.permutation import permutation_p
from bench.statistics.ranks import Friedman, friedman
from bench.statistics.variance import VarianceComponents, variance_components

_KEYS = ("encoder", "recipe", "pretrain_dataset", "probe", "seed")
"""What may stand behind a method's name, as in `simclr,probe=mlp`."""

Place = tuple[str, int, int, int]
"""Where a cell stands in its stratum: hash of the imported subset, draw, pretraining seed, probe
seed.
"""


@dataclass(frozen=True)
class Entry:
    """One side of the comparison.

    Attributes:
        name: as it was given.
        cells: its stored results.
        paths: where each of them lies.
    """

    name: str
    cells: tuple[Result, ...]
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class Stratum:
    """Where cells can be compared; printed as it stands in tables.

    Attributes:
        dataset: name of the data set.
        split: its split.
        tracks: hash of its tracks, splits and tags.
        fraction: of the labels.
        labels: how the labelled tracks were drawn.
        probe: kind of the probe; empty where probes are what is compared.
    """

    dataset: str
    split: str
    tracks: str
    fraction: float
    labels: str
    probe: str


@dataclass(frozen=True)
class Pair:
    """Two entries in one stratum.

    Attributes:
        stratum: where.
        first: name of the first.
        second: name of the second.
        cells: matched cells.
        found: difference, interval and standard error over the choice of test tracks.
        p_value: of the permutation test.
        adjusted: after Holm, over all pairs of the comparison.
        detectable: smallest difference that these test tracks would show with a power of 80 %.
        variance: sources of variance of the differences.
    """

    stratum: Stratum
    first: str
    second: str
    cells: int
    found: Paired
    p_value: float
    adjusted: float
    detectable: float
    variance: VarianceComponents


@dataclass(frozen=True)
class Comparison:
    """All that `bench compare` says.

    Attributes:
        metric: what is compared.
        pairs: every pair of entries in every stratum that both have.
        scores: sources of variance of each entry's own score, by stratum and entry.
        ranks: over data sets, by (fraction, probe): data sets, entries and the test; where there
            are two or more.
        notes: what was left out, and why.
    """

    metric: str
    pairs: list[Pair]
    scores: dict[tuple[Stratum, str], VarianceComponents]
    ranks: dict[tuple[float, str], tuple[list[str], list[str], Friedman]]
    notes: list[str]


def select(
    names: Sequence[str], folder: Path, dataset: str | None, fractions: Sequence[float]
) -> tuple[list[Entry], list[str]]:
    """The stored cells of each entry, and a line for every file that could not be read.

    Args:
        names: methods, each optionally with `,key=value`; or paths of results.
        folder: results folder.
        dataset: name of a data set; all where None.
        fractions: all where empty.

    Raises:
        InputError: no such method or cell, or fewer than two entries.
    """
    if len(set(names)) < 2:
        raise InputError(
            "give two or more methods or result files to compare, such as: bench compare simclr vicreg"
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
        else:
            cells = _matching(name, stored, folder)
            cells = [cell for cell in cells if dataset in (None, cell.dataset)]
            cells = [cell for cell in cells if not fractions or cell.spec.fraction in fractions]
            if not cells:
                where = f" on {dataset}" if dataset else ""
                share = (
                    f" at fraction {', '.join(f'{one:g}' for one in fractions)}"
                    if fractions
                    else ""
                )
                raise InputError(
                    f"no stored cell of {name}{where}{share} in {folder}: `bench run` computes it"
                )
            entries.append(
                Entry(name, tuple(cells), tuple(path_of(folder, cell) for cell in cells))
            )
    return entries, [f"left out: {note}" for note in notes]


def _matching(name: str, stored: list[Result], folder: Path) -> list[Result]:
    method, *conditions = name.split(",")
    known = sorted({result.spec.method.name for result in stored})
    if not known:
        raise InputError(
            f"no results in {folder}: `bench run` computes them, --results names another folder"
        )
    if method not in known:
        raise unknown(f"method among the results in {folder}", method, known)
    found = [result for result in stored if result.spec.method.name == method]
    for condition in conditions:
        key, equals, value = condition.partition("=")
        if not equals or key not in _KEYS:
            raise InputError(
                f"'{name}': behind a method give key=value with a key of {', '.join(_KEYS)}"
            )
        found = [result for result in found if _facet(result, key) == value]
    return found


def _facet(result: Result, key: str) -> str:
    spec = result.spec
    facets = {
        "encoder": spec.encoder.name,
        "recipe": spec.recipe,
        "pretrain_dataset": spec.pretrain_dataset.name,
        "probe": spec.probe.kind,
        "seed": str(spec.seed),
    }
    return facets[key]


def compare(
    entries: Sequence[Entry], metric: str, alpha: float = 0.05, permutations: int = 10_000,
    known: Mapping[str, Values] | None = None,
) -> Comparison:  # fmt: skip
    """Compares every pair of entries in every stratum that both have cells in.

    Args:
        entries: two or more.
        metric: such as "map_macro".
        alpha: level of the critical difference, and of the smallest difference that could be
            detected.
        permutations: of each permutation test.
        known: cell -> its arrays, where they have been read before.

    Raises:
        InputError: two entries that share no stratum (says which field differs), more than one cell
            of a kind, or a metric that is not there.
    """
    notes: list[str] = []
    strata: dict[Stratum, dict[str, dict[Place, Cell]]] = {}
    # Two probes are compared with each other only where that is asked for.
    by_probe = not any("probe=" in entry.name or entry.name.endswith(".json") for entry in entries)
    for entry in entries:
        for result, path in _latest(entry, notes):
            place = (
                result.spec.labels.subset,
                result.spec.draw,
                result.spec.seed,
                result.spec.probe_seed,
            )
            stratum = _stratum(result, by_probe)
            cells = strata.setdefault(stratum, {}).setdefault(entry.name, {})
            if place in cells:
                raise InputError(_ambiguous(entry.name, cells[place].result, result))
            cells[place] = Cell(result, (known or {}).get(result.cell) or read_values(path))
    pairs: list[Pair] = []
    for first, second in ((a, b) for index, a in enumerate(entries) for b in entries[index + 1 :]):
        shared = [
            stratum for stratum, found in strata.items() if {first.name, second.name} <= set(found)
        ]
        if not shared:
            raise InputError(_why_not(first, second))
        for stratum in shared:
            pairs += _pair(
                stratum, first.name, second.name, strata[stratum], metric, permutations, notes
            )
    if not pairs:
        raise InputError("; ".join(notes) or "nothing to compare")
    pairs = among_all(pairs, alpha)
    scores = {
        (stratum, name): _variance(list(cells.items()), metric)
        for stratum, found in strata.items()
        for name, cells in found.items()
        if any(stratum == pair.stratum for pair in pairs)
    }
    return Comparison(metric, pairs, scores, _ranks(entries, strata, metric, alpha), notes)


def _latest(entry: Entry, notes: list[str]) -> list[tuple[Result, Path]]:
    """One result a cell, and its path."""
    kept = preferred(entry.cells)
    if len(kept) < len(entry.cells):
        notes.append(
            f"{entry.name}: {len(entry.cells) - len(kept)} other scorings of the same cells are not used"
        )
    paths = {result.cell: path for result, path in zip(entry.cells, entry.paths, strict=True)}
    return [(result, paths[result.cell]) for result in kept]


def _stratum(result: Result, by_probe: bool) -> Stratum:
    spec = result.spec
    labels = "imported" if spec.labels.subset else result.protocol["labels"]
    probe = spec.probe.kind if by_probe else ""
    return Stratum(
        result.dataset,
        result.data["split"],
        result.data["tracks_hash"],
        spec.fraction,
        labels,
        probe,
    )


def _fields(result: Result) -> dict[str, Any]:
    """What must be the same in two cells that are compared, in the order in which a difference is named."""
    return {
        "data set": result.dataset,
        "split": result.data["split"],
        "kind of labels": result.data["kind"],
        "tag set": tuple(result.data["tags"]),
        "track set (test tracks)": result.counts["test_tracks"],
        "track set (hash of tracks, splits and tags)": result.data["tracks_hash"],
        "score.by": result.spec.score.by,
        "score.seed": result.spec.score.seed,
        "convention": result.convention,
        "fraction": result.spec.fraction,
        "labelled subsets": "imported" if result.spec.labels.subset else result.protocol["labels"],
        "probe": result.spec.probe.kind,
    }


def _differing(first: Result, second: Result) -> list[str]:
    """The fields in which two cells cannot be compared, as sentences."""
    lines = []
    for (name, mine), theirs in zip(_fields(first).items(), _fields(second).values(), strict=True):
        if mine == theirs:
            continue
        if name == "tag set":
            only = sorted(set(mine) ^ set(theirs))
            mine, theirs = f"{len(mine)} tags", f"{len(theirs)} tags"
            lines.append(
                f"{name}: {mine} against {theirs}"
                + (f", not in both: {', '.join(only[:3])}" if only else "")
            )
        else:
            lines.append(f"{name}: {mine} against {theirs}")
    return lines


def _why_not(first: Entry, second: Entry) -> str:
    """Why two entries share no stratum: how their nearest cells differ."""
    nearest = min(
        (_differing(mine, theirs) for mine in first.cells for theirs in second.cells),
        key=lambda lines: (len(lines), lines),
    )
    return f"{first.name} and {second.name} cannot be compared: they differ in {'; '.join(nearest)}"


def _ambiguous(name: str, first: Result, second: Result) -> str:
    facets = [key for key in _KEYS if _facet(first, key) != _facet(second, key)]
    files = f"{first.cell} and {second.cell}"
    if facets:
        options = " or ".join(
            f"'{name},{facets[0]}={_facet(one, facets[0])}'" for one in (first, second)
        )
        return f"{name} has cells that differ in {facets[0]} ({files}): say which, {options}"
    return f"{name} has several cells of the same draw and seeds ({files}) that differ in settings: give result files"


def _pair(
    stratum: Stratum, first: str, second: str, cells: dict[str, dict[Place, Cell]], metric: str,
    permutations: int, notes: list[str],
) -> list[Pair]:  # fmt: skip
    """The comparison of two entries in a stratum; nothing where no cells match."""
    mine, theirs = cells[first], cells[second]
    shared = [place for place in mine if place in theirs]
    where = f"{stratum.dataset} at fraction {stratum.fraction:g}"
    if not shared:
        notes.append(f"{first} and {second} share no draw and seeds on {where}")
        return []
    if len(shared) < max(len(mine), len(theirs)):
        notes.append(
            f"{first} and {second} on {where}: {len(shared)} of {len(mine)} and {len(theirs)} cells match"
        )
    pairs = [(mine[place], theirs[place]) for place in shared]
    for one, other in pairs:
        wrong = [
            line for line in _differing(one.result, other.result) if not line.startswith("probe:")
        ]
        labelled = [cell.result.probe["subset"] for cell in (one, other)]
        wrong += (
            []
            if labelled[0] == labelled[1]
            else [f"labelled tracks (hash): {' against '.join(labelled)}"]
        )
        if wrong:
            raise InputError(
                f"{first} and {second} cannot be compared: they differ in {'; '.join(wrong)}"
            )
        for cell in (one, other):
            if metric not in cell.result.metrics:
                raise unknown("metric", metric, list(cell.result.metrics))
    _note_settings(first, second, pairs[0][0].result, pairs[0][1].result, notes)
    firsts, seconds = [one for one, _ in pairs], [other for _, other in pairs]
    found = difference(firsts, seconds, metric)
    variance = _variance(list(zip(shared, firsts, strict=True)), metric, less=seconds)
    p_value = _permuted(firsts, seconds, metric, found, permutations)
    return [Pair(stratum, first, second, len(shared), found, p_value, np.nan, np.nan, variance)]


def among_all(pairs: Sequence[Pair], alpha: float) -> list[Pair]:
    """Pairs with Holm's adjustment over all of them, and the smallest differences that so many could have shown."""
    adjusted = holm(np.array([pair.p_value for pair in pairs]))
    return [
        replace(
            pair,
            adjusted=float(value),
            detectable=smallest_detectable(
                pair.found.standard_error, alpha=alpha, comparisons=len(pairs)
            ),
        )
        for pair, value in zip(pairs, adjusted, strict=True)
    ]


def _permuted(
    first: Sequence[Cell], second: Sequence[Cell], metric: str, found: Paired, permutations: int
) -> float:
    """Two-sided p-value: of the permutation test, or of the bootstrap for metrics without influence values."""
    if metric not in first[0].values.influence:
        return found.p_value
    influence = np.mean(
        [
            a.values.influence[metric] - b.values.influence[metric]
            for a, b in zip(first, second, strict=True)
        ],
        axis=0,
    )
    by_group = first[0].result.spec.score.by == "group"
    groups = first[0].values.groups if by_group else None
    return permutation_p(found.difference / len(influence) + influence, permutations, groups=groups)


def _note_settings(first: str, second: str, mine: Result, theirs: Result, notes: list[str]) -> None:
    """Says in what else than the method two entries differ."""
    other = [
        key
        for key in ("encoder", "recipe", "pretrain_dataset")
        if _facet(mine, key) != _facet(theirs, key)
    ]
    sections = ("views", "augment", "weights", "scale", "embed", "probe")
    other += [name for name in sections if getattr(mine.spec, name) != getattr(theirs.spec, name)]
    trained = [result for result in (mine, theirs) if result.protocol["steps"]]
    if len({result.protocol["steps"] for result in trained}) > 1:
        other.append("train.steps")
    note = f"{first} and {second} differ in {', '.join(other)} as well"
    if other and note not in notes:
        notes.append(note)


def _variance(
    cells: Sequence[tuple[Place, Cell]], metric: str, less: Sequence[Cell] | None = None
) -> VarianceComponents:
    """Sources of variance of a method's score, or with `less` of its difference to another's matched cells."""
    values = [cell.result.metrics[metric].value for _, cell in cells]
    resampled = [cell.values.resampled[metric] for _, cell in cells]
    if less is not None:
        values = [
            value - cell.result.metrics[metric].value
            for value, cell in zip(values, less, strict=True)
        ]
        others = [cell.values.resampled[metric] for cell in less]
        shared = min(len(column) for column in (*resampled, *others))
        resampled = [
            mine[:shared] - its[:shared] for mine, its in zip(resampled, others, strict=True)
        ]
    shared = min(len(column) for column in resampled)
    draws = {
        place: number for number, place in enumerate(sorted({place[:2] for place, _ in cells}))
    }
    grid = balanced_grid(
        [
            (place[2], draws[place[:2]], place[3], value, column[:shared])
            for (place, _), value, column in zip(cells, values, resampled, strict=True)
        ]
    )
    confidence = cells[0][1].result.spec.score.confidence
    known = grid.resampled is not None and (~np.isnan(grid.resampled).any(axis=(0, 1, 2))).sum() > 1
    return variance_components(
        grid.scores,
        grid.resampled,
        confidence=confidence,
        correct_bias=bool(known) and less is None,
    )


def _ranks(
    entries: Sequence[Entry],
    strata: dict[Stratum, dict[str, dict[Place, Cell]]],
    metric: str,
    alpha: float,
) -> dict[tuple[float, str], tuple[list[str], list[str], Friedman]]:
    """Ranks over the data sets on which every entry has a score, by fraction and probe.

    Two data sets at least.
    """
    names = [entry.name for entry in entries]
    scores: dict[tuple[float, str], dict[str, list[float]]] = {}
    for stratum, found in strata.items():
        if set(names) <= set(found):
            means = [
                float(np.mean([cell.result.metrics[metric].value for cell in found[name].values()]))
                for name in names
            ]
            scores.setdefault((stratum.fraction, stratum.probe), {})[
                f"{stratum.dataset} ({stratum.split})"
            ] = means
    return {
        key: (list(rows), names, friedman(np.array(list(rows.values())), alpha=alpha))
        for key, rows in scores.items()
        if len(rows) > 1
    }
