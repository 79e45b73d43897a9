"""The store is the same however it was made, and files that cannot be used are named."""

import os
import pickle
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from bench.core.errors import InputError
from bench.data import decoders
from bench.data.decode import decode
from bench.data.prepared import open_prepared
from bench.stages.prepare import store
from tests.conftest import RATE, tone
from tests.stages.prepare.tracks import content, make, manifest_of, write_tracks


def test_a_store_of_several_files_holds_every_track(tmp_path):
    manifest = write_tracks(tmp_path / "in", 20)
    # This track is longer than a file of the store.
    soundfile.write(tmp_path / "in/0007.wav", tone(300, 3.0, 7), RATE)
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


def test_the_store_goes_to_another_process(tmp_path):
    opened = open_prepared(
        make(write_tracks(tmp_path / "in", 3), tmp_path / "in", tmp_path / "out")
    )
    samples = opened.audio.read(2, 5, 100)
    again = pickle.loads(pickle.dumps(opened.audio))
    assert np.array_equal(again.read(2, 5, 100), samples)


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
        # It is killed at a random moment, after some more files have been stored.
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
    """Number of lines in the journal."""
    journal = folder / "journal.jsonl"
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def damage(path: Path, how: int) -> str:
    """Damages a FLAC file; returns words of the reason that is to be given."""
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
