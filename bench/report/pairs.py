"""The comparison of two entries in one stratum: difference, tests and sources of variance."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bench.core.errors import InputError, unknown
from bench.report.comparable import differing, further_differences
from bench.report.comparison import Pair, Stratum
from bench.report.groups import Slot
from bench.report.summary import Cell, difference
from bench.statistics.detectable import smallest_detectable
from bench.statistics.grid import balanced_grid
from bench.statistics.multiple import holm
from bench.statistics.paired import Paired
from bench.statistics.permutation import permutation_p
from bench.statistics.variance import VarianceComponents, variance_components


def pairs_of(
    stratum: Stratum, first: str, second: str, cells: dict[str, dict[Slot, Cell]], metric: str,
    permutations: int, notes: list[str],
) -> list[Pair]:  # fmt: skip
    """The pair of two entries in a stratum, not adjusted yet; an empty list where no cells match.

    Args:
        stratum: where they are compared.
        first: name of the first entry.
        second: name of the second entry.
        cells: name -> slot -> cell.
        metric: name of the metric.
        permutations: number of permutations of the test.
        notes: gets a line for what a reader must know.

    Raises:
        InputError: matched cells differ in more than the method, or lack the metric.
    """
    mine, theirs = cells[first], cells[second]
    shared = [slot for slot in mine if slot in theirs]
    where = f"{stratum.dataset} at fraction {stratum.fraction:g}"
    if not shared:
        notes.append(f"{first} and {second} share no draw and seeds on {where}")
        return []
    if len(shared) < max(len(mine), len(theirs)):
        notes.append(
            f"{first} and {second} on {where}: {len(shared)} of {len(mine)} and {len(theirs)} "
            "cells match"
        )
    firsts, seconds = [mine[slot] for slot in shared], [theirs[slot] for slot in shared]
    for cell, other in zip(firsts, seconds, strict=True):
        _require_comparable(first, second, cell, other)
        _require_metric(metric, cell, other)
    further = further_differences(firsts[0].result, seconds[0].result)
    note = f"{first} and {second} differ in {', '.join(further)} as well"
    if further and note not in notes:
        notes.append(note)
    found = difference(firsts, seconds, metric)
    variance = components_of(dict(zip(shared, firsts, strict=True)), metric, less=seconds)
    p_value = _p_value(firsts, seconds, metric, found, permutations)
    return [Pair(stratum, first, second, len(shared), found, p_value, np.nan, np.nan, variance)]


def _require_comparable(first: str, second: str, cell: Cell, other: Cell) -> None:
    """Refuses matched cells of other data, labels or scoring; probes may be what is compared."""
    wrong = [line for line in differing(cell.result, other.result) if not line.startswith("probe:")]
    labelled = [each.result.probe["subset"] for each in (cell, other)]
    if labelled[0] != labelled[1]:
        wrong.append(f"labelled tracks (hash): {' against '.join(labelled)}")
    if wrong:
        raise InputError(
            f"{first} and {second} cannot be compared: they differ in {'; '.join(wrong)}"
        )


def _require_metric(metric: str, *cells: Cell) -> None:
    for cell in cells:
        if metric not in cell.result.metrics:
            raise unknown("metric", metric, list(cell.result.metrics))


def _p_value(
    first: Sequence[Cell], second: Sequence[Cell], metric: str, found: Paired, permutations: int
) -> float:
    """Two-sided p-value of the sign-flip permutation test of the test tracks.

    That of the bootstrap for a metric without influence values.
    """
    if metric not in first[0].values.influence:
        return found.p_value
    influence = np.mean(
        [
            mine.values.influence[metric] - theirs.values.influence[metric]
            for mine, theirs in zip(first, second, strict=True)
        ],
        axis=0,
    )
    by_group = first[0].result.spec.score.by == "group"
    groups = first[0].values.groups if by_group else None
    # A track's part in the difference: an equal share of the whole, and what its own weight adds.
    return permutation_p(found.difference / len(influence) + influence, permutations, groups=groups)


def among_all(pairs: Sequence[Pair], alpha: float) -> list[Pair]:
    """Fills in what depends on the number of pairs.

    That is Holm's adjustment over all of them, and the smallest difference that each could have
    shown at the level `alpha` among so many.
    """
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


def components_of(
    cells: dict[Slot, Cell], metric: str, less: Sequence[Cell] | None = None
) -> VarianceComponents:
    """Sources of variance of an entry's score, or of its difference to another's.

    Args:
        cells: the entry's cells.
        metric: name of the metric.
        less: the matched cells of another entry, in the same order; their scores are subtracted.
    """
    values = [cell.result.metrics[metric].value for cell in cells.values()]
    resampled = [cell.values.resampled[metric] for cell in cells.values()]
    if less is not None:
        values = [
            value - cell.result.metrics[metric].value
            for value, cell in zip(values, less, strict=True)
        ]
        others = [cell.values.resampled[metric] for cell in less]
        shared = min(len(column) for column in (*resampled, *others))
        resampled = [
            mine[:shared] - theirs[:shared] for mine, theirs in zip(resampled, others, strict=True)
        ]
    shared = min(len(column) for column in resampled)
    # A labelled subset is one level of the factor "label draw", be it drawn or imported.
    draws = {draw: number for number, draw in enumerate(sorted({slot[:2] for slot in cells}))}
    grid = balanced_grid(
        [
            (slot[2], draws[slot[:2]], slot[3], value, column[:shared])
            for slot, value, column in zip(cells, values, resampled, strict=True)
        ]
    )
    confidence = next(iter(cells.values())).result.spec.score.confidence
    known = grid.resampled is not None and (~np.isnan(grid.resampled).any(axis=(0, 1, 2))).sum() > 1
    return variance_components(
        grid.scores,
        grid.resampled,
        confidence=confidence,
        # The bias of resampling is common to both sides of a difference, where it cancels.
        correct_bias=bool(known) and less is None,
    )
