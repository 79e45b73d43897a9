"""The leaderboard and the list of runs."""

import csv
import io

import numpy as np
import pytest

from bench import results
from tests.report.html.pages import report
from tests.synthetic_results import write_cells


def test_splits_never_share_a_group(grid):
    board = grid[1]["index.html"]
    bodies = [
        (one["data-dataset"], one["data-split"])
        for one in board.all("tbody")
        if "data-dataset" in one
    ]
    assert bodies == [
        ("gtzan", "fault-filtered"),
        ("magnatagatune", "lee"),
        ("magnatagatune", "pons"),
    ]
    rows = csv.DictReader(io.StringIO((grid[0] / "out/leaderboard.csv").read_text()))
    assert all(row["split"] and row["tracks_hash"] for row in rows)


def test_the_mean_of_a_configuration_and_its_mark(grid):
    folder, _ = grid
    cells = [
        results.read(path) for path in (folder / "results/runs").glob("simclr*gtzan-f0.1*.json")
    ]
    cells = [cell for cell in cells if cell.spec.probe.kind == "mlp"]
    rows = list(csv.DictReader(io.StringIO((folder / "out/leaderboard.csv").read_text())))
    wanted = {"method": "simclr", "dataset": "gtzan", "fraction": "0.1", "probe": "mlp"}
    (row,) = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    assert float(row["map_macro"]) == pytest.approx(
        np.mean([cell.metrics["map_macro"].value for cell in cells])
    )
    assert (row["runs"], row["map_macro_mark"]) == ("2", "best")
    assert float(row["map_macro_above_untrained"]) > 0


def test_other_scorings_have_a_page_and_no_place_on_the_board(tmp_path):
    (path,) = write_cells(tmp_path / "results", ("vicreg",), ("midiband",), (1.0,), 1)
    result, values = results.read(path), results.read_values(path)
    by_group = result.spec.score.model_copy(update={"by": "group"})
    other = result.model_copy(
        update={"cell": "f" * 16, "spec": result.spec.model_copy(update={"score": by_group})}
    )
    results.write(tmp_path / "results", other, values)
    found = report(tmp_path / "results", tmp_path / "out")
    (mine,) = [page for name, page in found.items() if "ffff" in name]
    assert "another scoring" in mine.text
    assert not any("ffff" in str(one["href"]) for one in found["index.html"].all("a"))
    assert any("ffff" in str(one["href"]) for one in found["runs.html"].all("a"))
