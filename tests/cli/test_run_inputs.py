"""Whole runs on odd data: bad tables, bad audio, and tracks that must not be used."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.cli.commands import RUN
from tests.conftest import RATE, make_tones, tone, write_csv


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
        (
            "path,label,split,track_id\na.wav,x,train,1\nb.wav,y,test,1\n",
            "track_id '1' stands in two splits",
        ),
        ("path,label,split\na.wav,x,train\na.wav,y,train\n", "stands twice"),
        ("path,label,split\na.wav,x,train\nb.wav,y,train\n", "no test tracks"),
        ("path,label\na.wav,x\nb.wav,y\n", "cannot draw a split of 2 groups"),
        ("path,label\n\xe9.wav,x\n", "not a readable CSV"),
        ("path,path,label\na.wav,b.wav,x\n", "a column stands twice"),
        ("path,label\na.wav,x,y\n", "line 2: more values than columns"),
        ("path,label,split\na.wav,x,train\n./a.wav,y,test\n", "stands in two splits"),
    ],
)
def test_bad_csv_is_one_line_and_status_2(main, text, expected, tmp_path):
    (tmp_path / "bad.csv").write_bytes(text.encode("latin-1"))
    status, out, err = main(*RUN, "--dataset", "bad.csv")
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert expected in err
    assert "bad.csv" in err or "split" in err


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
