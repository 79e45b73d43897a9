"""Prepare: a manifest and its audio files become a PCM store, once a sample rate. A killed attempt is taken up again.

Product (a folder): `manifest.parquet` (with a hash of each track's samples, `audio_hash`), `audio.i16`, `index.npy`
(offset and length of each track in samples), `report.csv` (every file that was left out or changed, with the reason),
`data.json` (all that planning needs) and `run.json` (the time that it took).
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.data.decode import Decoded, UnreadableError, decode
from bench.data.manifest import SPLITS, InputError, Manifest, Progress
from bench.data.pcm import PcmStore
from bench.store import read_json, write_array, write_atomically, write_json

_BLOCK = 64  # tracks between two journal lines: what a kill can cost


@dataclass(frozen=True)
class Prepared:
    """A prepared data set.

    Attributes:
        tracks: the manifest's rows of the tracks that could be read.
        audio: their samples, in the same order.
        tags: names of the outputs.
        labels: (tracks, tags) bool.
        facts: what `data.json` holds: data_hash, tracks_hash, kind, split_name, sample_rate, tracks, left_out, notes.
    """

    tracks: pd.DataFrame
    audio: PcmStore
    tags: tuple[str, ...]
    labels: NDArray[np.bool_]
    facts: dict[str, Any]

    @property
    def kind(self) -> Literal["tags", "classes"]:
        """Whether a track has several tags or one class."""
        return "classes" if self.facts["kind"] == "classes" else "tags"

    def rows(self, split: str) -> NDArray[np.int64]:
        """Places of the tracks of one split, or of all with "all"."""
        wanted = np.ones(len(self.tracks), bool) if split == "all" else (self.tracks["split"] == split).to_numpy()
        return np.flatnonzero(wanted)


def prepare(manifest: Manifest, root: Path, sample_rate: int, folder: Path, progress: Progress) -> None:
    """Decodes every track of a manifest into `folder`.

    Args:
        manifest: the data set.
        root: what the manifest's paths are relative to.
        sample_rate: of the store, in Hz.
        folder: where the product is built; holds what an earlier attempt left.
        progress: called with (done, total) tracks.

    Raises:
        InputError: no file of the train or of the test split could be read.
    """
    started = time.monotonic()
    journal = _decode_all(manifest, root, sample_rate, folder, progress)
    lengths = np.array([entry["frames"] for entry in journal], np.int64)
    kept = lengths > 0
    tracks = manifest.tracks.assign(audio_hash=[entry["hash"] for entry in journal])[kept].reset_index(drop=True)
    report = _report(manifest.tracks, journal)
    _require_splits(manifest, tracks, report)
    offsets = np.cumsum(lengths) - lengths
    write_array(folder / "index.npy", np.stack([offsets[kept], lengths[kept]], axis=1))
    stored = tracks.assign(tags=pd.Series([list(tags) for tags in tracks["tags"]], dtype=object))
    buffer = BytesIO()
    stored.to_parquet(buffer, index=False)
    write_atomically(folder / "manifest.parquet", buffer.getvalue())
    write_atomically(folder / "report.csv", report.to_csv(index=False).encode())
    write_json(folder / "data.json", _facts(manifest, tracks, sample_rate, report, folder / "audio.i16"))
    write_json(folder / "run.json", {"seconds": time.monotonic() - started})
    (folder / "journal.jsonl").unlink()


def open_prepared(folder: Path) -> Prepared:
    """Opens a product of `prepare`."""
    facts = read_json(folder / "data.json")
    tracks = pd.read_parquet(folder / "manifest.parquet")
    index = np.load(folder / "index.npy")
    tags = tuple(facts["tags"])
    place = {tag: number for number, tag in enumerate(tags)}
    labels = np.zeros((len(tracks), len(tags)), bool)
    for row, several in enumerate(tracks["tags"]):
        for tag in several:
            labels[row, place[tag]] = True
    return Prepared(
        tracks, PcmStore(folder / "audio.i16", index[:, 0], index[:, 1], facts["sample_rate"]), tags, labels, facts
    )


def _decode_all(
    manifest: Manifest, root: Path, sample_rate: int, folder: Path, progress: Progress
) -> list[dict[str, Any]]:
    """Appends each track's samples to `audio.i16` in the manifest's order; returns one journal entry a track."""
    paths = [root / path for path in manifest.tracks["path"]]
    journal = _resume(folder)
    with (
        open(folder / "audio.i16", "ab") as audio,
        open(folder / "journal.jsonl", "a") as log,
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,  # libsndfile and soxr let go of the interpreter's lock
    ):
        for start in range(len(journal), len(paths), _BLOCK):
            block = list(pool.map(lambda path: _attempt(path, sample_rate), paths[start : start + _BLOCK]))
            for decoded, _ in block:
                if decoded is not None:
                    audio.write(decoded.samples.astype("<i2").tobytes())
            entries = list(_entries(block))
            _flush(audio, folder / "audio.i16")
            log.write(json.dumps(entries) + "\n")
            _flush(log, folder / "journal.jsonl")
            journal += entries
            progress(len(journal), len(paths))
    return journal


def _flush(file: Any, path: Path) -> None:
    try:
        file.flush()
        os.fsync(file.fileno())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _attempt(path: Path, sample_rate: int) -> tuple[Decoded | None, str]:
    try:
        return decode(path, sample_rate), ""
    except UnreadableError as reason:
        return None, str(reason)


def _entries(block: list[tuple[Decoded | None, str]]) -> Iterator[dict[str, Any]]:
    for decoded, reason in block:
        if decoded is None:
            yield {"frames": 0, "gain_db": 0.0, "reason": reason, "hash": ""}
        else:
            seen = hashlib.sha256(decoded.samples.tobytes()).hexdigest()[:16]
            yield {"frames": len(decoded.samples), "gain_db": decoded.gain_db, "reason": "", "hash": seen}


def _resume(folder: Path) -> list[dict[str, Any]]:
    """The journal of an earlier attempt; both files are cut back to the last block that was written whole."""
    path, audio = folder / "journal.jsonl", folder / "audio.i16"
    journal: list[dict[str, Any]] = []
    whole = b""
    for line in path.read_bytes().splitlines(keepends=True) if path.exists() else []:
        if not line.endswith(b"\n"):
            break
        journal += json.loads(line)
        whole += line
    if path.exists():
        write_atomically(path, whole)
    if audio.exists():
        os.truncate(audio, 2 * sum(entry["frames"] for entry in journal))
    return journal


def _report(tracks: pd.DataFrame, journal: list[dict[str, Any]]) -> pd.DataFrame:
    """One row a file that is not in the store as it was: left out, or lowered in level."""
    rows = []
    for identity, path, entry in zip(tracks["track_id"], tracks["path"], journal, strict=True):
        if not entry["frames"]:
            rows.append((identity, path, "left out", entry["reason"]))
        elif entry["gain_db"]:
            rows.append((identity, path, "lowered", f"by {-entry['gain_db']:.2f} dB, so that no sample clips"))
    return pd.DataFrame(rows, columns=["track_id", "path", "what", "reason"])


def _require_splits(manifest: Manifest, tracks: pd.DataFrame, report: pd.DataFrame) -> None:
    for split in SPLITS:
        had = int((manifest.tracks["split"] == split).sum())
        if had and not (tracks["split"] == split).any():
            first = report[report["what"] == "left out"].iloc[0]
            first_left_out = f"{first['path']}: {first['reason']}"
            raise InputError(f"none of the {had} {split} tracks could be read; the first left out is {first_left_out}")


def _facts(
    manifest: Manifest, tracks: pd.DataFrame, sample_rate: int, report: pd.DataFrame, audio: Path
) -> dict[str, Any]:
    columns = ["track_id", "split", "tags", "group"]
    described = json.dumps([tracks[columns].values.tolist(), list(manifest.tags), manifest.kind], default=list)
    with open(audio, "rb") as file:
        samples = hashlib.file_digest(file, "sha256").hexdigest()
    left_out = report[report["what"] == "left out"]
    return {
        "data_hash": hashlib.sha256(f"{described}{sample_rate}{samples}".encode()).hexdigest()[:16],
        # Of the tracks alone: labelled subsets and resamples are the same for encoders of different sample rates.
        "tracks_hash": hashlib.sha256(described.encode()).hexdigest()[:16],
        "sample_rate": sample_rate,
        "kind": manifest.kind,
        "tags": list(manifest.tags),
        "split_name": manifest.split_name,
        "tracks": {split: int((tracks["split"] == split).sum()) for split in SPLITS},
        "left_out": [f"{path}: {reason}" for path, reason in zip(left_out["path"], left_out["reason"], strict=True)],
        "lowered": int((report["what"] == "lowered").sum()),
        "notes": list(manifest.notes),
    }
