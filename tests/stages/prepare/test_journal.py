"""The journal: only what is on the disk is taken up."""

import os

import pytest

from bench.data.manifest import Progress
from bench.stages.prepare import store
from bench.stages.prepare.journal import take_up
from tests.conftest import RATE
from tests.stages.prepare.tracks import SHARD, content, decoded_paths, make, write_tracks


def stop_at(limit: int) -> Progress:
    """A listener to progress that interrupts the preparation after some files."""

    def progress(done: int, total: int, text: str = "") -> None:
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
    if damage == "lost samples":  # the power failed, and only the journal was on the disk
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
    asked = decoded_paths(monkeypatch)
    make(manifest, tmp_path / "in", folder)
    assert len(asked) == {"none": 4, "more samples": 4, "other work": 12}.get(damage, 5)
    assert content(folder) == content(whole)


def test_journal_of_nothing(tmp_path):
    assert len(take_up(tmp_path, "x", SHARD)) == 0
