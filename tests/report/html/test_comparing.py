"""Paired comparisons and ranks of the report."""

import csv
import io
import json

from bench.core.store import write_json
from bench.report.html import collect, comparing
from bench.report.html.strata import strata
from tests.report.html.pages import report
from tests.synthetic_results import write_cells


def test_what_cannot_be_compared_does_not_keep_the_others_from_it(tmp_path):
    paths = write_cells(
        tmp_path / "results", ("simclr", "vicreg", "byol"), ("midiband",), (0.1,), 1
    )
    content = json.loads(paths[0].read_text())
    content["probe"]["subset"] = "another"
    write_json(paths[0], {**content, "digest": ""})
    found = report(tmp_path / "results", tmp_path / "out")
    (page,) = [page for name, page in found.items() if name.startswith("comparisons/")]
    assert "labelled tracks" in page.text
    pairs = list(csv.DictReader(io.StringIO((tmp_path / "out/comparisons.csv").read_text())))
    assert {(pair["first"], pair["second"]) for pair in pairs} in (
        {("vicreg", "byol")},
        {("byol", "vicreg")},
    )


def test_ranks_take_one_split_of_a_data_set(tmp_path):
    datasets = ("magnatagatune", "magnatagatune:pons", "gtzan", "midiband")
    write_cells(tmp_path / "results", ("simclr", "vicreg", "byol"), datasets, (1.0,), 1)
    found = collect.collect(tmp_path / "results", lambda *_: None)
    every = [
        one for arena, runs in collect.arenas(found.runs).items() for one in strata(arena, runs)
    ]
    ((_, table),) = comparing.ranks(every, "map_macro")
    assert "over gtzan, split fault-filtered, magnatagatune, split lee, midiband" in table.notes[0]


def test_fewer_permutations_where_there_are_very_many_pairs(grid):
    found = collect.collect(grid[0] / "results", lambda *_: None)
    every = [
        one for arena, runs in collect.arenas(found.runs).items() for one in strata(arena, runs)
    ]
    assert comparing.permutations_for(every, 10_000) == 10_000
    assert comparing.permutations_for(every * 100_000, 10_000) == 1000
