"""The command: whole runs on real files, and one clear line with exit status 2 for whatever cannot be used."""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.results import SCHEMA
from tests.conftest import RATE, TINY, make_tones, tone, write_csv

RUN = ["run", "--method", "simclr", "--steps", "3", *TINY]


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


def test_finished_cells_need_no_heavy_import(bench, tones):
    arguments = [*RUN, "--dataset", tones, "--json"]
    bench(*arguments)
    # At exit, since the command ends the process itself.
    code = (
        "import atexit, sys; from bench.cli.main import main;"
        "atexit.register(lambda: print('loaded:', *sys.modules)); main(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=tones.parent.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.splitlines()[-1].split()
    assert loaded[0] == "loaded:"
    assert not {"torch", "lightly", "mlflow"} & set(loaded)


def test_help_imports_nothing_heavy():
    code = "import sys; from bench.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass\nprint(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"torch", "numpy", "pandas", "lightly", "mlflow", "submitit", "soundfile"} & set(
        loaded
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
    assert len(list(Path(".bench/pretrained").glob("*"))) == 1
    assert len(list(Path(".bench/embedded").glob("*"))) == 1
    assert len(list(Path(".bench/probed").glob("*"))) == 3


def test_a_pretraining_set_of_its_own(main, tones, tmp_path):
    other = make_tones(tmp_path / "other", kind="tags")
    status, out, err = main(*RUN, "--dataset", tones, "--pretrain-dataset", other, "--json")
    assert status == 0, err
    assert json.loads(out)["rows"][0]["pretrain_dataset"] == "tracks"
    assert len(list(Path(".bench/prepared").glob("*"))) == 2


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
        "prepare": "done", "pretrain": "missing", "embed": "missing", "probe": "missing", "score": "missing",
    }  # fmt: skip


def test_probe_settings_do_not_redo_pretraining(main, tones):
    main(*RUN, "--dataset", tones)
    status, out, err = main(
        *RUN, "--dataset", tones, "--probe", "mlp", "--probe.hidden", "8", "--json"
    )
    assert status == 0, err
    assert {row["probe"] for row in json.loads(out)["rows"]} == {"mlp"}
    assert len(list(Path(".bench/pretrained").glob("*"))) == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "--method", "vicregg"], "did you mean 'vicreg'"),
        (["run", "--method", "vicreg", "--fraction", "0"], "out of range"),
        (["run", "--method", "vicreg", "--fraction", "1.5"], "out of range"),
        (["run", "--method", "vicreg", "--fraction", "-0.1"], "out of range"),
        (["run", "--method", "vicreg", "--fraction", "nan"], "out of range"),
        (["run", "--method", "vicreg", "--fraction", "abc"], "no number"),
        (["run", "--method", "vicreg", "--fraction", ""], "no number"),
        (["run", "--method", "vicreg", "--draws", "0"], "1 or more"),
        (["run", "--method", "vicreg", "--draws", "two"], "--draws"),
        (["run", "--method", "vicreg", "--seed", "-1"], "0 or more"),
        (["run", "--method", "vicreg", "--steps", "0"], "train.steps"),
        (["run", "--method", "vicreg", "--train.stepz", "3"], "did you mean 'train.steps'"),
        (["run", "--method", "vicreg", "--method.temprature", "1", "--dry-run"], "unknown setting of vicreg"),
        (["run", "--method", "simclr", "--method.temprature", "1", "--dry-run"], "did you mean 'method.temperature'"),
        (["run", "--method", "simclr", "--method.temperature", "-1", "--dry-run"], "greater than 0"),
        (["run", "--method", "simclr", "--method.temperature"], "needs a value"),
        (["run", "--method", "simclr", "--train.learning_rate", "fast"], "train.learning_rate = 'fast'"),
        (["run", "--method", "simclr", "--train.learning_rate", "NaN"], "train.learning_rate"),
        (["run", "--method", "simclr", "--dataset.trakcs", "9", "--dry-run"], "did you mean 'dataset.tracks'"),
        (["run", "--method", "simclr", "--nonsense.x", "9"], "unknown setting 'nonsense'"),
        (["run", "--method", "simclr", "--method.name", "byol"], "method.name is no setting; name it by --method"),
        (["run", "--method", "simclr", "--dataset.name", "3"], "name it by --dataset"),
        (["run", "--method", "simclr", "--steps", "9", "--train.steps", "7"], "train.steps is given twice"),
        (["run", "--method", "simclr", "--train.betas", "[2,3]"], "train.betas.0 = 2"),
        (["run", "--method", "simclr", "--probe.learning_rates", "[]"], "probe.learning_rates"),
        (["run", "--method", "simclr", "--encoder.blocks", "[0]", "--dry-run"], "encoder.blocks.0 = 0"),
        (["run", "--method", "simclr", "--dataset", "x" * 300 + ".csv"], "no such file"),
        (["run", "--method", "simclr", "--nonsense", "9"], "--nonsense"),
        (["run", "--method", "simclr", "--dataset", "midibnd"], "did you mean 'midiband'"),
        (["run", "--method", "simclr", "--encoder", "resnet_smal"], "did you mean 'resnet_small'"),
        (["run", "--method", "simclr", "--recipe", "quik"], "did you mean 'quick'"),
        (["run", "--method", "simclr", "--recipe", "none.toml"], "no such recipe file"),
        (["run", "--method", "simclr", "--dataset", "none.csv"], "no such file: none.csv"),
        (["run", "--method", "simclr", "--probe", "forest"], "linear"),
        (["run", "--method", "simclr", "--plugins", "nowhere"], "--plugins nowhere"),
        (["run", "--method", "mfcc", "--encoder", "resnet"], "its own encoder"),
        (["run", "--method", "supervised", "--pretrain-dataset", "x.csv"], "leave --pretrain-dataset out"),
        (["run", "--method", "simclr", "--device", "cuda", "--dataset", "CSV"], "no GPU"),
        (["run"], "--method"),
        (["rnu"], "Did you mean"),
        (["list", "method"], "methods"),
    ],
)  # fmt: skip
def test_bad_flags_are_one_line_and_status_2(main, arguments, expected, tones, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    status, out, err = main(
        *[str(tones) if argument == "CSV" else argument for argument in arguments]
    )
    assert status == 2
    assert out == ""
    assert expected in err.splitlines()[-1]
    assert "Traceback" not in err
    assert not list(Path().glob(".bench/*/*.part"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "empty"),
        ("path,label\n", "no tracks"),
        ("file,label\na.wav,x\n", "a column 'path'"),
        ("path,genre\na.wav,x\n", "'label'"),
        ("path,label,tags\na.wav,x,y\n", "one of 'label'"),
        ("path,label\n,x\n", "line 2: no path"),
        ("path,label\na.wav,\n", "line 2: no label"),
        ("path,label\na.wav,x\nb.wav,x\n", "1 different classes"),
        ("path,label,split\na.wav,x,train\nb.wav,y,tset\n", "line 3: split 'tset'"),
        ("path,label,split\na.wav,x,train\nb.wav,y,\n", "line 3: no split"),
        ("path,label,split\na.wav,x,train\na.wav,y,test\n", "two splits"),
        ("path,label,split,track_id\na.wav,x,train,1\nb.wav,y,test,1\n", "track_id '1' stands in two splits"),
        ("path,label,split\na.wav,x,train\na.wav,y,train\n", "stands twice"),
        ("path,label,split\na.wav,x,train\nb.wav,y,train\n", "no test tracks"),
        ("path,label\na.wav,x\nb.wav,y\n", "cannot draw a split of 2 groups"),
        ("path,label\n\xe9.wav,x\n", "not a readable CSV"),
        ("path,path,label\na.wav,b.wav,x\n", "a column stands twice"),
        ("path,label\na.wav,x,y\n", "line 2: more values than columns"),
        ("path,label,split\na.wav,x,train\n./a.wav,y,test\n", "stands in two splits"),
    ],
)  # fmt: skip
def test_bad_csv_is_one_line_and_status_2(main, text, expected, tmp_path):
    (tmp_path / "bad.csv").write_bytes(text.encode("latin-1"))
    status, out, err = main(*RUN, "--dataset", "bad.csv")
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert expected in err
    assert "bad.csv" in err or "split" in err


RECIPES = {
    "many": ('[train]\nsteps = "many"\n', "train.steps = 'many'"),
    "string": ('encoder = "resnet"\n', "'encoder' must be a table"),
    "array": ("[[train]]\nsteps = 3\n", "'train' must be a table"),
    "for": ("for = 3\n", "'for' must be a table"),
    "for method": ("[for]\nvicreg = 3\n", "'vicreg' must be a table"),
    "for section": ("[for.vicreg]\ntrain = 3\n", "'train' must be a table"),
    "for unknown": ("[for.vicregg.train]\nsteps = 3\n", "did you mean 'vicreg'"),
    "section": ("[trian]\nsteps = 3\n", "did you mean 'train'"),
    "encoder": ("[encoder]\nname = 3\n", "encoder.name must be a name"),
    "name": ('[method]\nname = "simclr"\n', "method.name is no setting"),
    "toml": ("[train\n", "not a readable TOML"),
    "setting": ("[train]\nstepz = 3\n", "did you mean 'train.steps'"),
}


@pytest.mark.parametrize("case", RECIPES)
def test_bad_recipes_are_one_line_and_status_2(main, case, tmp_path):
    text, expected = RECIPES[case]
    (tmp_path / "mine.toml").write_text(text)
    status, out, err = main("run", "--method", "vicreg", "--recipe", "mine.toml", "--dry-run")
    assert (status, out) == (2, "")
    assert expected in err
    assert len(err.splitlines()) == 1


def test_a_recipe_may_leave_out_what_it_does_not_change(main, tones, tmp_path):
    (tmp_path / "mine.toml").write_text(
        "[train]\nbatch_size = 8\n\n[for.simclr.train]\nsteps = 2\n"
    )
    small = [
        "--encoder.width",
        "4",
        "--encoder.seconds",
        "1.0",
        "--probe.steps",
        "5",
        "--score.resamples",
        "20",
    ]
    status, _, err = main(
        "run", "--method", "simclr", "--recipe", "mine.toml", "--dataset", tones, *small
    )
    assert status == 0, err
    (stored,) = Path("results/runs").glob("*.json")
    assert json.loads(stored.read_text())["spec"]["train"]["steps"] == 2


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


def relabel(tracks: Path, change) -> None:
    lines = tracks.read_text().splitlines()
    rows = [dict(zip(lines[0].split(","), line.split(","), strict=True)) for line in lines[1:]]
    write_csv(tracks, [change(place, row) for place, row in enumerate(rows)])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda place, row: row | {"tags": "" if row["split"] == "valid" else row["tags"]},
            "among the 7 valid tracks",
        ),
        (lambda place, row: row | {"tags": "same"}, "among the 9 test tracks"),
        (
            lambda place, row: (
                row | {"split": "test" if place == 35 else "valid" if place > 20 else "train"}
            ),
            "the 1 test",
        ),
    ],
)
def test_what_cannot_be_scored_is_refused_before_training(main, tmp_path, change, expected):
    tracks = make_tones(tmp_path / "odd", kind="tags")
    relabel(tracks, change)
    status, out, err = main(*RUN, "--dataset", tracks)
    assert (status, out) == (2, "")
    assert expected in err.splitlines()[-1]
    assert not Path(".bench/pretrained").exists()


def test_settings_of_every_cell_are_checked_before_the_first_is_computed(main, tones):
    status, _, err = main("run", "--method", "random_init,mfcc", *TINY, "--dataset", tones)
    assert status == 2
    assert "unknown setting of mfcc" in err.splitlines()[-1]
    assert not Path(".bench/prepared").exists()


def test_pretraining_on_test_tracks_is_said(main, tones, tmp_path):
    leaky = tones.with_name("leaky.csv")
    leaky.write_text(tones.read_text())
    relabel(
        leaky,
        lambda place, row: (
            row | {"split": "train" if row["split"] == "test" else "valid" if place else "test"}
        ),
    )
    status, out, err = main(
        *RUN, "--dataset", tones, "--pretrain-dataset", leaky, "--train.batch_size", "4"
    )
    assert status == 0, err
    assert "9 of the tracks pretrained on are valid or test tracks" in err
    assert "pretrained on 9 of its valid and test tracks: scores are too high" in out


def test_a_narrow_terminal_keeps_every_number(monkeypatch, capsys):
    from bench.core import table

    monkeypatch.setattr(table, "_PIPE_WIDTH", 60)
    columns = ["method", "data set", "fraction", "mAP", "ROC-AUC"]
    table.show(
        table.Table(
            columns,
            [["vicreg", "midi[bold]band", "0.1", "0.396 [0.354, 0.404]", "0.708 [0.687, 0.728]"]],
        )
    )
    out = capsys.readouterr().out
    for text in (
        "vicreg",
        "midi[bold]band",
        "0.1",
        "0.396",
        "[0.354, 0.404]",
        "0.708",
        "[0.687, 0.728]",
    ):
        assert text in out


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    command = f"{sys.executable} -m bench list methods | true"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=tmp_path, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 0


def spoil(path: Path, how: str) -> None:
    audio = tone(300, 2.0, 0)
    if how == "missing":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "no audio":
        soundfile.write(path, audio[:0], RATE)
    elif how == "truncated":
        path.write_bytes(path.read_bytes()[:4000])
    elif how == "silent":
        soundfile.write(path, np.zeros(RATE, np.float32), RATE)
    elif how == "NaN":
        soundfile.write(
            path, np.where(np.arange(len(audio)) > 9000, np.nan, audio), RATE, subtype="FLOAT"
        )
    elif how == "text":
        path.write_text("this is no audio")


SPOILT = ["missing", "empty", "no audio", "truncated", "silent", "NaN", "text"]


def test_bad_files_are_left_out_counted_and_named(main, tones):
    for place, how in enumerate(SPOILT):
        spoil(tones.parent / f"audio/{place:02}.wav", how)
    status, out, err = main(*RUN, "--dataset", tones)
    assert status == 0, err
    assert f"{len(SPOILT)} files left out" in err
    assert "audio/00.wav: file not found" in err
    assert f"{len(SPOILT)} files left out" in out
    (report,) = Path(".bench/prepared").glob("*/report.csv")
    reasons = report.read_text().splitlines()[1:]
    words = ["not found", "0 bytes", "0 frames", "truncated", "silent", "NaN", "not readable"]
    for reason, word in zip(reasons, words, strict=True):
        assert word in reason
    (stored,) = Path("results/runs").glob("*.json")
    assert len(json.loads(stored.read_text())["data"]["left_out"]) == len(SPOILT)


@pytest.mark.parametrize("how", SPOILT)
def test_a_split_without_a_readable_file_is_an_error(main, tones, how):
    for place in range(27, 36):
        spoil(tones.parent / f"audio/{place:02}.wav", how)
    status, out, err = main(*RUN, "--dataset", tones)
    assert (status, out) == (2, "")
    assert "none of the 9 test tracks could be read" in err
    assert "Traceback" not in err
    assert not Path("results/runs").exists()
    assert not [path for path in Path(".bench/prepared").glob("*") if path.suffix == ""]


def test_changed_audio_is_noticed(main, tones):
    _, first, _ = main(*RUN, "--dataset", tones, "--json")
    path = tones.parent / "audio/30.wav"
    time.sleep(0.02)
    soundfile.write(path, tone(4000, 2.0, 5), RATE)
    _, second, _ = main(*RUN, "--dataset", tones, "--json")
    assert json.loads(first)["files"] != json.loads(second)["files"]


@pytest.mark.parametrize("flag", ["--home", "--results"])
def test_a_folder_that_cannot_be_written(main, tones, flag):
    Path("file").write_text("not a folder")
    status, _, err = main(*RUN, "--dataset", tones, flag, "file/inside")
    assert status == 2
    assert "cannot write to file/inside" in err.splitlines()[-1]


@pytest.mark.parametrize("limit", [2_000, 60_000, 500_000])
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(bench, tones, limit):
    """A limit on the size of a file stands for a full disk: the same calls fail in the same places."""
    code = (
        "import resource, sys; from bench.cli.main import main; import bench.stages.run, bench.heads;"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY)); main(sys.argv[1:])"
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


def test_list_names_every_plug_in(main):
    for kind, names in {
        "methods": ["vicreg", "byol"],
        "encoders": ["resnet"],
        "datasets": ["midiband"],
        "recipes": ["quick"],
    }.items():
        status, out, _ = main("list", kind)
        assert status == 0
        assert all(name in out for name in names)


def test_short_clips_are_repeated_and_counted(main, tmp_path):
    tracks = make_tones(tmp_path / "short")
    for place in (3, 8, 30):
        soundfile.write(tracks.parent / f"audio/{place:02}.wav", tone(500, 0.2, place), RATE)
    status, out, err = main(*RUN, "--dataset", tracks)
    assert status == 0, err
    assert "3 tracks are shorter than a view: repeated to length" in out


def test_a_batch_larger_than_the_data_is_cut_and_said(main, tones):
    status, _, err = main(*RUN, "--dataset", tones, "--train.batch_size", "64")
    assert status == 0
    assert "batch of 64 cut to 20" in err


def test_a_csv_without_split_is_split_by_group(main, tmp_path):
    tracks = make_tones(tmp_path / "whole")
    lines = [line.rsplit(",", 2) for line in tracks.read_text().splitlines()]
    rows = [
        {"path": parts[0].split(",")[0], "label": parts[0].split(",")[1], "group": f"g{place // 3}"}
        for place, parts in enumerate(lines[1:])
    ]
    write_csv(tracks, rows)
    status, _, err = main(*RUN, "--dataset", tracks)
    assert status == 0, err
    assert "drew train/valid/test by group" in err
    import pandas as pd

    (stored,) = Path(".bench/prepared").glob("*/manifest.parquet")
    table = pd.read_parquet(stored)
    assert set(table["split"]) == {"train", "valid", "test"}
    assert (table.groupby("group")["split"].nunique() == 1).all()


def test_environment_names_the_folders(bench, tones, monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path / "scores"))
    bench(*RUN, "--dataset", tones)
    assert list((tmp_path / "scores/runs").glob("*.json"))
    assert (tmp_path / "elsewhere/pretrained").is_dir()


def test_resource_limits_are_real():
    """The stand-in for a full disk above works only where the system has this limit."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    assert os.name == "posix"
