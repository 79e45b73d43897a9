"""The table that `bench run` prints, and the differences in it."""

from pathlib import Path

import numpy as np
import pytest

from bench import results
from bench.report.summary import Cell, difference, read_cell, summarise
from bench.statistics.intervals import percentile
from tests.conftest import TINY
from tests.report.real_runs import run_two_methods

RUN = ["run", "--steps", "3", *TINY]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with two methods at two fractions and two draws."""
    folder = tmp_path_factory.mktemp("stored")
    run_two_methods(folder, RUN, "--fraction", "0.3,1.0", "--draws", "2")
    return folder / "results"


def groups(folder: Path) -> dict[tuple[str, float], list[Cell]]:
    found: dict[tuple[str, float], list[Cell]] = {}
    for result in results.read_all(folder)[0]:
        found.setdefault((result.spec.method.name, result.spec.fraction), []).append(
            read_cell(folder, result)
        )
    return found


def test_the_same_resamples_serve_every_method(stored):
    """Micro scores of two methods on shared resamples move together.

    On resamples of their own they would not.
    """
    cells = groups(stored)
    first, second = cells["simclr", 1.0][0], cells["random_init", 1.0][0]
    found = difference([first], [second], "map_macro")
    assert found.difference == pytest.approx(
        first.result.metrics["map_macro"].value - second.result.metrics["map_macro"].value
    )
    assert found.low <= found.high
    same = difference([first], [first], "map_macro")
    assert (same.difference, same.low, same.high) == (0, 0, 0)


def test_table_has_a_row_a_group_and_the_difference_to_random_init(stored):
    cells = groups(stored)
    order = [("simclr", 0.3), ("simclr", 1.0), ("random_init", 1.0)]
    baselines = [cells["random_init", fraction] for _, fraction in order]
    table = summarise([cells[key] for key in order], baselines)
    assert [row[:4] for row in table.rows] == [
        ["simclr", "tracks", "0.3", "2"],
        ["simclr", "tracks", "1", "1"],
        ["random_init", "tracks", "1", "1"],
    ]
    assert "accuracy" not in table.columns
    mean = np.mean([cell.result.metrics["map_macro"].value for cell in cells["simclr", 0.3]])
    assert table.rows[0][4].startswith(f"{mean:.3f} [")
    assert table.rows[0][-1][0] in "+-"
    assert table.rows[2][-1] == ""
    assert "split csv" in table.notes[0]
    assert "50 resamples of tracks" in table.notes[0]
    alone = summarise([cells["simclr", 1.0]], [None])
    assert "mAP above random_init" not in alone.columns


def test_results_hold_what_figures_and_tests_need(stored):
    for result in results.read_all(stored)[0]:
        values = results.read_values(results.path_of(stored, result))
        assert set(result.metrics) <= set(values.resampled)
        for name, metric in result.metrics.items():
            low, high = percentile(values.resampled[name], 0.95)
            assert metric.percentile == pytest.approx((low, high))
            assert metric.low is not None
            assert metric.high is not None
            assert 0 <= metric.low <= metric.value <= metric.high <= 1
        assert set(result.conventions) == {"mean_probability"}
        assert "map_macro, mean_probability" in values.resampled
        assert (
            len(values.influence["map_macro"]) == len(values.groups) == result.counts["test_tracks"]
        )
        assert len(result.per_tag["average_precision"]) == len(result.data["tags"]) == 4
        known = [value for value in result.per_tag["average_precision"] if value is not None]
        assert result.metrics["map_macro"].value == pytest.approx(np.mean(known))
        assert result.counts["scored_tags"] == len(known)
        assert set(result.seconds) == {"prepare", "pretrain", "embed", "probe"}
        assert result.versions["torch"]
        if result.spec.method.name == "simclr":
            assert result.training["curve"][-1]["step"] == 3
            assert result.training["diagnostics"][-1]["effective_rank"] >= 1
