"""Preparing: the store is the same however it came about, and what cannot be used is named."""

import dataclasses
import hashlib
import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import soxr
from hypothesis import given
from hypothesis import strategies as st

from bench.data import audio_files, decoders
from bench.data.decode import decode
from bench.data.manifest import InputError, Manifest
from bench.data.prepared import open_prepared
from bench.stages.prepare import estimate, store
from bench.stages.prepare.description import _described
from bench.stages.prepare.journal import take_up
from bench.stages.prepare.reuse import find_previous
from bench.stages.prepare.shards import lay_out
from tests.conftest import RATE, tone

SHARD = 20_000  # bytes: a few short tracks a file


def write_tracks(root: Path, number: int, seconds: float = 0.3, ending: str = "wav") -> Manifest:
    root.mkdir(exist_ok=True)
    for place in range(number):
        soundfile.write(root / f"{place:04}.{ending}", tone(200 + place, seconds, place), RATE)
    return manifest_of([f"{place:04}.{ending}" for place in range(number)])


def manifest_of(paths: list[str]) -> Manifest:
    tracks = pd.DataFrame({
        "track_id": [f"id {path}" for path in paths],
        "path": paths,
        "split": [["train", "valid", "test"][place % 3] for place in range(len(paths))],
        "tags": [[["a", "b"][place % 2], "c"][: place % 3] for place in range(len(paths))],
        "group": paths,
        "artist": ["somebody"] * len(paths),
    })  # fmt: skip
    return Manifest(tracks, ("a", "b", "c"), "tags", "test")


def make(manifest: Manifest, root: Path, folder: Path, rate: int = RATE, **options: object) -> Path:
    folder.mkdir(exist_ok=True)
    store.prepare(
        manifest, root, rate, folder, lambda *_: None, **{"shard_bytes": SHARD, **options}
    )
    return folder


def content(folder: Path) -> dict[str, str]:
    """Digest of every file of a product, but of the one that says how long it took."""
    assert not list(folder.glob("journal*"))
    paths = [path for path in folder.iterdir() if path.name != "run.json"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(paths)}


# ---- samples ----


def plain(path: Path, rate: int) -> np.ndarray:
    """The whole file at once, by the shortest way."""
    with soundfile.SoundFile(
        path
    ) as file:  # soundfile.read would seek first, which an mp3's bit reservoir can tell
        audio, own = file.read(dtype="float32", always_2d=True), file.samplerate
    mono = audio.mean(axis=1)
    samples = soxr.resample(mono, own, rate, quality="HQ") if own != rate else mono
    peak = float(np.abs(samples).max())
    return np.round(samples * ((1.0 if peak <= 1 else 1 / peak) * 32767)).astype(np.int16)


@pytest.mark.parametrize("block", [2**16, 1000, 7777])
@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_reading_in_blocks_gives_the_bits_of_reading_at_once(
    tmp_path, monkeypatch, ending, channels, rate, block
):
    if ending == "mp3" and channels > 2:
        pytest.skip("mp3 has two channels at most")
    # Loud noise: what is most likely to clip, and to need an mp3's bit reservoir.
    noise = 0.5 * np.random.default_rng(rate).normal(size=(2 * rate, channels))
    soundfile.write(tmp_path / f"a.{ending}", noise, rate)
    monkeypatch.setattr(audio_files, "_BLOCK", block)
    assert np.array_equal(
        decode(tmp_path / f"a.{ending}", 16_000).samples, plain(tmp_path / f"a.{ending}", 16_000)
    )


@given(
    frames=st.lists(st.integers(1, 50), min_size=1, max_size=40),
    cut=st.integers(0, 40),
    shard_bytes=st.integers(2, 200),
)
def test_tracks_lie_one_behind_another_in_files_of_bounded_size(frames, cut, shard_bytes):
    lengths = np.array(frames, np.int64)
    index = lay_out(lengths, shard_bytes)
    assert np.array_equal(index[:, 2], lengths)
    assert np.array_equal(
        index[:cut], lay_out(lengths[:cut], shard_bytes)
    )  # later tracks do not move earlier ones
    for shard in range(int(index[-1, 0]) + 1):
        own = index[index[:, 0] == shard]
        assert np.array_equal(own[:, 1], np.cumsum(own[:, 2]) - own[:, 2])
        assert 2 * own[:, 2].sum() <= shard_bytes or len(own) == 1
        if shard:  # no file was begun before it had to be
            before = index[index[:, 0] == shard - 1]
            assert 2 * (before[:, 2].sum() + own[0, 2]) > shard_bytes


def test_a_store_of_several_files_holds_every_track(tmp_path):
    manifest = write_tracks(tmp_path / "in", 20)
    soundfile.write(
        tmp_path / "in/0007.wav", tone(300, 3.0, 7), RATE
    )  # longer than a file of the store
    opened = open_prepared(make(manifest, tmp_path / "in", tmp_path / "out", workers=3))
    assert len(list((tmp_path / "out").glob("audio-*.i16"))) > 4
    for place, path in enumerate(manifest.tracks["path"]):
        samples = decode(tmp_path / "in" / path, RATE).samples
        assert np.array_equal(opened.audio.read(place, 0, len(samples)), samples)
        assert opened.labels[place].tolist() == [
            tag in manifest.tracks["tags"][place] for tag in manifest.tags
        ]
        assert opened.tracks["audio_hash"][place] == decoders.hash_of(samples)
    assert opened.tracks["artist"].tolist() == ["somebody"] * 20
    assert opened.rows("test").tolist() == list(range(2, 20, 3))


def test_what_a_hash_is_made_of_is_plain_json(tmp_path):
    manifest = manifest_of([f"é{place}" for place in range(20_500)])
    rows = manifest.tracks[["track_id", "split", "tags", "group"]].values.tolist()
    assert "".join(_described(manifest, manifest.tracks)) == json.dumps(
        [rows, ["a", "b", "c"], "tags"]
    )


def test_the_store_goes_to_another_process(tmp_path):
    import pickle

    opened = open_prepared(
        make(write_tracks(tmp_path / "in", 3), tmp_path / "in", tmp_path / "out")
    )
    samples = opened.audio.read(2, 5, 100)
    again = pickle.loads(pickle.dumps(opened.audio))
    assert np.array_equal(again.read(2, 5, 100), samples)


# ---- taking up ----


def test_killed_twenty_times_it_ends_with_the_same_bytes(tmp_path):
    manifest = write_tracks(tmp_path / "in", 400, seconds=0.2, ending="ogg")
    whole = make(manifest, tmp_path / "in", tmp_path / "whole")
    folder = tmp_path / "killed"
    folder.mkdir()
    random, lines = np.random.default_rng(0), [0]
    for kill in range(20):
        child = os.fork()  # and not a new Python, whose start would take most of the time
        if not child:
            make(manifest, tmp_path / "in", folder)
            os._exit(0)
        # Random moments, but not so early that nothing is done: once some more files have been
        # stored.
        goal, until = 18 * kill + int(random.integers(0, 20)), time.monotonic() + 30
        while _lines(folder) < goal and time.monotonic() < until:
            time.sleep(0.001)
        time.sleep(random.random() * 0.01)
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        lines.append(_lines(folder))
    assert lines[-1] < 400
    assert lines == sorted(lines)  # nothing that was finished was done again
    make(manifest, tmp_path / "in", folder)
    assert content(folder) == content(whole)


def _lines(folder: Path) -> int:
    journal = folder / "journal.jsonl"
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def stop_at(limit: int):
    def progress(done: int, total: int) -> None:
        if done >= limit:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize(
    "damage", ["none", "lost samples", "other samples", "torn line", "more samples", "other work"]
)
def test_only_what_is_on_the_disk_is_taken_up(tmp_path, monkeypatch, damage):
    manifest = write_tracks(tmp_path / "in", 12)
    whole = make(manifest, tmp_path / "in", tmp_path / "whole")
    folder = tmp_path / "stopped"
    folder.mkdir()
    with pytest.raises(KeyboardInterrupt):
        store.prepare(manifest, tmp_path / "in", RATE, folder, stop_at(8), shard_bytes=SHARD)
    last, journal = sorted(folder.glob("audio-*"))[-1], folder / "journal.jsonl"
    if (
        damage == "lost samples"
    ):  # the power went: the journal reached the disk, the samples did not
        os.truncate(last, last.stat().st_size - 10)
    elif damage == "other samples":
        with open(last, "r+b") as file:
            file.seek(-10, os.SEEK_END)
            file.write(b"\0" * 10)
    elif damage == "torn line":
        os.truncate(journal, journal.stat().st_size - 5)
    elif damage == "more samples":
        with open(last, "ab") as file:
            file.write(b"of a track that was never entered in the journal")
        (folder / "audio-00099.i16").write_bytes(b"likewise")
    elif damage == "other work":
        journal.write_text(journal.read_text().replace('"of": "', '"of": "0'))
    asked: list[Path] = []
    real = decoders.Decoders.decode
    monkeypatch.setattr(
        decoders.Decoders,
        "decode",
        lambda self, paths, rate: real(self, (asked.append(p) or p for p in paths), rate),
    )
    make(manifest, tmp_path / "in", folder)
    assert len(asked) == {"none": 4, "more samples": 4, "other work": 12}.get(damage, 5)
    assert content(folder) == content(whole)


def test_files_that_were_there_before_are_copied(tmp_path, monkeypatch):
    manifest = write_tracks(tmp_path / "in", 10)
    soundfile.write(
        tmp_path / "in/0004.wav", 3 * tone(300, 0.3, 4), RATE, subtype="FLOAT"
    )  # lowered in level
    before = make(manifest, tmp_path / "in", tmp_path / "before")
    soundfile.write(tmp_path / "in/0002.wav", tone(900, 0.3, 2), RATE)  # changed
    (tmp_path / "in/0003.wav").unlink()
    soundfile.write(tmp_path / "in/0000b.wav", tone(100, 0.3, 20), RATE)  # new, and first but one
    paths = sorted(path.name for path in (tmp_path / "in").iterdir())
    asked: list[str] = []
    real = decoders.Decoders.decode
    monkeypatch.setattr(
        decoders.Decoders,
        "decode",
        lambda self, paths, rate: real(self, (asked.append(p.name) or p for p in paths), rate),
    )
    folder = make(manifest_of(paths), tmp_path / "in", tmp_path / "after", previous=before)
    assert asked == ["0000b.wav", "0002.wav"]
    fresh = make(manifest_of(paths), tmp_path / "in", tmp_path / "fresh")
    assert content(folder) == content(fresh)
    assert "lowered" in (fresh / "report.csv").read_text()


def test_the_product_to_copy_from_is_found_and_checked(tmp_path):
    manifest = write_tracks(tmp_path / "in", 6)
    (tmp_path / "products").mkdir()
    assert find_previous(tmp_path / "products", tmp_path / "in", RATE) is None
    small = dataclasses.replace(manifest, tracks=manifest.tracks[:3])
    make(small, tmp_path / "in", tmp_path / "products/small")
    large = make(manifest, tmp_path / "in", tmp_path / "products/large")
    make(manifest, tmp_path / "in", tmp_path / "products/halfway.part")
    other = make(manifest, tmp_path / "in", tmp_path / "products/other", rate=16_000)
    assert find_previous(tmp_path / "products", tmp_path / "in", RATE) == large
    assert find_previous(tmp_path / "products", tmp_path, RATE) is None
    with pytest.raises(InputError, match="16000 Hz"):
        make(manifest, tmp_path / "in", tmp_path / "new", previous=other)
    with pytest.raises(InputError, match="no finished store"):
        make(manifest, tmp_path / "in", tmp_path / "new", previous=tmp_path)


# ---- what cannot be used ----


def test_a_store_that_cannot_fit_is_refused_first(tmp_path, monkeypatch):
    manifest = write_tracks(tmp_path / "in", 30, ending="flac")
    needed = 30 * (2 * round(0.3 * RATE) + 400)
    monkeypatch.setattr(estimate, "free_bytes", lambda folder: needed - 1000)
    words = r"30 tracks at 8000 Hz take about 156.0 kB, and 155.0 kB are free: free some"
    with pytest.raises(InputError, match=f"not enough room in {tmp_path}: {words}"):
        make(manifest, tmp_path / "in", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
    monkeypatch.setattr(estimate, "free_bytes", lambda folder: needed + 1000)
    make(manifest, tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
def test_length_is_told_from_some_files(tmp_path, monkeypatch, ending):
    manifest = write_tracks(tmp_path / "in", 50, seconds=2.0, ending=ending)
    monkeypatch.setattr(estimate, "_LOOKED_AT", 5)
    with decoders.decoders(2) as pool:
        seconds = estimate.seconds_of(
            tmp_path / "in", [*manifest.tracks["path"], "missing.wav"], pool
        )
    assert seconds == pytest.approx(100, rel=0.1)


def damage(path: Path, how: int) -> str:
    """Damages a FLAC file; returns words of the reason."""
    if how == 0:
        path.unlink()
        return "file not found"
    if how == 1:
        path.write_bytes(b"")
        return r"empty \(0 bytes\)"
    if how == 2:
        path.write_bytes(path.read_bytes()[:500])
        return "not readable|truncated"
    if how == 3:
        soundfile.write(path, np.zeros(800), RATE)
        return "silent"
    if how == 4:
        path.write_bytes(b"what is this? " * 50)
        return "not readable"
    if how == 5:
        soundfile.write(path, tone(300, 0.02, 0), RATE)
        return r"too short \(0.02 s; asked for at least 0.05 s\)"
    soundfile.write(
        path, np.where(np.arange(800) == 400, np.nan, 0.1), RATE, subtype="FLOAT", format="WAV"
    )
    return "1 samples are NaN"


def test_fifty_damaged_files_among_a_thousand_are_named(tmp_path):
    manifest = write_tracks(tmp_path / "in", 1000, seconds=0.1, ending="flac")
    places = sorted(np.random.default_rng(0).choice(1000, 50, replace=False).tolist())
    words = {
        f"{place:04}.flac": damage(tmp_path / f"in/{place:04}.flac", place % 7) for place in places
    }
    opened = open_prepared(make(manifest, tmp_path / "in", tmp_path / "out", shortest_seconds=0.05))
    report = pd.read_csv(tmp_path / "out/report.csv")
    assert report["path"].tolist() == list(words)
    assert (report["what"] == "left out").all()
    for path, reason in zip(report["path"], report["reason"], strict=True):
        assert pd.Series([reason]).str.contains(words[path]).all(), (path, reason)
    assert len(opened.facts["left_out"]) == 50
    right = [place for place in range(1000) if place not in places]
    assert opened.tracks["path"].tolist() == [f"{place:04}.flac" for place in right]
    for row in range(0, 950, 97):
        samples = decode(tmp_path / "in" / opened.tracks["path"][row], RATE).samples
        assert np.array_equal(opened.audio.read(row, 0, int(opened.audio.frames[row])), samples)


def test_the_first_bad_file_stops_when_that_is_asked_for(tmp_path):
    manifest = write_tracks(tmp_path / "in", 30)
    for place in (11, 20):
        (tmp_path / f"in/{place:04}.wav").write_bytes(b"")
    for _ in range(2):  # also when an earlier attempt has met it
        with pytest.raises(InputError, match=r"0011.wav: file is empty \(0 bytes\)"):
            make(manifest, tmp_path / "in", tmp_path / "out", on_bad="fail")
    make(manifest, tmp_path / "in", tmp_path / "out")
    assert content(tmp_path / "out") == content(make(manifest, tmp_path / "in", tmp_path / "clean"))


def test_unlabelled_audio_of_which_nothing_can_be_read(tmp_path):
    manifest = manifest_of(["a.wav", "b.wav"])
    manifest.tracks["split"] = ""
    with pytest.raises(
        InputError,
        match=r"none of the 2 tracks could be read; the first left out is a.wav: file not",
    ):
        make(manifest, tmp_path, tmp_path / "out")


def test_an_unknown_tag_is_named(tmp_path):
    manifest = write_tracks(tmp_path / "in", 6)
    with pytest.raises(InputError, match="tag 'c', which is none"):
        make(dataclasses.replace(manifest, tags=("a", "b")), tmp_path / "in", tmp_path / "out")


def test_an_mp3_that_ends_early_is_kept_and_listed_and_its_decoder_is_not_heard(tmp_path, capfd):
    manifest = write_tracks(tmp_path / "in", 6, seconds=6.0, ending="mp3")
    path = tmp_path / "in/0002.mp3"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    garbled = tmp_path / "in/0004.mp3"
    whole = bytearray(garbled.read_bytes())
    whole[5000:6000] = np.random.default_rng(0).bytes(1000)
    garbled.write_bytes(whole)
    decode(garbled, RATE)
    decode(path, RATE)
    assert "Trying to resync" in capfd.readouterr().err  # it does speak
    opened = open_prepared(make(manifest, tmp_path / "in", tmp_path / "out"))
    assert capfd.readouterr().err == ""
    assert len(opened.tracks) == 6
    report = pd.read_csv(tmp_path / "out/report.csv")
    assert report.loc[report["path"] == "0002.mp3", "what"].tolist() == ["shorter"]
    assert opened.facts["shorter"] == 1


FAULTY = (
    "; import bench.data.decoders as d, os, signal; real = d.decode; d.decode = lambda path, rate: "
)
FAULTY += "os.kill(os.getpid(), signal.{signal}) or 0 if '0003' in path.name else real(path, rate)"


@pytest.mark.parametrize(("name", "left_out"), [("SIGSEGV", True), ("SIGKILL", False)])
def test_a_file_may_take_the_decoder_down(tmp_path, monkeypatch, name, left_out):
    manifest = write_tracks(tmp_path / "in", 9)
    begin, _, end = decoders._START.partition("; serve")
    monkeypatch.setattr(
        decoders, "_START", begin + FAULTY.format(signal=name).replace("{", "{{") + "; serve" + end
    )
    if left_out:
        opened = open_prepared(make(manifest, tmp_path / "in", tmp_path / "out"))
        assert opened.facts["left_out"] == [f"0003.wav: the decoder crashed on it ({name})"]
        assert len(opened.tracks) == 8
    else:  # nobody's file is to blame when a process is killed, by the system or by a person
        with pytest.raises(
            InputError, match=r"0003.wav: the process that decoded it was killed \(signal 9"
        ):
            make(manifest, tmp_path / "in", tmp_path / "out")
        monkeypatch.undo()
        make(manifest, tmp_path / "in", tmp_path / "out")
        assert content(tmp_path / "out") == content(
            make(manifest, tmp_path / "in", tmp_path / "clean")
        )


def test_decoding_processes_end_with_a_parent_that_is_killed(tmp_path):
    manifest = write_tracks(tmp_path / "in", 40)
    child = os.fork()
    if not child:
        with decoders.decoders(2) as pool:
            answers = pool.decode(
                (tmp_path / "in" / path for path in manifest.tracks["path"]), RATE
            )
            next(answers)
            (tmp_path / "new").write_text(" ".join(str(process.pid) for process in pool._processes))
            (tmp_path / "new").rename(tmp_path / "ids")
            time.sleep(60)
    while not (tmp_path / "ids").exists():
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    until = time.monotonic() + 10
    started = [int(number) for number in (tmp_path / "ids").read_text().split()]
    while any(map(_alive, started)) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(map(_alive, started))


def _alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_no_process_outlives_a_preparation_that_fails(tmp_path):
    manifest = write_tracks(tmp_path / "in", 12)
    with decoders.decoders(3) as pool:
        next(pool.decode((tmp_path / "in" / path for path in manifest.tracks["path"]), RATE))
        started = list(pool._processes)
    assert started
    assert all(process.poll() is not None for process in started)


def test_progress_says_how_fast_it_goes_where_it_is_listened_to(tmp_path):
    manifest = write_tracks(tmp_path / "in", 5)
    heard: list[tuple] = []
    listeners = [lambda done, total: heard.append((done, total)), lambda *told: heard.append(told)]
    for number, listener in enumerate(listeners):
        (tmp_path / str(number)).mkdir()
        store.prepare(manifest, tmp_path / "in", RATE, tmp_path / str(number), listener)
    assert heard[:5] == [(done, 5) for done in range(1, 6)]
    assert heard[9][:2] == (5, 5)
    assert "files/s" in heard[9][2]
    assert "h of audio/s" in heard[9][2]


def test_journal_of_nothing(tmp_path):
    assert len(take_up(tmp_path, "x", SHARD)) == 0


def test_everything_that_is_to_be_said_of_a_file_is_said(tmp_path):
    manifest = write_tracks(tmp_path / "in", 3, seconds=6.0, ending="mp3")
    path = tmp_path / "in/0001.mp3"
    soundfile.write(path, np.random.default_rng(0).normal(size=6 * RATE), RATE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    folder = make(manifest, tmp_path / "in", tmp_path / "out")
    report = pd.read_csv(folder / "report.csv")
    assert report["what"].tolist() == ["lowered", "shorter"]
    assert set(report["path"]) == {"0001.mp3"}
    copied = make(manifest, tmp_path / "in", tmp_path / "copied", previous=folder)
    assert content(copied) == content(folder)


def headless(path: Path) -> Path:
    """An mp3 whose bit rate varies, and whose first frame, which tells the length, is gone."""
    noise = 0.2 * np.random.default_rng(0).normal(size=44_100)
    audio = np.concatenate([noise, 0.2 * tone(300, 20.0, 0, rate=44_100)])
    soundfile.write(path, audio, 44_100, bitrate_mode="VARIABLE", compression_level=0.5)
    whole = path.read_bytes()
    path.write_bytes(whole[whole.index(whole[:2], 10) :])
    return path


def test_an_mp3_without_a_header_is_read_to_its_end(tmp_path, monkeypatch):
    path = headless(tmp_path / "a.mp3")
    guessed = plain(path, 16_000)
    assert len(guessed) / 16_000 < 15
    samples = decode(path, 16_000).samples
    assert len(samples) / 16_000 == pytest.approx(21, abs=0.1)
    assert np.array_equal(samples[: len(guessed) - 1000], guessed[:-1000])
    monkeypatch.setattr(audio_files, "_BLOCK", 5000)
    assert np.array_equal(decode(path, 16_000).samples, samples)


def test_only_a_length_that_is_no_guess_is_held_against_an_mp3(tmp_path):
    guessed = headless(tmp_path / "guessed.mp3")
    told = tmp_path / "told.mp3"
    soundfile.write(told, tone(300, 4.0, 0), RATE)
    tagged = tmp_path / "tagged.mp3"
    tagged.write_bytes(b"ID3\3\0\0\0\0\2\x05" + bytes(2 * 128 + 5) + told.read_bytes())
    assert [audio_files._tells_length(path) for path in (guessed, told, tagged)] == [
        False,
        True,
        True,
    ]
    tagged.write_bytes(tagged.read_bytes()[: tagged.stat().st_size // 2])
    assert decode(tagged, RATE).lost_seconds == pytest.approx(2, abs=0.3)


def test_a_disk_that_cannot_be_read_is_not_the_end_of_an_mp3(tmp_path, monkeypatch):
    def copy(file, pipe, length):
        pipe.write(file.read(200_000))
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(audio_files.shutil, "copyfileobj", copy)
    with pytest.raises(audio_files.UnreadableError, match="Input/output error"):
        decode(headless(tmp_path / "a.mp3"), RATE)


@pytest.mark.parametrize("share", [0.4, 0.6, 0.77, 0.98])
def test_an_mp3_that_ends_early_gives_what_it_holds(tmp_path, share):
    path = tmp_path / "a.mp3"
    soundfile.write(path, np.random.default_rng(0).normal(size=4 * RATE), RATE)
    path.write_bytes(path.read_bytes()[: round(path.stat().st_size * share)])
    decoded = decode(path, RATE)
    assert len(decoded.samples) / RATE == pytest.approx(4 * share, abs=0.2)
    assert decoded.lost_seconds == pytest.approx(4 * (1 - share), abs=0.2)


# ---- m4a ----


def test_m4a_is_read_by_pyav_or_says_what_to_install(tmp_path):
    (tmp_path / "a.m4a").write_bytes(b"no m4a at all")
    try:
        import av  # noqa: F401
    except ImportError:
        words = r"\.m4a needs PyAV: pip install 'pretext-bench\[m4a\]'"
    else:
        words = "not readable as audio"
    with pytest.raises(audio_files.UnreadableError, match=words):
        decode(tmp_path / "a.m4a", RATE)


@pytest.mark.parametrize("channels", [1, 2])
def test_m4a_sounds_as_it_should(tmp_path, channels):
    av = pytest.importorskip("av")
    audio = np.tile(tone(440, 3.0, 0, rate=44_100), (channels, 1))
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44_100, layout={1: "mono", 2: "stereo"}[channels])
        frame = av.AudioFrame.from_ndarray(audio, format="fltp", layout=stream.layout.name)
        frame.sample_rate = 44_100
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    samples = decode(path, 16_000).samples
    assert abs(len(samples) - 48_000) < 2_000
    spectrum = np.abs(np.fft.rfft(samples[:48_000]))
    assert abs(spectrum.argmax() * 16_000 / 48_000 - 440) < 2
    assert abs(samples.astype(float).std() / 32767 / audio[0].std() - 1) < 0.05
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(audio_files.UnreadableError):
        decode(path, 16_000)
