"""The balanced grid is the largest there is, and what is left out of it is said."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.errors import InputError
from bench.statistics.grid import Score, balanced_grid


def cells_of(places: list[tuple[int, int, int]], resamples: int = 3) -> list[Score]:
    return [(*place, sum(place) / 10, np.full(resamples, sum(place) / 10)) for place in places]


def test_whole_grid_is_kept_in_order() -> None:
    places = list(itertools.product([0, 5], [1, 2, 3], [0, 1]))
    found = balanced_grid(cells_of(places)[::-1])
    assert (found.scores.shape, found.left_out, found.note) == ((2, 3, 2), (), "")
    assert (found.seeds, found.draws) == ((0, 5), (1, 2, 3))
    np.testing.assert_allclose(found.scores.ravel(), [sum(place) / 10 for place in places])
    assert found.resampled is not None
    np.testing.assert_allclose(found.resampled, found.scores[..., None] * np.ones(3))
    assert balanced_grid([(*cell[:4], None) for cell in cells_of(places)]).resampled is None


def test_what_is_left_out_is_said() -> None:
    places = [(seed, draw, 0) for seed in range(3) for draw in range(3)]
    found = balanced_grid(cells_of([*places[:-1], (7, 0, 0), (0, 0, 1)]))
    assert found.scores.shape == (3, 2, 1)
    assert len(found.left_out) == 4
    assert found.note.startswith(
        "largest balanced grid: 3 pretraining seeds x 2 label draws x 1 probe seed, 6 of 10"
    )
    assert "(7, 0, 0)" in found.note


@given(
    st.sets(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=30
    )
)
@settings(max_examples=60, deadline=None)
def test_grid_is_the_largest_there_is(places: set[tuple[int, int, int]]) -> None:
    found = balanced_grid(cells_of(sorted(places)))
    subsets = [chosen for size in range(1, 5) for chosen in itertools.combinations(range(4), size)]
    best = 0
    for seeds, draws in itertools.product(subsets, subsets):
        counts = [
            sum((seed, draw, probe) in places for probe in range(3))
            for seed in seeds
            for draw in draws
        ]
        best = max(best, min(counts) * len(counts))
    assert found.scores.size == best == len(places) - len(found.left_out)


def test_grid_refuses() -> None:
    with pytest.raises(InputError, match="no cell"):
        balanced_grid([])
    with pytest.raises(InputError, match=r"\(0, 1, 2\) is there 2 times"):
        balanced_grid(cells_of([(0, 1, 2), (0, 1, 2)]))
    with pytest.raises(InputError, match=r"cells have \[2, 3\] resamples"):
        balanced_grid([*cells_of([(0, 0, 0)], 2), *cells_of([(0, 0, 1)], 3)])
