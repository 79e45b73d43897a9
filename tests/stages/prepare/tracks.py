"""Small data sets of audio files, and stores made of them."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import pandas as pd
import pytest
import soundfile

from bench.data import decoders
from bench.data.manifest import Manifest
from bench.stages.prepare import store
from tests.conftest import RATE, tone

SHARD = 20_000  # bytes: a few short tracks in each file


def write_tracks(root: Path, number: int, seconds: float = 0.3, ending: str = "wav") -> Manifest:
    """Writes tones as audio files, and gives the manifest of them."""
    root.mkdir(exist_ok=True)
    for place in range(number):
        soundfile.write(root / f"{place:04}.{ending}", tone(200 + place, seconds, place), RATE)
    return manifest_of([f"{place:04}.{ending}" for place in range(number)])


def manifest_of(paths: list[str]) -> Manifest:
    """The manifest of some files, with splits and tags in turn."""
    tracks = pd.DataFrame({
        "track_id": [f"id {path}" for path in paths],
        "path": paths,
        "split": [["train", "valid", "test"][place % 3] for place in range(len(paths))],
        "tags": [[["a", "b"][place % 2], "c"][: place % 3] for place in range(len(paths))],
        "group": paths,
        "artist": ["somebody"] * len(paths),
    })  # fmt: skip
    return Manifest(tracks, ("a", "b", "c"), "tags", "test")


def make(
    manifest: Manifest,
    root: Path,
    folder: Path,
    rate: int = RATE,
    *,
    workers: int | None = None,
    on_bad: Literal["report", "fail"] = "report",
    shortest_seconds: float = 0.0,
    previous: Path | None = None,
) -> Path:
    """Makes a store in a folder, silently and in small files."""
    folder.mkdir(exist_ok=True)
    store.prepare(
        manifest, root, rate, folder, lambda *_: None, workers=workers, on_bad=on_bad,
        shortest_seconds=shortest_seconds, previous=previous, shard_bytes=SHARD,
    )  # fmt: skip
    return folder


def content(folder: Path) -> dict[str, str]:
    """The digest of every file of a store, without the one that says how long it took."""
    assert not list(folder.glob("journal*"))
    paths = [path for path in folder.iterdir() if path.name != "run.json"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(paths)}


def decoded_paths(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are decoded from now on, in their order; the list grows as they are."""
    asked: list[Path] = []
    decode = decoders.Decoders.decode

    def spy(self: decoders.Decoders, paths: Iterable[Path], rate: int) -> Iterator[decoders.Answer]:
        def noted() -> Iterator[Path]:
            for path in paths:
                asked.append(path)
                yield path

        return decode(self, noted(), rate)

    monkeypatch.setattr(decoders.Decoders, "decode", spy)
    return asked
