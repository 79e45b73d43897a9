"""Tables of scores: intervals and ranks as the tests say, splits apart, missing cells named."""

import re
from pathlib import Path

import numpy as np
import pytest

from bench import results
from bench.report.compare import compare
from bench.report.comparison import Entry
from bench.report.reference import of_paper
from bench.report.stock import read_stock
from bench.report.tables import ALPHA, Number, reference_tables, score_tables
from bench.statistics.multiple import holm
from tests.report.odd_names import ODD, write_odd
from tests.synthetic_results import spoil, write_cells


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_odd(tmp_path_factory.mktemp("stored"))


def number_in(cell: str | Number) -> Number:
    assert isinstance(cell, Number)
    return cell


def test_splits_never_share_a_table(stored):
    tables = score_tables(read_stock(stored))
    assert [table.title.partition(":")[0] for table in tables] == [
        "gtzan (fault-filtered)", "magnatagatune (lee)", "magnatagatune (pons)",
    ]  # fmt: skip
    for table in tables:
        assert len(table.rows) == 8  # four methods at two shares
        assert any(
            "80 test tracks" in note and table.title.partition(" ")[0] in note
            for note in table.notes
        )
        assert any("resamples of tracks, 95%" in note for note in table.notes)
    assert tables[0].columns[-2:] == ["Accuracy", "F1 (macro)"]


def test_numbers_are_the_stored_ones_and_ties_those_of_the_paired_test(stored):
    stock = read_stock(stored)
    table = score_tables(stock)[1]
    numbers = {(row[0], row[1]): number_in(row[4]) for row in table.rows}
    cells = {
        name: [
            result
            for result in stock.results
            if result.dataset == "magnatagatune"
            and result.data["split"] == "lee"
            and result.spec.fraction == 1.0
            and result.spec.method.name == name
        ]
        for name in ("simclr", "vicreg", "byol", ODD)
    }
    for name, (cell,) in cells.items():
        number, metric = numbers[name, "100%"], cell.metrics["map_macro"]
        assert (number.value, number.low, number.high) == (metric.value, metric.low, metric.high)
    best = max(cells, key=lambda name: cells[name][0].metrics["map_macro"].value)
    others = [name for name in cells if name != best]
    entries = {
        name: Entry(name, tuple(cells[name]), (results.path_of(stored, cells[name][0]),))
        for name in cells
    }
    comparisons = [
        compare([entries[best], entries[name]], "map_macro", permutations=2000) for name in others
    ]
    p_values = [comparison.pairs[0].p_value for comparison in comparisons]
    for name, p_value in zip(others, holm(np.array(p_values)), strict=True):
        assert numbers[name, "100%"].rank == ("tie" if p_value >= ALPHA else "")
        assert numbers[name, "100%"].p_value == pytest.approx(p_value)
    assert numbers[best, "100%"].rank == "best"
    assert (
        sum(number.rank == "best" for (_, share), number in numbers.items() if share == "10%") == 1
    )


def test_a_missing_cell_is_a_row_of_dashes(tmp_path):
    paths = write_cells(tmp_path, ["simclr", "vicreg"], draws=1, resamples=30)
    next(path for path in paths if "vicreg" in path.name and "-f0.1-" in path.name).unlink()
    spoil(tmp_path)
    (table,) = score_tables(read_stock(tmp_path))
    row = next(row for row in table.rows if row[:2] == ["vicreg", "10%"])
    assert row[2:4] == ["0", "0"]
    assert [number_in(cell).text for cell in row[4:]] == ["-", "-"]
    (note,) = [note for note in table.notes if note.startswith("Left out (3)")]
    assert "schema 1" in note
    assert "no whole JSON" in note


def test_cells_without_resamples_have_no_interval_and_no_test(tmp_path):
    write_cells(tmp_path, ["simclr", "vicreg"], fractions=(1.0,), resamples=0)
    (table,) = score_tables(read_stock(tmp_path))
    assert all(re.fullmatch(r"0\.\d{3}", number_in(row[4]).text) for row in table.rows)


def test_published_numbers_keep_their_test_sets_apart():
    tables = reference_tables(of_paper("icassp2024"))
    assert len(tables) == 5
    assert "MTAT, split lee" in tables[1].title
    row = next(row for row in tables[1].rows if row[:2] == ["Fig. 1", "contrastive"])
    assert "0.4303 ± 0.0051" in row
    assert any("poster Fig.1" in note for note in tables[1].notes)
    assert any("measured: from the coordinates" in note for note in tables[1].notes)
