"""What `prepare` writes beside the samples: manifest, labels, report, and facts for planning."""

import hashlib
import json
from collections.abc import Iterator
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.core.store import write_array, write_atomically, write_json
from bench.data.manifest import SPLITS, InputError, Manifest
from bench.stages.prepare.journal import Journal

_ROUND = 10_000  # rows that become JSON at once


def write_description(manifest: Manifest, sample_rate: int, folder: Path, journal: Journal) -> None:
    """Writes all files of the product but the samples and their index.

    Args:
        manifest: of the data set.
        sample_rate: of the store, in Hz.
        folder: of the product.
        journal: what became of each file of the manifest.

    Raises:
        InputError: no file of the train or of the test split could be read, or a track has an
            unknown tag.
    """
    kept = journal.lengths() > 0
    tracks = manifest.tracks.assign(
        audio_hash=journal.hashes,
        file_bytes=np.array(journal.bytes, np.int64),
        file_mtime_ns=np.array(journal.mtime_ns, np.int64),
        file_remark=[journal.remarks.get(place, "") for place in range(len(journal))],
    )[kept].reset_index(drop=True)
    report = _report(manifest.tracks, journal)
    _require_tracks(manifest, tracks, report)
    write_array(folder / "labels.npy", _labels(tracks, manifest.tags))
    stored = tracks.assign(tags=pd.Series([list(tags) for tags in tracks["tags"]], dtype=object))
    buffer = BytesIO()
    stored.to_parquet(buffer, index=False)
    write_atomically(folder / "manifest.parquet", buffer.getvalue())
    write_atomically(folder / "report.csv", report.to_csv(index=False).encode())
    write_json(folder / "data.json", _facts(manifest, tracks, sample_rate, report))


def _labels(tracks: pd.DataFrame, tags: tuple[str, ...]) -> NDArray[np.bool_]:
    """Which tracks have which tags, (tracks, tags) bool.

    Raises:
        InputError: a track has a tag that is none of the manifest's.
    """
    labels = np.zeros((len(tracks), len(tags)), bool)
    names = list(chain.from_iterable(tracks["tags"]))
    columns = pd.Index(tags, dtype=object).get_indexer(pd.Index(names, dtype=object))
    if (columns < 0).any():
        unknown = names[int(columns.argmin())]
        raise InputError(
            f"a track of the manifest has the tag '{unknown}', which is none of the manifest's tags"
        )
    labels[
        np.repeat(np.arange(len(tracks)), [len(of_track) for of_track in tracks["tags"]]), columns
    ] = True
    return labels


def _report(tracks: pd.DataFrame, journal: Journal) -> pd.DataFrame:
    """One row for each file that was left out, lowered in level, or is shorter than it says."""
    rows = []
    ids, paths = tracks["track_id"], tracks["path"]
    for place in sorted({*journal.reasons, *journal.remarks}):
        left_out = place in journal.reasons
        lines = (
            [f"left out: {journal.reasons[place]}"]
            if left_out
            else journal.remarks[place].split("\n")
        )
        for what, _, why in (line.partition(": ") for line in lines):
            rows.append((ids.iat[place], paths.iat[place], what, why))
    return pd.DataFrame(rows, columns=["track_id", "path", "what", "reason"])


def _require_tracks(manifest: Manifest, tracks: pd.DataFrame, report: pd.DataFrame) -> None:
    """Refuses a data set of which a whole split was left out.

    Raises:
        InputError: a split of the manifest has no track that could be read.
    """
    for split in SPLITS if (manifest.tracks["split"] != "").any() else ("",):
        had = int((manifest.tracks["split"] == split).sum())
        if had and not (tracks["split"] == split).any():
            first = report[report["what"] == "left out"].iloc[0]
            which = f"{had} {split}".strip()
            raise InputError(
                f"none of the {which} tracks could be read; the first left out is "
                f"{first['path']}: {first['reason']}"
            )


def _facts(
    manifest: Manifest, tracks: pd.DataFrame, sample_rate: int, report: pd.DataFrame
) -> dict[str, Any]:
    """The content of `data.json`: hashes, tags, counts and notes, which planning reads."""
    described, content = hashlib.sha256(), hashlib.sha256()
    for piece in _described(manifest, tracks):
        described.update(piece.encode())
        content.update(piece.encode())
    # The hashes of the tracks stand for the samples, so that these need not be read again, which
    # would take hours.
    content.update(f"{sample_rate}{''.join(tracks['audio_hash'])}".encode())
    left_out = report[report["what"] == "left out"]
    return {
        "data_hash": content.hexdigest()[:16],
        # This hash does not depend on the sample rate, so that labelled subsets and resamples are
        # the same for encoders of different sample rates.
        "tracks_hash": described.hexdigest()[:16],
        "sample_rate": sample_rate,
        "kind": manifest.kind,
        "tags": list(manifest.tags),
        "split_name": manifest.split_name,
        "tracks": {split: int((tracks["split"] == split).sum()) for split in SPLITS},
        "left_out": [
            f"{path}: {reason}"
            for path, reason in zip(left_out["path"], left_out["reason"], strict=True)
        ],
        "lowered": int((report["what"] == "lowered").sum()),
        "shorter": int((report["what"] == "shorter").sum()),
        "notes": list(manifest.notes),
    }


def _described(manifest: Manifest, tracks: pd.DataFrame) -> Iterator[str]:
    """The JSON of [rows, tags, kind], in pieces, since that of a million tracks is large."""
    columns = tracks[["track_id", "split", "tags", "group"]]
    yield "[["
    for start in range(0, len(tracks), _ROUND):
        rows = json.dumps(columns.iloc[start : start + _ROUND].values.tolist(), default=list)
        yield (", " if start else "") + rows[1:-1]
    yield f"], {json.dumps(list(manifest.tags))}, {json.dumps(manifest.kind)}]"
