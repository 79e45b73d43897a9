"""Leaks between data sets: copies are found whatever was done to them, and other music is not taken for a copy."""

import csv
import io
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import soxr
from scipy.signal import lfilter

from bench.core.errors import InputError
from bench.data import fingerprint as prints
from bench.data import leaks, tracks_csv
from bench.data.fingerprint import Index, Library, fingerprint
from bench.data.leaks import exclusions, find_leaks, normalised, read_exclusions, write_exclusions
from bench.data.prepared import Prepared, open_prepared
from bench.stages.prepare.store import prepare

RATE = 16_000
SECONDS = 14.0
SCALE = np.array([0, 2, 4, 5, 7, 9, 11])


def music(seed: int, seconds: float = SECONDS, band: int = 0) -> np.ndarray:
    """Chords, a melody and noise bursts in a random rhythm.

    Of one band, instruments, tempo and key stay the same.
    """
    rng, style = np.random.default_rng(seed), np.random.default_rng(1_000_000 + band)
    beat, key = 60 / style.uniform(80, 160), style.integers(45, 57)
    voices = style.uniform(0.2, 1.0, (2, 6)) / np.arange(1, 7)
    audio = np.zeros(round((seconds + 4) * RATE), np.float32)
    time = 0.0
    while time < seconds:
        length = beat * rng.choice([0.5, 1.0, 1.5])
        degrees = (
            rng.integers(0, 7) + np.array([0, 2, 4])
            if rng.random() < 0.4
            else rng.integers(0, 14, 1)
        )
        clock = np.arange(round((length + 0.3) * RATE)) / RATE
        decay = np.exp(-clock * rng.uniform(1.5, 4.0)).astype(np.float32)
        start = round(time * RATE)
        for degree in degrees:
            pitch = 440 * 2 ** ((key - 69 + SCALE[degree % 7] + 12 * (degree // 7)) / 12)
            partials = voices[int(len(degrees) > 1)][:, None] * np.sin(
                2 * np.pi * pitch * np.arange(1, 7)[:, None] * clock
            )
            audio[start : start + len(clock)] += 0.1 * decay * partials.sum(axis=0)
        if rng.random() < 0.5:
            burst = rng.normal(size=round(0.08 * RATE)) * np.exp(
                -np.linspace(0, 6, round(0.08 * RATE))
            )
            audio[start : start + len(burst)] += 0.15 * burst
        time += length
    return audio[: round(seconds * RATE)]


def pcm(audio: np.ndarray) -> np.ndarray:
    return np.round(np.clip(audio, -1, 1) * 32767).astype(np.int16)


def encoded(
    audio: np.ndarray, kind: str, subtype: str, level: float, rate: int = RATE
) -> np.ndarray:
    """Through an encoder of libsndfile and back.

    Level 0 is the best quality, 1 the lowest bit rate.
    """
    file = io.BytesIO()
    constant = {"bitrate_mode": "CONSTANT"} if kind == "MP3" else {}
    soundfile.write(
        file, audio, rate, format=kind, subtype=subtype, compression_level=level, **constant
    )
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0]


def with_noise(audio: np.ndarray, decibels: float) -> np.ndarray:
    noise = np.random.default_rng(9).normal(size=len(audio))
    return audio + noise * audio.std() * 10 ** (-decibels / 20)


CHANGES = {
    "mp3": lambda audio: encoded(audio, "MP3", "MPEG_LAYER_III", 0.9),
    "ogg": lambda audio: encoded(audio, "OGG", "VORBIS", 1.0),
    "opus": lambda audio: encoded(audio, "OGG", "OPUS", 0.95),
    "equaliser": lambda audio: lfilter([1, -0.6], [1, -0.2], audio),
    "louder": lambda audio: 3 * audio,
    "quieter": lambda audio: audio / 100,
    "noise": lambda audio: with_noise(audio, 20),
    "other way up": lambda audio: -audio,
    "cut": lambda audio: audio,
}


@pytest.fixture(scope="module")
def tracks() -> list[np.ndarray]:
    """48 pieces by 6 bands."""
    return [pcm(music(seed, band=seed // 8)) for seed in range(48)]


def library(tracks: list[np.ndarray], rate: int = RATE) -> Library:
    made = [fingerprint(track, rate) for track in tracks]
    columns = [
        np.concatenate([getattr(one, name) for one in made]) for name in ("codes", "weak", "strong")
    ]
    return Library(*columns, np.cumsum([0, *(len(one.codes) for one in made)]))


@pytest.fixture(scope="module")
def index(tracks) -> Index:
    return Index(library(tracks), 0, len(tracks))


# ---- fingerprints ----


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_is_found_and_nothing_else(index, tracks, change):
    for number in range(5, 48, 12):
        start = RATE + 137 * number  # no multiple of a hop
        copy = pcm(CHANGES[change](tracks[number][start : -RATE // 2] / 32767))
        (match,) = index.find(fingerprint(copy, RATE))
        assert match.track == number
        assert match.offset_seconds == pytest.approx(start / RATE, abs=0.1)
        assert match.matched_seconds > 0.8 * len(copy) / RATE
        assert match.bit_error_rate < 0.08


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_stores_of_other_rates_are_compared(index, tracks, rate):
    copy = soxr.resample(tracks[11] / 32767, RATE, rate)
    (match,) = index.find(fingerprint(pcm(copy), rate))
    assert (match.track, round(match.offset_seconds, 1)) == (11, 0.0)
    assert match.bit_error_rate < 0.02


def test_pieces_of_one_band_are_told_apart(index, tracks):
    made = index._library
    assert not any(index.find(made.track(number), but=number) for number in range(len(tracks)))


def test_the_same_music_at_another_speed_is_no_copy(index, tracks):
    assert not index.find(fingerprint(tracks[3], round(RATE * 1.06)))


def test_an_excerpt_of_a_long_track_is_found_where_it_lies(tracks):
    long = np.concatenate(tracks[:10])
    index = Index(library([long, *tracks[20:24]]), 0, 5)
    (match,) = index.find(fingerprint(tracks[7], RATE))
    assert match.track == 0
    assert match.offset_seconds == pytest.approx(7 * SECONDS, abs=0.05)


def test_a_passage_in_common_is_measured(tracks):
    first = np.concatenate([tracks[1], tracks[2][: 6 * RATE], tracks[3]])
    second = np.concatenate([tracks[4][: 5 * RATE], tracks[2][: 6 * RATE], tracks[5]])
    (match,) = Index(library([second]), 0, 1).find(fingerprint(first, RATE))
    assert match.offset_seconds == pytest.approx(5 - SECONDS, abs=0.03)
    assert match.matched_seconds == pytest.approx(6.0, abs=2.0)  # a second at either end


def test_silence_tones_and_steady_noise_match_nothing(tracks):
    clock = np.arange(round(SECONDS * RATE)) / RATE
    noise = np.random.default_rng(0).normal(size=(2, len(clock)))
    dull = [
        np.zeros(len(clock)),
        np.full(len(clock), 1e-4),
        0.3 * np.sin(2 * np.pi * 440 * clock),
        0.4 * np.sin(2 * np.pi * 440 * clock),
        0.3 * np.sin(2 * np.pi * 440 * clock) + 0.3 * np.sin(2 * np.pi * 660 * clock),
        0.3 * np.sign(np.sin(2 * np.pi * 220 * clock)),
        1e-5 * noise[0],
        0.1 * noise[0],
        0.1 * noise[1],
    ]
    everything = [*map(pcm, dull), *tracks[:8]]
    made = library(everything)
    index = Index(made, 0, len(everything))
    assert not [
        match
        for number in range(len(everything))
        for match in index.find(made.track(number), but=number)
    ]
    assert (made.track(0).strong == 0).all()
    assert (made.track(2).strong == 0).mean() > 0.95


def test_music_over_the_same_drum_loop_is_told_apart(tracks):
    bar = np.tile(music(999, seconds=2.0, band=99), 7)
    mixed = [pcm(0.5 * bar[: len(track)] + track / 32767) for track in tracks[:16]]
    made = library(mixed)
    index = Index(made, 0, len(mixed))
    found = [
        match
        for number in range(len(mixed))
        for match in index.find(made.track(number), but=number)
    ]
    assert len(found) <= 2  # of 240


def test_silence_inside_a_copy_does_not_hide_it(index, tracks):
    copy = tracks[30].copy()
    copy[5 * RATE : 8 * RATE] = 0
    (match,) = index.find(fingerprint(copy, RATE))
    assert match.track == 30


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.3, 0.47, 0.5, 4.0])
def test_short_tracks_have_fingerprints_and_no_matches(index, tracks, seconds):
    track = tracks[0][: round(seconds * RATE)]
    made = fingerprint(track, RATE)
    assert len(made.codes) == len(made.weak) == len(made.strong)
    assert not index.find(made)


def test_the_shortest_track_that_can_be_recognised(index, tracks):
    length = round((prints.SHORTEST_SECONDS + 0.05) * RATE)
    (match,) = index.find(fingerprint(tracks[9][RATE : RATE + length], RATE))
    assert match.track == 9


def test_resampling_in_chunks_changes_nothing(tracks, monkeypatch):
    whole = fingerprint(tracks[0], RATE)
    monkeypatch.setattr(prints, "_CHUNK", 10_007)
    chunks = fingerprint(tracks[0], RATE)
    assert np.array_equal(whole.strong, chunks.strong)
    assert (whole.codes == chunks.codes).mean() > 0.999


def test_bits_follow_the_formula_of_the_paper(tracks):
    made, frame = fingerprint(tracks[0], RATE), 200
    audio = soxr.resample(tracks[0].astype(np.float32), RATE, 6_000, quality="LQ")
    edges = np.round(np.geomspace(300, 2_000, 34) * 2_048 / 6_000).astype(int)

    def energies(number: int) -> list[float]:
        window = np.hanning(2_049)[:-1]
        power = np.abs(np.fft.rfft(audio[128 * number :][:2_048] * window)) ** 2
        return [power[low:high].sum() for low, high in pairwise(edges)]

    now, before = energies(frame), energies(frame - 6)
    changes = [
        (now[band + 1] - now[band]) - (before[band + 1] - before[band]) for band in range(32)
    ]
    bits = [int(made.codes[frame - 6]) >> (31 - band) & 1 for band in range(32)]
    assert bits == [int(change > 0) for change in changes]
    order = np.argsort(np.abs(changes))
    assert int(made.weak[frame - 6]) == sum(1 << (31 - int(band)) for band in order[:3])
    assert int(made.strong[frame - 6]) == sum(1 << (31 - int(band)) for band in order[-8:])


def test_flips_are_every_choice_of_weak_bits():
    flipped = prints._flipped(np.array([0b1010], np.uint32), np.array([0b1101], np.uint32))
    assert sorted(flipped[0].tolist()) == sorted(
        {0b1010 ^ mask for mask in range(16) if mask & 0b0010 == 0}
    )


# ---- leaks of prepared data sets ----


Row = dict[str, Any]


def data_set(
    folder: Path, rows: list[Row], audio: dict[str, np.ndarray], rate: int = RATE
) -> Prepared:
    """A prepared data set of tracks given as samples at 16 kHz.

    `rows` are those of its CSV, with `audio` for path.
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
    """40 tracks to pretrain on.

    12 to test on, of which 1 is the same, 5 are copies, and 1 has an artist in common.
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
    """Nobody looks."""


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
    monkeypatch.setattr(leaks, "_INDEX_FRAMES", 1_500)
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
    assert told("test", "train") == [
        ("t0", "t6", "identical")
    ]  # asked the other way, told the other way
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


@pytest.mark.parametrize(
    ("one", "other"),
    [("The Beatles", "beatles"), ("Sigur Rós", "SIGUR  ROS"), ("Simon & Garfunkel", "Simon and Garfunkel"),
     ("AC/DC", "ac dc"), ("Straße", "STRASSE"), ("\uff26ull", "full")],
)  # fmt: skip
def test_spellings_of_a_name(one, other):
    assert normalised(one) == normalised(other)


# ---- the exclusion file ----


def test_exclusions_are_written_and_read(found, pair, tmp_path):
    heard = [f"p0{number}" for number in range(5, 10)] + ["p30"]
    assert exclusions(found) == heard
    assert exclusions(found, ("identical",)) == ["p30"]
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
            '{"schema": 1, "what": "tracks to leave out of pretraining", "track_ids": [], "first": {}}',
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
