"""`bench compare`, `bench rescore`, `bench subsets`: from real runs on small real files, and from altered results."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import results
from tests.conftest import TINY, make_tones

Main = Callable[..., tuple[int, str, str]]
RUN = ["run", "--steps", "3", *TINY, "--probe.patience", "2"]


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the results of two methods: 2 pretraining seeds x 2 draws x 2 probe seeds, and fraction 1."""
    folder = tmp_path_factory.mktemp("computed")
    tracks = make_tones(folder / "tones", kind="tags")
    command = [
        sys.executable,
        "-m",
        "bench",
        *RUN,
        "--method",
        "random_init,simclr",
        "--dataset",
        str(tracks),
    ]
    command += [
        "--fraction",
        "0.4,1.0",
        "--draws",
        "2",
        "--seed",
        "0,1",
        "--probe-seeds",
        "2",
        "--probe",
        "mlp",
    ]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def stored(computed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of these results, with the home that they were made in, in the folder that `main` runs in."""
    shutil.copytree(computed, tmp_path, dirs_exist_ok=True)
    return tmp_path / "results"


def altered(folder: Path, path: Path, change: Callable[[dict[str, Any]], None], to: Path) -> Path:
    """Copies a result into another results folder after a change of its JSON."""
    content = json.loads(path.read_text())
    change(content)
    result = results.Result.model_validate(content)
    (to / "runs").mkdir(parents=True, exist_ok=True)
    target = to / "runs" / f"{results.file_stem(result.spec, result.cell)}.json"
    target.write_text(json.dumps(content))
    shutil.copy(path.with_suffix(".npz"), target.with_suffix(".npz"))
    return target


def one(folder: Path, method: str, fraction: float = 1.0) -> Path:
    found, _ = results.read_all(folder)
    result = next(
        cell for cell in found
        if cell.spec.method.name == method and cell.spec.fraction == fraction and not cell.spec.seed
    )  # fmt: skip
    return folder / "runs" / f"{results.file_stem(result.spec, result.cell)}.json"


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


def test_the_tables_name_protocol_and_unknown_sources(main: Main, stored: Path) -> None:
    status, out, err = main("compare", "simclr", "random_init", "--fraction", "1.0")
    assert status == 0, err
    for words in (
        "simclr",
        "random_init",
        "p (Holm)",
        "detectable",
        "split csv",
        "balanced over tracks",
    ):
        assert words in out
    assert "what a single score depends on" in out
    assert "label draw: not known: one label draw" in out


def test_a_method_against_itself_is_no_difference(main: Main, stored: Path, tmp_path: Path) -> None:
    path = one(stored, "simclr")
    copy = altered(stored, path, lambda content: None, tmp_path / "other")
    status, out, err = main("compare", path, copy, "--json")
    assert status == 0, err
    (pair,) = json.loads(out)["pairs"]
    assert (pair["difference"], pair["low"], pair["high"], pair["p_value"]) == (0, 0, 0, 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda content: content["data"].update(split="other", tracks_hash="0" * 16),
            "split: csv against other",
        ),
        (lambda content: content["data"].update(tags=["a", "b"]), "tag set: 4 tags against 2 tags"),
        (lambda content: content["data"].update(tracks_hash="0" * 16), "hash of tracks"),
        (lambda content: content["counts"].update(test_tracks=8), "test tracks): 9 against 8"),
        (lambda content: content["spec"]["score"].update(seed=4), "score.seed: 0 against 4"),
        (
            lambda content: content["spec"]["score"].update(by="group"),
            "score.by: track against group",
        ),
        (
            lambda content: content.update(convention="mean_probability"),
            "convention: mean_embedding against mean_p",
        ),
        (lambda content: content["spec"].update(fraction=0.7), "fraction: 1.0 against 0.7"),
        (
            lambda content: content["protocol"].update(labels="uniform over tracks"),
            "labelled subsets: balanced",
        ),
    ],
)
def test_cells_that_differ_in_more_than_the_method_are_refused(
    main: Main, stored: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    first = one(stored, "simclr")
    second = altered(stored, one(stored, "random_init"), change, tmp_path / "other")
    status, out, err = main("compare", first, second)
    assert (status, out) == (2, "")
    assert words in err
    assert len(err.strip().splitlines()) == 1


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
    whole = one(stored, "simclr", 0.4)
    (stored / "runs/truncated.json").write_text(whole.read_text()[:400])
    (stored / "runs/foreign.json").write_text('{"accuracy": 1}')
    (stored / "runs/list.json").write_text("[]")
    (stored / "runs/old.json").write_text('{"schema_version": 1}')
    shutil.copy(whole, stored / "runs/copy.json")
    shutil.copy(whole.with_suffix(".npz"), stored / "runs/copy.npz")
    lonely = one(stored, "random_init", 0.4)
    lonely.with_suffix(".npz").unlink()
    status, out, err = main("compare", "simclr", "random_init", "--json")
    assert status == 0, err
    for name in ("truncated", "foreign", "list", "old", "copy", lonely.stem):
        assert name in err
    assert next(pair["cells"] for pair in json.loads(out)["pairs"] if pair["fraction"] == 0.4) == 7


def test_two_splits_of_one_data_set_stand_apart(main: Main, stored: Path) -> None:
    """Both are compared, each with itself, and the table tells them apart."""

    def other(content: dict[str, Any]) -> None:
        content["data"].update(split="other", tracks_hash="ab" * 8)
        content["spec"]["dataset"]["name"] = "elsewhere/tracks.csv"
        content["cell"] = content["cell"][::-1]

    for method in ("simclr", "random_init"):
        altered(stored, one(stored, method), other, stored)
    status, out, err = main(
        "compare", "simclr", "random_init", "--fraction", "1.0", "--dataset", "tones/tracks.csv"
    )
    assert status == 0, err
    assert "tracks (csv, " in out
    assert "tracks (other, ababab)" in out


def test_a_damaged_array_is_named_and_made_again(main: Main, stored: Path) -> None:
    path = one(stored, "simclr", 0.4).with_suffix(".npz")
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


def test_subsets_of_other_sizes_are_not_paired(main: Main, stored: Path) -> None:
    run = [*RUN, "--dataset", "tones/tracks.csv", "--fraction", "0.5", "--json"]
    assert main(*run, "--method", "random_init", "--labels.of", "dataset")[0] == 0
    assert main(*run, "--method", "simclr")[0] == 0
    status, _, err = main(
        "compare", "simclr,probe=linear", "random_init,probe=linear", "--fraction", "0.5"
    )
    assert status == 2
    assert (
        "labelled subsets: balanced over tracks against balanced over tracks, shares of the whole"
        in err
    )


def test_damaged_logits_are_one_line(main: Main, stored: Path) -> None:
    for path in (stored.parent / ".bench/probed").glob("*/mean_embedding.npy"):
        path.write_bytes(path.read_bytes()[:60])
    status, out, err = main("rescore", "--resamples", "10")
    assert (status, out) == (0, "0 cells scored anew, 24 left out\n")
    assert "is damaged: remove the folder" in err


def test_rescoring_trains_nothing_and_its_resamples_go_on_from_the_old_ones(
    main: Main, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import bench.stages.run

    for module, name in (
        (bench.stages.run, "pretrain"),
        (bench.stages.run, "embed_all"),
        (bench.stages.run, "probe_all"),
    ):
        monkeypatch.setattr(module, name, lambda *_: pytest.fail("a stage was done again"))
    before, _ = results.read_all(stored)
    status, out, err = main("rescore", "--resamples", "120")
    assert status == 0, err
    assert f"{len(before)} cells scored anew, 0 left out" in out
    after, _ = results.read_all(stored)
    assert len(after) == 2 * len(before)
    old = next(cell for cell in before if cell.spec.method.name == "simclr")
    same = old.spec.model_copy(
        update={"score": old.spec.score.model_copy(update={"resamples": 120})}
    )
    new = next(cell for cell in after if cell.spec == same)
    assert new.metrics["map_macro"].value == old.metrics["map_macro"].value
    first, more = (
        results.read_values(results.path_of(stored, cell)).resampled["map_macro"]
        for cell in (old, new)
    )
    assert len(more) == 120
    np.testing.assert_array_equal(more[:50], first)
    # The same cells asked for by `bench run` are found; the comparison takes those with most
    # resamples.
    run = [*RUN, "--method", "simclr", "--dataset", "tones/tracks.csv", "--probe", "mlp", "--json"]
    status, out, err = main("compare", "simclr", "random_init", "--json")
    assert {pair["resamples"] for pair in json.loads(out)["pairs"]} == {120}
    assert main("rescore", "--resamples", "120")[1].startswith("0 cells")
    assert main(*run[:1], "--help")[0] == 0
    status, out, err = main("rescore", "--by", "group", "--score.confidence", "0.9")
    assert status == 0, err
    assert any(cell.spec.score.by == "group" for cell in results.read_all(stored)[0])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "say what is to be scored otherwise"),
        (["--resamples", "-1"], "score.resamples = -1"),
        (["--score.resample", "9"], "did you mean 'score.resamples'"),
        (["--resamples", "9", "--results", "nowhere"], "no results in nowhere"),
    ],
)
def test_bad_rescoring_is_one_line(
    main: Main, stored: Path, arguments: list[str], words: str
) -> None:
    status, _, err = main("rescore", *arguments)
    assert status == 2
    assert words in err.splitlines()[-1]


def test_rescoring_says_which_logits_are_gone(main: Main, stored: Path) -> None:
    shutil.rmtree(stored.parent / ".bench/probed")
    status, out, err = main("rescore", "--resamples", "10")
    assert status == 0
    assert out.startswith("0 cells scored anew, 24 left out")
    assert "`bench run` makes it" in err


def test_subsets_go_out_and_come_back(main: Main, stored: Path) -> None:
    tracks = "tones/tracks.csv"
    status, out, err = main(
        "subsets",
        "export",
        "--dataset",
        tracks,
        "--fraction",
        "0.4,7",
        "--draws",
        "2",
        "--out",
        "s",
    )
    assert status == 0, err
    files = sorted(Path("s").glob("*.json"))
    assert len(files) == 4
    content = json.loads(files[0].read_text())
    assert files[0].stem.endswith(content["hash"])
    assert content["hash"] in out
    assert len(content["tracks"]) == 8
    assert set(content["positives"]) == {"even", "high", "low", "middle"}
    status, out, err = main("subsets", "import", files[0], "--dataset", tracks)
    assert status == 0, err
    assert content["hash"] in out
    run = [*RUN, "--method", "simclr", "--dataset", tracks, "--probe", "mlp", "--json"]
    status, out, err = main(*run, "--subset", content["hash"])
    assert status == 0, err
    imported = json.loads(Path(json.loads(out)["files"][0]).read_text())
    assert imported["probe"]["subset"] == content["hash"]
    # The same tracks, so the same scores as the draw that was exported.
    status, out, err = main(*run, "--fraction", "0.4", "--draws", "1")
    drawn = json.loads(Path(json.loads(out)["files"][0]).read_text())
    assert drawn["probe"]["subset"] == content["hash"]
    assert drawn["metrics"] == imported["metrics"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["run", "--method", "simclr", "--subset", "0123456789abcdef"],
            "no subset 0123456789abcdef",
        ),
        (["run", "--method", "simclr", "--subset", "x", "--fraction", "0.1"], "leave --fraction"),
        (
            ["run", "--method", "simclr", "--preset", "deezer", "--draws", "2"],
            "says which tracks are labelled",
        ),
        (["run", "--method", "simclr", "--preset", "deezr"], "deezer"),
        (["run", "--method", "simclr", "--labels.scheme", "even", "--dry-run"], "labels.scheme"),
        (["run", "--method", "simclr", "--probe-seeds", "0"], "--probe-seeds 0"),
        (
            ["run", "--method", "simclr", "--labels.subset", "0123456789abcdef"],
            "give --subset HASH",
        ),
        (["run", "--method", "simclr", "--probe.learning_rates", "[0.1, 0.1]"], "stands twice"),
        (
            [
                "run",
                "--method",
                "simclr",
                "--views.exclude",
                "0123456789abcdef",
                "--dataset",
                "CSV",
            ],
            "give --exclude FILE",
        ),
        (["run", "--method", "simclr", "--seed", "0,x"], "--seed 'x'"),
        (
            ["run", "--method", "simclr", "--resamples", "5", "--score.resamples", "6"],
            "given twice",
        ),
        (["subsets", "export", "--dataset", "CSV", "--fraction", "0.4"], "--out"),
        (
            ["subsets", "export", "--dataset", "CSV", "--fraction", "99", "--out", "s"],
            "99 labelled tracks are asked",
        ),
        (["subsets", "import", "--dataset", "CSV"], "give one or more files"),
        (["subsets", "import", "none.json", "--dataset", "CSV"], "cannot read none.json"),
    ],
)
def test_bad_labelled_sets_are_one_line(
    main: Main, stored: Path, arguments: list[str], words: str
) -> None:
    csv = str(stored.parent / "tones/tracks.csv")
    status, out, err = main(*[csv if argument == "CSV" else argument for argument in arguments])
    assert (status, out) == (2, "")
    assert words in err.splitlines()[-1]


def test_presets_are_the_published_subsets(main: Main, stored: Path) -> None:
    tracks = str(stored.parent / "tones/tracks.csv")
    run = ["run", "--method", "random_init", "--dataset", tracks, "--dry-run", "--json"]
    status, out, err = main(*run, "--preset", "deezer")
    assert status == 0, err
    specs = json.loads(out)["specs"]
    assert [(spec["fraction"], spec["draw"]) for spec in specs] == [
        *((fraction, draw) for fraction in (0.01, 0.05, 0.1, 0.2) for draw in range(4)), (1.0, 0)
    ]  # fmt: skip
    assert {spec["labels"]["scheme"] for spec in specs} == {"uniform"}
    status, out, err = main(*run, "--preset", "clmr")
    specs = json.loads(out)["specs"]
    assert [spec["fraction"] for spec in specs] == [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
    assert {(spec["labels"]["scheme"], spec["labels"]["of"]) for spec in specs} == {
        ("balanced", "dataset")
    }
