"""Configurations of runs."""

import csv
import io

from bench import results
from bench.report.html import comparing
from tests.report.html.pages import report
from tests.synthetic_results import write_cells


def test_settings_that_differ_are_said_and_compared(tmp_path):
    for path in write_cells(tmp_path / "results", ("simclr",), ("midiband",), (1.0,), 1):
        result, values = results.read(path), results.read_values(path)
    train = result.spec.train.model_copy(update={"steps": 800})
    other = result.model_copy(
        update={"cell": "e" * 16, "spec": result.spec.model_copy(update={"train": train})}
    )
    results.write(tmp_path / "results", other, values)
    report(tmp_path / "results", tmp_path / "out")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out/leaderboard.csv").read_text())))
    assert sorted(row["variant"] for row in rows) == [
        f"train.steps={result.spec.train.steps}",
        "train.steps=800",
    ]
    pairs = list(csv.DictReader(io.StringIO((tmp_path / "out/comparisons.csv").read_text())))
    assert {pair["metric"] for pair in pairs} == set(comparing.METRICS)
