"""Leaks between prepared data sets, and the files that say which tracks to exclude."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from bench.core.errors import InputError
from bench.data import leak_pairs, leaks, tracks_csv
from bench.data.leaks import exclusions, find_leaks, read_exclusions, write_exclusions
from bench.data.prepared import Prepared, open_prepared
from bench.stages.prepare.store import prepare
from tests.data.copies import CHANGES, RATE, SECONDS, pcm

Row = dict[str, Any]


def data_set(
    folder: Path, rows: list[Row], audio: dict[str, np.ndarray], rate: int = RATE
) -> Prepared:
    """Prepares a data set.

    Args:
        folder: where it is written.
        rows: of its CSV, with `audio`, the name of a track, in place of `path`.
        audio: name of each track -> its samples at 16 kHz.
        rate: sample rate that it is prepared at, in Hz.
    """
    folder.mkdir(parents=True)
    for name, samples in audio.items():
        soundfile.write(folder / f"{name}.wav", samples, RATE, subtype="PCM_16")
    columns = {"label": "", "split": "train", "group": "", "artist": ""}
    lines = [
        {
            "track_id": row["audio"],
            **columns,
            "label": "ab"[place % 2],
            **row,
            "path": f"{row['audio']}.wav",
        }
        for place, row in enumerate(rows)
    ]
    pd.DataFrame(lines).drop(columns="audio").to_csv(folder / "tracks.csv", index=False)
    manifest = tracks_csv.manifest(folder / "tracks.csv", tracks_csv.CsvSettings())
    prepare(manifest, folder, rate, folder, lambda done, total: None)
    return open_prepared(folder)


@pytest.fixture(scope="module")
def pair(tmp_path_factory, tracks) -> tuple[Prepared, Prepared]:
    """Two data sets: 40 tracks to pretrain on, and 12 to test on.

    Of the 12, one has the same samples, five are copies, and one has an artist in common.
    """
    folder = tmp_path_factory.mktemp("pair")
    named = {f"p{number:02}": tracks[number] for number in range(40)}
    rows: list[Row] = [
        {"audio": name, "group": f"band {number}"} for number, name in enumerate(named)
    ]
    rows[0]["split"] = "valid"
    rows[1]["split"] = "test"
    rows[20]["artist"] = "The Béatles"
    rows[21]["artist"] = rows[22]["artist"] = "Various Artists"
    rows[23]["group"] = ""
    first = data_set(folder / "first", rows, named)
    changes = ["mp3", "ogg", "opus", "noise", "equaliser"]
    copies = {
        f"c{number}": pcm(CHANGES[change](tracks[number][1_000 * number : -RATE] / 32767))
        for number, change in zip(range(5, 10), changes, strict=True)
    }
    other = {"same": tracks[30], **{f"n{number}": tracks[number] for number in range(40, 46)}}
    rows = [{"audio": name, "split": "test"} for name in [*copies, *other]]
    rows[-1]["artist"], rows[-2]["artist"], rows[-3]["group"] = "beatles", "various artists", "p23"
    rows[-4]["split"], rows[-5]["split"] = "train", "valid"
    return first, data_set(folder / "second", rows, {**copies, **other})


def no_progress(done: int, total: int) -> None:
    """Takes the progress, which these tests do not look at."""


@pytest.fixture(scope="module")
def found(pair) -> leaks.Leaks:
    first, second = pair
    return find_leaks(first, second, first.rows("all"), second.rows("all"), no_progress)


def test_five_copies_and_the_same_track_are_found(found):
    heard = [(row.first, row.second, row.kind) for row in found.rows if row.kind != "artist"]
    copies = [(f"p0{number}", f"c{number}", "near-duplicate") for number in range(5, 10)]
    assert heard == [*copies, ("p30", "same", "identical")]
    for row in found.rows[:5]:
        number = int(row.first[1:])
        assert row.second_split == "test"
        assert row.offset_seconds == pytest.approx(-1_000 * number / RATE, abs=0.1)
        assert row.matched_seconds > 10
        assert 0 < row.bit_error_rate < 0.08
    same = next(row for row in found.rows if row.kind == "identical")
    assert (same.offset_seconds, same.matched_seconds, same.bit_error_rate) == (0.0, SECONDS, 0.0)


def test_an_artist_in_common_is_found(found):
    shared = [(row.first, row.second, row.name) for row in found.rows if row.kind == "artist"]
    assert shared == [("p20", "n45", "The Béatles")]


def test_the_table_and_the_counts(found):
    table = found.as_table()
    names = [
        "first",
        "second",
        "second_split",
        "kind",
        "offset_seconds",
        "matched_seconds",
        "bit_error_rate",
        "name",
    ]
    assert list(table) == names
    assert len(table) == len(found.rows) == 7
    assert (
        found.counts()
        == found.counts("second")
        == {"identical": 1, "near-duplicate": 5, "artist": 1}
    )
    assert len(list(csv.reader(io.StringIO(table.to_csv(index=False))))) == 8
    empty = replace(found, rows=()).as_table()
    assert list(empty) == names
    assert empty.empty


def test_nothing_depends_on_blocks_or_on_the_run(pair, found, monkeypatch):
    monkeypatch.setattr(leak_pairs, "_INDEX_FRAMES", 1_500)
    first, second = pair
    steps: list[tuple[int, int]] = []
    again = find_leaks(
        first,
        second,
        first.rows("all"),
        second.rows("all"),
        lambda done, total: steps.append((done, total)),
    )
    assert again.as_table().equals(found.as_table())
    assert steps[-1][0] == steps[-1][1] > 3 * 40
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})


def test_rows_choose_what_is_compared(pair):
    first, second = pair
    chosen = find_leaks(first, second, [5, 6, 30], second.rows("test"), no_progress)
    assert [row.first for row in chosen.rows] == ["p05", "p06", "p30"]
    assert (chosen.first["compared"], chosen.second["compared"]) == (3, 10)
    none = find_leaks(first, second, [], [], no_progress)
    assert none.rows == ()


def test_of_other_rates_the_same_track_is_a_near_duplicate(pair, tmp_path, tracks):
    first, _ = pair
    rows = [
        {"audio": f"q{number}", "split": split}
        for number, split in enumerate(["train", "train", "test"])
    ]
    other = data_set(
        tmp_path / "other",
        rows,
        {f"q{number}": tracks[number + 5] for number in range(3)},
        rate=22_050,
    )
    heard = find_leaks(first, other, first.rows("all"), other.rows("all"), no_progress).rows
    assert [(row.first, row.second, row.kind) for row in heard] == [
        (f"p0{number + 5}", f"q{number}", "near-duplicate") for number in range(3)
    ]
    assert all(row.bit_error_rate < 0.01 and row.offset_seconds == 0 for row in heard)


def test_a_set_with_itself(tmp_path, tracks):
    audio = {f"t{number}": tracks[number] for number in range(6)}
    audio["t6"], audio["t7"] = tracks[0], pcm(CHANGES["mp3"](tracks[1] / 32767))
    splits = ["test", "train", "train", "valid", "test", "train", "train", "train"]
    rows: list[Row] = [
        {"audio": name, "split": split, "group": f"g{number}"}
        for number, (name, split) in enumerate(zip(audio, splits, strict=True))
    ]
    rows[2]["artist"] = rows[3]["artist"] = rows[5]["artist"] = "One"
    data = data_set(tmp_path / "one", rows, audio)
    expected = [
        ("t2", "t3", "artist"),
        ("t5", "t3", "artist"),
        ("t6", "t0", "identical"),
        ("t7", "t1", "near-duplicate"),
    ]

    def told(first: str, second: str) -> list[tuple[str, str, str]]:
        heard = find_leaks(data, data, data.rows(first), data.rows(second), no_progress)
        return [(row.first, row.second, row.kind) for row in heard.rows]

    assert [row for row in told("all", "all") if row[0] != "t3"] == expected
    assert told("train", "test") == [("t6", "t0", "identical")]
    # Asked in the other direction, the pair is reported in the other direction.
    assert told("test", "train") == [("t0", "t6", "identical")]
    assert told("train", "valid") == [("t2", "t3", "artist"), ("t5", "t3", "artist")]
    assert told("train", "train") == [("t7", "t1", "near-duplicate")]


def test_numbers_of_other_data_sets_are_no_artists(tmp_path, tracks):
    def numbered(name: str, groups: list[str]) -> Prepared:
        audio = {f"{name}{number}": tracks[number + 8 * (name == "b")] for number in range(4)}
        rows = [
            {"audio": track, "group": group, "split": split}
            for track, group, split in zip(
                audio, groups, ["train", "train", "test", "test"], strict=True
            )
        ]
        return data_set(tmp_path / name, rows, audio)

    first, second = numbered("a", ["1", "2", "3", "band"]), numbered("b", ["1", "3", "4", "Band"])
    shared = find_leaks(first, second, first.rows("all"), second.rows("all"), no_progress).rows
    assert [(row.first, row.second) for row in shared] == [("a3", "b3")]
    own = find_leaks(first, first, first.rows("all"), first.rows("all"), no_progress)
    assert own.rows == ()


def test_exclusions_are_written_and_read(found, pair, tmp_path):
    heard = [f"p0{number}" for number in range(5, 10)] + ["p30"]
    assert exclusions(found) == heard
    identical: tuple[leaks.Kind, ...] = ("identical",)
    assert exclusions(found, identical) == ["p30"]
    path = tmp_path / "exclude.json"
    assert write_exclusions(path, found) == heard
    assert read_exclusions(path) == read_exclusions(path, pair[0]) == heard
    content = json.loads(path.read_text())
    assert content["schema"] == 1
    assert content["kinds"] == ["identical", "near-duplicate"]
    for side, data in zip(("first", "second"), pair, strict=True):
        assert content[side]["data_hash"] == data.facts["data_hash"]


def test_a_file_for_another_data_set_is_refused(found, pair, tmp_path):
    path = tmp_path / "exclude.json"
    write_exclusions(path, found)
    with pytest.raises(InputError, match="made for data set"):
        read_exclusions(path, pair[1])
    facts = {"tracks_hash": found.first["tracks_hash"]}
    fewer: Any = SimpleNamespace(facts=facts, tracks=pair[0].tracks.iloc[:20])
    with pytest.raises(InputError, match="1 tracks are not in the data set, the first 'p30'"):
        read_exclusions(path, fewer)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no JSON"),
        ("[1]", "not an exclusion file"),
        ('{"schema": 1}', "not an exclusion file"),
        (
            '{"schema": 2, "what": "tracks to leave out of pretraining"}',
            "schema 2; this version reads 1",
        ),
        (
            '{"schema": 1, "what": "tracks to leave out of pretraining", "track_ids": [1]}',
            "'track_ids'",
        ),
        (
            '{"schema": 1, "what": "tracks to leave out of pretraining", "track_ids": [], '
            '"first": {}}',
            "'first'",
        ),
    ],
)
def test_files_that_are_none_are_refused_in_one_line(tmp_path, content, message):
    path = tmp_path / "exclude.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as refused:
        read_exclusions(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_cannot_be_opened_is_an_error(found, tmp_path):
    with pytest.raises(InputError, match=r"cannot be read \(no such file"):
        read_exclusions(tmp_path / "none.json")
    with pytest.raises(InputError, match=r"cannot be written \(no such file"):
        write_exclusions(tmp_path / "nowhere" / "exclude.json", found)
