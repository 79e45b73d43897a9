"""A prepared data set, opened: its tracks, labels and facts, and the store of its samples.

A data set of a million tracks opens in a second: samples, index and labels are mapped into memory,
not read.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow.parquet
from numpy.typing import NDArray

from bench.core.store import read_json
from bench.data.pcm import PcmStore

_NOT_OPENED = {"tags", "file_bytes", "file_mtime_ns", "file_remark"}


@dataclass(frozen=True)
class Prepared:
    """A prepared data set.

    Attributes:
        tracks: the manifest's rows for the tracks that could be read, without the tags.
        audio: the samples of the tracks, in the same order.
        tags: names of the outputs.
        labels: (tracks, tags) bool, mapped from the disk: which tags each track has.
        facts: what `data.json` holds: data_hash, tracks_hash, kind, split_name, sample_rate,
            tracks, left_out, notes.
    """

    tracks: pd.DataFrame
    audio: PcmStore
    tags: tuple[str, ...]
    labels: NDArray[np.bool_]
    facts: dict[str, Any]

    @property
    def kind(self) -> Literal["tags", "classes"]:
        """Whether a track has several tags ("tags") or one class ("classes")."""
        return "classes" if self.facts["kind"] == "classes" else "tags"

    def rows(self, split: str) -> NDArray[np.int64]:
        """Places of the tracks of one split; of all tracks for "all"."""
        if split == "all":
            return np.arange(len(self.tracks))
        return np.flatnonzero((self.tracks["split"] == split).to_numpy())


def open_prepared(folder: Path) -> Prepared:
    """Opens the folder that the stage "prepare" has made."""
    facts = read_json(folder / "data.json")
    path = folder / "manifest.parquet"
    columns = [name for name in pyarrow.parquet.read_schema(path).names if name not in _NOT_OPENED]
    tracks = pd.read_parquet(path, columns=columns)
    audio = PcmStore(folder, _mapped(folder / "index.npy"), facts["sample_rate"])
    return Prepared(tracks, audio, tuple(facts["tags"]), _mapped(folder / "labels.npy"), facts)


def _mapped(path: Path) -> NDArray[Any]:
    """An array in a file, mapped into memory."""
    try:
        # Copy-on-write: torch warns of arrays that cannot be written.
        return np.asarray(np.load(path, mmap_mode="c"))
    except ValueError:  # an array of no elements cannot be mapped
        return np.asarray(np.load(path))
