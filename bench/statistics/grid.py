"""The largest balanced grid of scores in a list of cells, for `bench.statistics.variance`."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import InputError

Score = tuple[int, int, int, float, NDArray[np.float64] | None]
"""Score of one cell: pretraining seed, label draw, probe seed, score, and (resamples,) scores in
each resample of the test tracks (None without resamples).
"""

_Levels = tuple[tuple[int, ...], tuple[int, ...], int]
"""Pretraining seeds and label draws of a grid, and how many probe seeds each of their pairs has."""

_NAMED = 5  # cells that a note names


@dataclass(frozen=True)
class Grid:
    """A balanced grid of scores, as `variance_components` takes it.

    Attributes:
        scores: (pretraining seeds, label draws, probe seeds) scores.
        resampled: (pretraining seeds, label draws, probe seeds, resamples) scores in each resample;
            None if any cell of the grid has none.
        seeds: pretraining seeds, ascending.
        draws: label draws, ascending.
        left_out: (pretraining seed, label draw, probe seed) of each cell that is not in the grid,
            ascending.
        note: one sentence on what was left out; empty where nothing was.
    """

    scores: NDArray[np.float64]
    resampled: NDArray[np.float64] | None
    seeds: tuple[int, ...]
    draws: tuple[int, ...]
    left_out: tuple[tuple[int, int, int], ...]
    note: str


def balanced_grid(cells: Sequence[Score]) -> Grid:
    """Finds the largest balanced grid in a list of cells.

    In a balanced grid, every pair of its pretraining seeds and label draws has the same number of
    probe seeds. Of equally large grids the one wins in which more axes have several levels, since
    it makes more sources of variance known. Probe seeds are nested in the pairs, so those of two
    pairs need not be the same numbers; the lowest of each pair are kept.

    Args:
        cells: scores in any order, all on the same test tracks and resamples.

    Returns:
        The grid, and which cells are not in it.

    Raises:
        InputError: if there is no cell, a cell is given twice, or cells have different numbers of
            resamples.
    """
    pairs = _pairs(cells)
    seeds, draws, probes = _largest({pair: len(scores) for pair, scores in pairs.items()})
    kept = [cell for seed in seeds for draw in draws for cell in pairs[seed, draw][:probes]]
    shape = (len(seeds), len(draws), probes)
    resampled = [cell[4] for cell in kept if cell[4] is not None]
    chosen = {cell[:3] for cell in kept}
    left_out = tuple(sorted(cell[:3] for cell in cells if cell[:3] not in chosen))
    return Grid(
        scores=np.array([cell[3] for cell in kept], dtype=np.float64).reshape(shape),
        resampled=np.stack(resampled).reshape(*shape, -1) if len(resampled) == len(kept) else None,
        seeds=seeds,
        draws=draws,
        left_out=left_out,
        note=_note(shape, len(cells), left_out) if left_out else "",
    )


def _pairs(cells: Sequence[Score]) -> dict[tuple[int, int], list[Score]]:
    """Groups the cells by (pretraining seed, label draw), each group in the order of probe seeds.

    Raises:
        InputError: see `balanced_grid`.
    """
    if not cells:
        raise InputError("no cell to take a grid from; give one or more")
    (place, count), *_ = Counter(cell[:3] for cell in cells).most_common(1)
    if count > 1:
        raise InputError(
            f"(pretraining seed, label draw, probe seed) {place} is there {count} times; "
            "give it once"
        )
    lengths = {len(cell[4]) for cell in cells if cell[4] is not None}
    if len(lengths) > 1:
        raise InputError(f"cells have {sorted(lengths)} resamples; score all of them with as many")
    pairs: dict[tuple[int, int], list[Score]] = {}
    for cell in sorted(cells, key=lambda cell: cell[:3]):
        pairs.setdefault(cell[:2], []).append(cell)
    return pairs


def _largest(counts: dict[tuple[int, int], int]) -> _Levels:
    """Finds the levels of the largest balanced grid.

    Args:
        counts: number of probe seeds of each (pretraining seed, label draw).
    """
    best: _Levels = ((), (), 0)
    # For each number of probe seeds, a grid is a set of pretraining seeds that share a set of label
    # draws. The largest has all label draws that its seeds share, so only intersections of the
    # seeds' draws need to be tried.
    for probes in sorted(set(counts.values())):
        draws_of: dict[int, set[int]] = {}
        for (seed, draw), count in sorted(counts.items()):
            if count >= probes:
                draws_of.setdefault(seed, set()).add(draw)
        for draws in sorted(_intersections(draws_of.values()), key=sorted):
            seeds = tuple(seed for seed, available in draws_of.items() if draws <= available)
            best = max(best, (seeds, tuple(sorted(draws)), probes), key=_size)
    return best


def _size(grid: _Levels) -> tuple[int, int]:
    """Order of grids by size: the number of cells, then of axes with more than one level."""
    levels = (len(grid[0]), len(grid[1]), grid[2])
    return levels[0] * levels[1] * levels[2], sum(count > 1 for count in levels)


def _intersections(sets: Iterable[set[int]]) -> set[frozenset[int]]:
    """Returns all intersections of one or more of the sets, except the empty one.

    Seeds that miss the same cells have the same set, so that there are few different sets in any
    grid that was meant to be complete.
    """
    intersections: set[frozenset[int]] = set()
    for added in map(frozenset, sets):
        intersections |= {added} | {added & other for other in intersections}
    return intersections - {frozenset()}


def _note(
    shape: tuple[int, int, int], total: int, left_out: tuple[tuple[int, int, int], ...]
) -> str:
    """Says in one sentence how large the grid is and which cells are not in it."""
    named = ", ".join(f"({seed}, {draw}, {probe})" for seed, draw, probe in left_out[:_NAMED])
    more = f" and {len(left_out) - _NAMED} more" if len(left_out) > _NAMED else ""
    words = ("pretraining seed", "label draw", "probe seed")
    levels = " x ".join(
        f"{count} {word}{'' if count == 1 else 's'}"
        for count, word in zip(shape, words, strict=True)
    )
    return (
        f"largest balanced grid: {levels}, {total - len(left_out)} of {total} cells; "
        f"left out (pretraining seed, label draw, probe seed): {named}{more}"
    )
