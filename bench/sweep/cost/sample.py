"""A few tracks of a data set, prepared in a temporary home, for `bench.sweep.cost.measure`.

They are taken from the prepared data set; else a few are decoded; else, where no file of the data
set is known, they are noise of the right length.
"""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.core.randomness import generator
from bench.core.store import Store, write_array, write_atomically, write_json
from bench.data.manifest import Manifest
from bench.data.prepared import Prepared, open_prepared
from bench.settings.specs import PlugIn, RunSpec
from bench.settings.traits import sample_rate
from bench.stages.keys import prepare_key
from bench.stages.prepare.stage import known_manifest
from bench.stages.prepare.store import prepare

HELD_OUT = 64
"""Number of tracks of the valid split, and of the test split."""
SEGMENTS = 2
"""Number of segments of a track of noise, at least."""
_NOISE_TAGS = 50


def some_tracks(
    dataset: PlugIn, few: RunSpec, seconds: float, most: int, store: Store, temporary: Store
) -> Prepared | None:
    """Prepares a few tracks of a data set in a temporary home.

    Args:
        dataset: name and settings of the data set.
        few: a cell that is measured.
        seconds: length of its views, in seconds.
        most: number of tracks of the training split.
        store: home, which is only read.
        temporary: the home in which the tracks are prepared.

    Returns:
        The whole data set where it is prepared in `store`; else None.
    """
    key = prepare_key(dataset, sample_rate(few.encoder), store)
    source = store.folder("prepared", key)
    whole = open_prepared(source) if store.has("prepared", key) else None

    def make(folder: Path) -> None:
        if whole is not None:
            _part(whole, source, most, folder)
        elif known := known_manifest(dataset, store):
            _decoded(*known, sample_rate(few.encoder), most, folder)
        else:
            _noise(few, seconds, most, folder)

    temporary.produce("prepared", prepare_key(dataset, sample_rate(few.encoder), temporary), make)
    return whole


def _part(whole: Prepared, source: Path, most: int, folder: Path) -> None:
    """Takes some tracks of each split, evenly over the manifest; samples are linked, not copied.

    Args:
        whole: the prepared data set.
        source: its folder.
        most: number of tracks of the training split.
        folder: folder to write to.
    """
    numbers = _numbers(most)
    rows = np.sort(
        np.concatenate([_spread(whole.rows(split), number) for split, number in numbers.items()])
    )
    for path in source.glob("audio-*.i16"):
        (folder / path.name).symlink_to(path.resolve())
    index = np.load(source / "index.npy", mmap_mode="r")[rows]
    tracks = whole.tracks.iloc[rows]
    counts = {split: int((tracks["split"] == split).sum()) for split in numbers}
    _describe(tracks, whole.labels[rows], index, {**whole.facts, "tracks": counts}, folder)


def _decoded(manifest: Manifest, root: Path, rate: int, most: int, folder: Path) -> None:
    """Decodes some tracks of each split of a data set that is not prepared yet.

    Args:
        manifest: manifest of the whole data set.
        root: folder of its files.
        rate: sample rate in Hz.
        most: number of tracks of the training split.
        folder: folder to write to.
    """
    splits = manifest.tracks["split"]
    chosen = [
        _spread(np.flatnonzero(splits == split), number) for split, number in _numbers(most).items()
    ]
    rows = np.sort(np.concatenate(chosen))
    some = replace(manifest, tracks=manifest.tracks.iloc[rows].reset_index(drop=True))
    prepare(some, root, rate, folder, _unseen)


def _unseen(done: int, total: int, note: str = "") -> None:
    """Shows no progress, of work that takes a moment."""


def _numbers(most: int) -> dict[str, int]:
    """Number of tracks of each split."""
    return {"train": most, "valid": HELD_OUT, "test": HELD_OUT}


def _spread(rows: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """Some of the rows, evenly spread; all where there are fewer."""
    places = np.linspace(0, len(rows) - 1, min(number, len(rows)))
    chosen: NDArray[np.int64] = rows[np.unique(places.round().astype(int))]
    return chosen


def _noise(few: RunSpec, seconds: float, most: int, folder: Path) -> None:
    """Makes tracks of noise, long enough for any placing of two views, with random tags.

    Args:
        few: a cell that is measured.
        seconds: length of its views, in seconds.
        most: number of tracks of the training split.
        folder: folder to write to.
    """
    rate = sample_rate(few.encoder)
    frames = round((SEGMENTS * seconds + few.views.min_gap_seconds + 0.1) * rate)
    counts = _numbers(most)
    splits = [split for split, number in counts.items() for _ in range(number)]
    number = len(splits)
    random = generator(0, "measured", 1)
    samples = random.integers(-(2**12), 2**12, number * frames, dtype=np.int16)
    (folder / "audio-00000.i16").write_bytes(samples.astype("<i2").tobytes())
    names = [str(place) for place in range(number)]
    tracks = pd.DataFrame({"track_id": names, "split": splits, "group": names, "audio_hash": names})
    index = np.stack(
        [np.zeros(number), np.arange(number) * frames, np.full(number, frames)], axis=1
    ).astype(np.int64)
    facts = {
        "data_hash": "0",
        "tracks_hash": "0",
        "sample_rate": rate,
        "kind": "tags",
        "split_name": "noise",
        "tags": [str(tag) for tag in range(_NOISE_TAGS)],
        "tracks": counts,
        "left_out": [],
        "notes": [],
    }
    _describe(tracks, random.random((number, _NOISE_TAGS)) < 0.5, index, facts, folder)


def _describe(tracks: Any, labels: Any, index: Any, facts: dict[str, Any], folder: Path) -> None:
    """Writes what `bench.data.prepared.open_prepared` opens, beside the samples.

    Args:
        tracks: table of the tracks.
        labels: (tracks, tags) whether a track has a tag.
        index: (tracks, 3) file, first sample and number of samples of each track.
        facts: content of `data.json`.
        folder: folder to write to.
    """
    buffer = io.BytesIO()
    tracks.reset_index(drop=True).to_parquet(buffer, index=False)
    write_atomically(folder / "manifest.parquet", buffer.getvalue())
    write_array(folder / "labels.npy", np.asarray(labels, bool))
    write_array(folder / "index.npy", index)
    write_json(folder / "data.json", facts)
    write_json(folder / "run.json", {"seconds": 0.0})
