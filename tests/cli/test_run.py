"""Whole runs on real files: what is computed, stored, found again and made anew."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from bench.results import SCHEMA
from tests.cli.commands import RUN
from tests.conftest import TINY, make_tones


def products(stage: str) -> list[Path]:
    """The folders of a stage's products in home, unfinished ones included; digests lie beside."""
    return [path for path in Path(".bench", stage).iterdir() if path.is_dir()]


def test_a_cell_is_computed_once_and_found_again(main, tones, monkeypatch):
    status, out, err = main(
        *RUN, "--dataset", tones, "--fraction", "0.2,1.0", "--draws", "2", "--json"
    )
    assert status == 0, err
    rows = json.loads(out)["rows"]
    assert {(row["fraction"], row["draw"]) for row in rows} == {(0.2, 0), (0.2, 1), (1.0, 0)}
    named = {
        "method",
        "encoder",
        "dataset",
        "split",
        "fraction",
        "draw",
        "seed",
        "probe",
        "metric",
        "value",
        "low",
        "high",
    }
    assert named | {"resamples", "tracks", "tags"} <= set(rows[0])
    assert {row["metric"] for row in rows} >= {
        "map_macro",
        "map_micro",
        "roc_auc_macro",
        "accuracy",
        "f1_macro",
    }
    assert all(
        row["low"] <= row["value"] <= row["high"] for row in rows if row["metric"] == "accuracy"
    )
    assert all((row["tracks"], row["tags"], row["resamples"]) == (9, 3, 50) for row in rows)

    import bench.stages.run

    monkeypatch.setattr(
        bench.stages.run, "run", lambda *_: pytest.fail("a finished cell was computed again")
    )
    assert (
        json.loads(
            main(*RUN, "--dataset", tones, "--fraction", "0.2,1.0", "--draws", "2", "--json")[1]
        )["rows"]
        == rows
    )


def test_tags_and_every_kind_of_method(main, tmp_path):
    tracks = make_tones(tmp_path / "tags", kind="tags")
    methods = "supervised,random_init,vicreg"
    status, out, err = main(
        "run", "--method", methods, "--steps", "3", *TINY, "--dataset", tracks, "--fraction", "0.3"
    )
    assert status == 0, err
    lines = out.splitlines()
    assert all(
        any(line.strip().startswith(method) for line in lines) for method in methods.split(",")
    )
    assert "above random_init" in out
    assert "accuracy" not in out
    for line in out.split("results:")[1].split():
        stored = json.loads(Path(line).read_text())
        assert stored["schema_version"] == SCHEMA
        assert stored["data"]["tags"] == ["even", "high", "low", "middle"]
        assert stored["protocol"]["probe"] == (
            "end_to_end" if stored["spec"]["method"]["name"] == "supervised" else "linear"
        )


def test_mfcc_stands_for_its_own_encoder(main, tones):
    status, out, err = main(
        "run", "--method", "mfcc", "--dataset", tones, "--probe.steps", "20", "--json"
    )
    assert status == 0, err
    assert {row["encoder"] for row in json.loads(out)["rows"]} == {"mfcc"}


def test_half_precision_trains(main, tones):
    status, out, err = main(
        *RUN, "--dataset", tones, "--train.precision", "bfloat16", "--views.mode", "same", "--json"
    )
    assert status == 0, err
    assert json.loads(out)["rows"]


def test_one_pretraining_serves_all_fractions(main, tones):
    main(*RUN, "--dataset", tones, "--fraction", "0.2,1.0", "--draws", "2")
    assert len(products("pretrained")) == 1
    assert len(products("embedded")) == 1
    assert len(products("probed")) == 3


def test_a_pretraining_set_of_its_own(main, tones, tmp_path):
    other = make_tones(tmp_path / "other", kind="tags")
    status, out, err = main(*RUN, "--dataset", tones, "--pretrain-dataset", other, "--json")
    assert status == 0, err
    assert json.loads(out)["rows"][0]["pretrain_dataset"] == "tracks"
    assert len(products("prepared")) == 2


def test_dry_run_says_what_is_there_and_does_nothing(main, tones):
    status, out, _ = main(*RUN, "--dataset", tones, "--dry-run", "--json")
    assert status == 0
    assert {row["state"].split()[0] for row in json.loads(out)["plan"]} == {"missing"}
    assert not Path(".bench").exists()
    main(*RUN, "--dataset", tones)
    _, out, _ = main(*RUN, "--dataset", tones, "--dry-run", "--json")
    assert {row["state"] for row in json.loads(out)["plan"]} == {"done"}
    _, out, _ = main(*RUN, "--dataset", tones, "--seed", "1", "--dry-run", "--json")
    assert {row["stage"]: row["state"] for row in json.loads(out)["plan"]} == {
        "prepare": "done",
        "pretrain": "missing",
        "embed": "missing",
        "probe": "missing",
        "score": "missing",
    }


def test_probe_settings_do_not_redo_pretraining(main, tones):
    main(*RUN, "--dataset", tones)
    status, out, err = main(
        *RUN, "--dataset", tones, "--probe", "mlp", "--probe.hidden", "8", "--json"
    )
    assert status == 0, err
    assert {row["probe"] for row in json.loads(out)["rows"]} == {"mlp"}
    assert len(products("pretrained")) == 1


def test_one_labelled_track_is_enough_for_supervised(main, tones):
    status, _, err = main(
        "run",
        "--method",
        "supervised",
        "--steps",
        "3",
        *TINY,
        "--dataset",
        tones,
        "--fraction",
        "0.01",
    )
    assert status == 0, err


def test_settings_of_every_cell_are_checked_before_the_first_is_computed(main, tones):
    status, _, err = main("run", "--method", "random_init,mfcc", *TINY, "--dataset", tones)
    assert status == 2
    assert "unknown setting of mfcc" in err.splitlines()[-1]
    assert not Path(".bench/prepared").exists()


@pytest.mark.parametrize("flag", ["--home", "--results"])
def test_a_folder_that_cannot_be_written(main, tones, flag):
    Path("file").write_text("not a folder")
    status, _, err = main(*RUN, "--dataset", tones, flag, "file/inside")
    assert status == 2
    assert "cannot write to file/inside" in err.splitlines()[-1]


@pytest.mark.parametrize("limit", [2_000, 60_000, 500_000])
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(bench, tones, limit):
    """A limit on the size of files stands for a full disk: the same calls fail."""
    code = (
        "import resource, sys; from bench.cli.main import main; "
        "import bench.stages.run, bench.heads;"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY)); "
        "main(sys.argv[1:])"
    )
    command = [
        sys.executable,
        "-c",
        code,
        *RUN,
        "--dataset",
        str(tones),
        "--train.checkpoint_seconds",
        "0.001",
    ]
    full = subprocess.run(
        command, cwd=tones.parent.parent, capture_output=True, text=True, timeout=120
    )
    assert full.returncode == 2, full.stderr
    assert "no space left" in full.stderr.splitlines()[-1]
    assert "Traceback" not in full.stderr
    assert not list((tones.parent.parent / "results").glob("runs/*"))
    # With room again, the same command ends well and equals a run that never met the wall.
    again = json.loads(bench(*RUN, "--dataset", tones, "--json").stdout)
    clean = json.loads(
        bench(*RUN, "--dataset", tones, "--json", "--home", "clean", "--results", "clean").stdout
    )
    assert [row["value"] for row in again["rows"]] == [row["value"] for row in clean["rows"]]


@pytest.mark.parametrize("text", ['{"schema_version": 99}', '{"schema_version": 3, "cell"', "[]"])
def test_a_damaged_result_is_named_and_made_again(main, tones, text):
    main(*RUN, "--dataset", tones)
    (stored,) = Path("results/runs").glob("*.json")
    whole = json.loads(stored.read_text())
    stored.write_text(text)
    status, _, err = main(*RUN, "--dataset", tones)
    assert status == 0
    assert str(stored) in err
    assert "it is made again" in err
    assert json.loads(stored.read_text())["metrics"] == whole["metrics"]


def test_resource_limits_are_real():
    """The stand-in for a full disk above works only where the system has this limit."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    assert os.name == "posix"
