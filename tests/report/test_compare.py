"""`bench compare` on real runs: differences and tests, unusable files, other scorings."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bench import results
from tests.report.altered import altered
from tests.report.real_runs import Main, path_of


def test_a_comparison_says_all_that_the_cells_show(main: Main, stored: Path) -> None:
    status, out, err = main("compare", "simclr", "random_init", "--json")
    assert status == 0, err
    found = json.loads(out)
    assert [(pair["fraction"], pair["cells"]) for pair in found["pairs"]] == [(0.4, 8), (1.0, 4)]
    cells, _ = results.read_all(stored)
    for pair in found["pairs"]:
        means = {
            method: np.mean(
                [
                    cell.metrics["map_macro"].value
                    for cell in cells
                    if cell.spec.method.name == method and cell.spec.fraction == pair["fraction"]
                ]
            )
            for method in ("simclr", "random_init")
        }
        assert pair["difference"] == pytest.approx(means["simclr"] - means["random_init"])
        assert pair["low"] <= pair["difference"] + 0.2
        assert 0 < pair["p_value"] <= pair["p_holm"] <= 1
        assert pair["smallest_detectable"] > 2.8 * pair["standard_error"]
    # Two of four: Holm doubles the smaller p-value.
    smaller, larger = sorted(found["pairs"], key=lambda pair: pair["p_value"])
    assert smaller["p_holm"] == pytest.approx(min(1, 2 * smaller["p_value"]))
    assert larger["p_holm"] == pytest.approx(max(larger["p_value"], smaller["p_holm"]))
    grids = {(score["method"], score["fraction"]): score["grid"] for score in found["scores"]}
    assert grids["simclr", 0.4] == {"pretraining_seeds": 2, "label_draws": 2, "probe_seeds": 2}
    assert grids["simclr", 1.0] == {"pretraining_seeds": 2, "label_draws": 1, "probe_seeds": 2}
    whole = next(score for score in found["scores"] if score["fraction"] == 1.0)
    assert whole["sources"]["label draw"]["deviation"] is None  # one draw: not known, not zero
    assert whole["sources"]["probe seed"]["deviation"] is not None


def test_a_method_against_itself_is_no_difference(main: Main, stored: Path, tmp_path: Path) -> None:
    path = path_of(stored, "simclr")
    copy = altered(path, lambda content: None, tmp_path / "other")
    status, out, err = main("compare", path, copy, "--json")
    assert status == 0, err
    (pair,) = json.loads(out)["pairs"]
    assert (pair["difference"], pair["low"], pair["high"], pair["p_value"]) == (0, 0, 0, 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["simclr"], "two or more"),
        ([], "two or more"),
        (["simclr", "simclr"], "two or more"),
        (["simclr", "random_int"], "did you mean 'random_init'"),
        (["simclr", "random_init", "--metric", "map"], "unknown metric 'map'"),
        (["simclr", "random_init", "--dataset", "gtzan"], "no stored cell of simclr on gtzan"),
        (
            ["simclr", "random_init", "--fraction", "0.5"],
            "no stored cell of simclr at fraction 0.5",
        ),
        (["simclr", "random_init", "--alpha", "2"], "--alpha 2"),
        (["simclr,depth=3", "random_init"], "key=value with a key of encoder"),
        (["simclr,probe=linear", "random_init"], "no stored cell of simclr,probe=linear"),
        (["simclr", "none.json"], "no such result file"),
        (["simclr", "random_init", "--results", "nowhere"], "no results in nowhere"),
    ],
)
def test_bad_comparisons_are_one_line(
    main: Main, stored: Path, arguments: list[str], words: str
) -> None:
    status, out, err = main("compare", *arguments)
    assert (status, out) == (2, "")
    assert words in err.splitlines()[-1]


def test_broken_and_foreign_files_are_named_and_left_out(main: Main, stored: Path) -> None:
    whole = path_of(stored, "simclr", 0.4)
    (stored / "runs/truncated.json").write_text(whole.read_text()[:400])
    (stored / "runs/foreign.json").write_text('{"accuracy": 1}')
    (stored / "runs/list.json").write_text("[]")
    (stored / "runs/old.json").write_text('{"schema_version": 1}')
    shutil.copy(whole, stored / "runs/copy.json")
    shutil.copy(whole.with_suffix(".npz"), stored / "runs/copy.npz")
    lonely = path_of(stored, "random_init", 0.4)
    lonely.with_suffix(".npz").unlink()
    status, out, err = main("compare", "simclr", "random_init", "--json")
    assert status == 0, err
    for name in ("truncated", "foreign", "list", "old", "copy", lonely.stem):
        assert name in err
    assert next(pair["cells"] for pair in json.loads(out)["pairs"] if pair["fraction"] == 0.4) == 7


def test_a_damaged_array_is_named_and_made_again(main: Main, stored: Path) -> None:
    path = path_of(stored, "simclr", 0.4).with_suffix(".npz")
    path.write_bytes(path.read_bytes()[:100])
    status, out, err = main("compare", "simclr", "random_init", "--json")
    assert status == 0, err
    assert f"{path.name} is gone or damaged" in err
    assert next(pair["cells"] for pair in json.loads(out)["pairs"] if pair["fraction"] == 0.4) == 7
    (stored / "runs/folder.json").mkdir()
    assert main("compare", "simclr", "random_init")[0] == 0


def test_rescoring_by_group_leaves_comparisons_as_they_were(main: Main, stored: Path) -> None:
    before = json.loads(main("compare", "simclr", "random_init", "--json")[1])
    assert main("rescore", "--by", "group")[0] == 0
    status, out, err = main("compare", "simclr", "random_init", "--json")
    assert status == 0, err
    assert json.loads(out)["pairs"] == before["pairs"]
    assert main("rescore", "--untagged", "removed", "--score.resamples", "60.0")[0] == 0
    assert len(results.read_all(stored)[0]) == 3 * 24
