"""Reading a results folder for the report."""

import json
import math
from pathlib import Path

from bench.core.store import write_json
from bench.report.html import collect
from bench.report.html.write import write_report
from tests.synthetic_results import write_cells


def test_what_cannot_be_read_is_named(grid, tmp_path):
    text = grid[1]["index.html"].text
    for name, reason in (
        ("old.json", "schema 1"),
        ("cut.json", "no whole JSON"),
        ("foreign.json", "no result"),
    ):
        assert f"runs/{name}" in text
        assert reason in text
    write_cells(tmp_path / "results", ("simclr", "vicreg"), ("midiband",), (1.0,), 1)
    lost, damaged, lacking, sick = _spoiled_arrays(tmp_path / "results")
    made = write_report(tmp_path / "results", tmp_path / "out")
    assert made.runs == 2
    for path, reason in (
        (lost, "gone or damaged"),
        (damaged, "cannot be read"),
        (lacking, "protocol.labels"),
    ):
        (line,) = [line for line in made.left_out if path.name in line]
        assert reason in line
    assert any(sick.name in line for line in made.left_out)


def _spoiled_arrays(folder: Path) -> list[Path]:
    """Results without arrays, with damaged arrays, without a part of the protocol, and with NaN."""
    paths = write_cells(
        folder, ("byol", "mfcc", "clustering", "supervised"), ("midiband",), (0.1,), 1
    )
    paths[0].with_suffix(".npz").unlink()
    whole = paths[1].with_suffix(".npz").read_bytes()
    paths[1].with_suffix(".npz").write_bytes(whole[:200] + b"\0" * 500 + whole[700:])
    content = json.loads(paths[2].read_text())
    del content["protocol"]["labels"]
    write_json(paths[2], {**content, "digest": ""})
    content = json.loads(paths[3].read_text())
    content["metrics"]["map_macro"]["value"] = math.nan
    paths[3].write_text(json.dumps({**content, "digest": ""}))
    return paths


def test_names_of_pages_are_safe_and_apart():
    assert collect.slug("a/b") != collect.slug("a?b")
    assert collect.slug("../../etc/passwd").startswith("_")
    assert collect.slug("simclr-f0.1-00ff") == "simclr-f0.1-00ff"
