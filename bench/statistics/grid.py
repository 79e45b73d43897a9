"""The largest balanced grid in a list of cells, for `bench.statistics.variance`."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import InputError

Cell = tuple[int, int, int, float, NDArray[np.float64] | None]
"""Pretraining seed, label draw, probe seed, score, and the score in each resample, (resamples,) or
None.
"""


@dataclass(frozen=True)
class Grid:
    """A balanced grid, ready for `variance_components`.

    Attributes:
        scores: (pretraining seeds, label draws, probe seeds).
        resampled: (pretraining seeds, label draws, probe seeds, resamples); None where a cell has
            none.
        seeds: pretraining seeds, ascending.
        draws: label draws, ascending.
        left_out: (pretraining seed, label draw, probe seed) of the cells that are not in the grid,
            ascending.
        note: one sentence on what was left out; empty where nothing was.
    """

    scores: NDArray[np.float64]
    resampled: NDArray[np.float64] | None
    seeds: tuple[int, ...]
    draws: tuple[int, ...]
    left_out: tuple[tuple[int, int, int], ...]
    note: str


def balanced_grid(cells: Sequence[Cell]) -> Grid:
    """Picks the pretraining seeds and label draws whose pairs all have equally many probe seeds, the most cells.

    Of equally large grids the one wins in which more axes have several levels, so that more sources
    are known. Probe seeds are nested, so those of two pairs need not have the same numbers; the
    lowest of each pair are kept.

    Args:
        cells: in any order, all scored on the same test tracks and resamples.

    Raises:
        InputError: no cell, a cell twice, or cells with different numbers of resamples.
    """
    pairs = _pairs(cells)
    seeds, draws, probes = _largest({pair: len(found) for pair, found in pairs.items()})
    kept = [pairs[seed, draw][:probes] for seed in seeds for draw in draws]
    flat = [cell for pair in kept for cell in pair]
    shape = (len(seeds), len(draws), probes)
    resampled = [cell[4] for cell in flat if cell[4] is not None]
    chosen = {cell[:3] for cell in flat}
    left_out = tuple(sorted(cell[:3] for cell in cells if cell[:3] not in chosen))
    return Grid(
        scores=np.array([cell[3] for cell in flat], dtype=np.float64).reshape(shape),
        resampled=np.stack(resampled).reshape(*shape, -1) if len(resampled) == len(flat) else None,
        seeds=seeds,
        draws=draws,
        left_out=left_out,
        note=_note(shape, len(cells), left_out) if left_out else "",
    )


def _pairs(cells: Sequence[Cell]) -> dict[tuple[int, int], list[Cell]]:
    """The cells of each pretraining seed and label draw, by probe seed."""
    if not cells:
        raise InputError("no cell to take a grid from; give one or more")
    (place, count), *_ = Counter(cell[:3] for cell in cells).most_common(1)
    if count > 1:
        raise InputError(
            f"(pretraining seed, label draw, probe seed) {place} is there {count} times; give it once"
        )
    lengths = {len(cell[4]) for cell in cells if cell[4] is not None}
    if len(lengths) > 1:
        raise InputError(f"cells have {sorted(lengths)} resamples; score all of them with as many")
    pairs: dict[tuple[int, int], list[Cell]] = {}
    for cell in sorted(cells, key=lambda cell: cell[:3]):
        pairs.setdefault(cell[:2], []).append(cell)
    return pairs


def _largest(counts: dict[tuple[int, int], int]) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Pretraining seeds, label draws and probe seeds of the largest grid in (seed, draw) -> number of probe seeds."""
    best: tuple[tuple[int, ...], tuple[int, ...], int] = ((), (), 0)
    for probes in sorted(set(counts.values())):
        draws_of: dict[int, set[int]] = {}
        for (seed, draw), count in sorted(counts.items()):
            if count >= probes:
                draws_of.setdefault(seed, set()).add(draw)
        for draws in sorted(_intersections(draws_of.values()), key=sorted):
            seeds = tuple(seed for seed, found in draws_of.items() if draws <= found)
            best = max(best, (seeds, tuple(sorted(draws)), probes), key=_size)
    return best


def _size(grid: tuple[tuple[int, ...], tuple[int, ...], int]) -> tuple[int, int]:
    """Number of cells, then of axes with more than one level."""
    levels = (len(grid[0]), len(grid[1]), grid[2])
    return levels[0] * levels[1] * levels[2], sum(count > 1 for count in levels)


def _intersections(sets: Iterable[set[int]]) -> set[frozenset[int]]:
    """All intersections of one or more sets but the empty one: nothing else can be the label draws of a largest grid.

    Seeds that miss the same cells give the same set, so that there are few of them in any grid that
    was meant whole.
    """
    found: set[frozenset[int]] = set()
    for one in map(frozenset, sets):
        found |= {one} | {one & other for other in found}
    return found - {frozenset()}


def _note(
    shape: tuple[int, int, int], total: int, left_out: tuple[tuple[int, int, int], ...]
) -> str:
    named = ", ".join(f"({seed}, {draw}, {probe})" for seed, draw, probe in left_out[:5])
    more = f" and {len(left_out) - 5} more" if len(left_out) > 5 else ""
    words = ("pretraining seed", "label draw", "probe seed")
    levels = " x ".join(
        f"{count} {word}{'' if count == 1 else 's'}"
        for count, word in zip(shape, words, strict=True)
    )
    return (
        f"largest balanced grid: {levels}, {total - len(left_out)} of {total} cells; left out (pretraining seed, "
        f"label draw, probe seed): {named}{more}"
    )
