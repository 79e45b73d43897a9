"""Leaks: tracks of a pretraining set whose audio or artist is in the set that is tested on.

Three kinds: "identical" (the same samples), "near-duplicate" (the same recording after encoding,
trimming, filtering or resampling, by `fingerprint`) and "artist" (other music of an artist, or of a
group, of the second set). The first two give away part of the answers; whether the third is allowed
is a matter of the protocol, and its tracks are excluded only on demand.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.core.store import write_json
from bench.data.leak_pairs import Kind as Kind
from bench.data.leak_pairs import Pair, Side, artists, identical, near_duplicates, told_once
from bench.data.manifest import InputError, Progress
from bench.data.prepared import Prepared

KINDS: tuple[Kind, ...] = get_args(Kind)
AUDIO_KINDS: tuple[Kind, ...] = ("identical", "near-duplicate")

_SCHEMA = 1
_WHAT = "tracks to leave out of pretraining"


@dataclass(frozen=True)
class Leak:
    """One track of the first set that the second set has too, or whose artist it has.

    Attributes:
        first: track_id in the first set.
        second: track_id in the second set; for "artist", the first track of the artist in that
            split.
        second_split: split of the second track.
        kind: one of KINDS.
        offset_seconds: what is at time t of the first track is at t + offset of the second; nan for
            "artist".
        matched_seconds: how much of the first track the second has, to a second at either end; nan
            for "artist".
        bit_error_rate: share of the fingerprints' bits that differ in the matched part, 0 to 0.5;
            nan for "artist".
        name: the artist or group that both have; "" for the other kinds.
    """

    first: str
    second: str
    second_split: str
    kind: Kind
    offset_seconds: float
    matched_seconds: float
    bit_error_rate: float
    name: str = ""


@dataclass(frozen=True)
class Leaks:
    """The result of `find_leaks`.

    Attributes:
        rows: the leaks, in the order of the first set's tracks, then of KINDS, then of the second
            set's tracks.
        first: data_hash and tracks_hash of the first set, and how many of its tracks were compared.
        second: the same for the second set.
        too_short: how many tracks of both sets are shorter than 4.5 s, so that no near-duplicates
            of them can be found.
    """

    rows: tuple[Leak, ...]
    first: dict[str, Any]
    second: dict[str, Any]
    too_short: int

    def as_table(self) -> pd.DataFrame:
        """A table with one row a leak and the attributes of `Leak` as columns."""
        table = pd.DataFrame(
            [asdict(row) for row in self.rows], columns=[field.name for field in fields(Leak)]
        )
        return table.round({"offset_seconds": 3, "matched_seconds": 3, "bit_error_rate": 4})

    def counts(self, side: Literal["first", "second"] = "first") -> dict[Kind, int]:
        """Kind -> how many tracks of one of the sets leak in this way."""
        return {
            kind: len({getattr(row, side) for row in self.rows if row.kind == kind})
            for kind in KINDS
        }


def find_leaks(
    first: Prepared,
    second: Prepared,
    first_rows: Sequence[int] | NDArray[np.int64],
    second_rows: Sequence[int] | NDArray[np.int64],
    progress: Progress,
) -> Leaks:
    """Compares tracks of two prepared data sets, or of one with itself.

    In one data set, a track is not its own duplicate, and a pair that is in both selections is
    reported once, with that track first that is the better one to exclude: of the train before the
    valid before the test split, then the later one.

    Args:
        first: the data set that is pretrained on.
        second: the data set that is tested on; may have another sample rate.
        first_rows: places of the tracks of the first set that are compared.
        second_rows: places of the tracks of the second set that are compared.
        progress: called with (done, total) steps.

    Returns:
        All leaks, with the strongest evidence for each pair of tracks.
    """
    ours, theirs = Side(first, first_rows), Side(second, second_rows)
    best: dict[tuple[int, int], Pair] = {}
    for candidate in [*identical(ours, theirs), *near_duplicates(ours, theirs, progress)]:
        pair = told_once(candidate, ours, theirs)
        places = pair.here, pair.there
        if places not in best or pair.rank() > best[places].rank():
            best[places] = pair
    pairs = [*best.values(), *artists(ours, theirs)]
    pairs.sort(key=lambda pair: (pair.here, KINDS.index(pair.kind), pair.there))
    rows = tuple(
        Leak(
            ours.ids[pair.here],
            theirs.ids[pair.there],
            theirs.splits[pair.there],
            pair.kind,
            *pair.score,
            pair.name,
        )
        for pair in pairs
    )
    return Leaks(rows, ours.about(), theirs.about(), ours.short() + theirs.short())


def exclusions(leaks: Leaks, kinds: Collection[Kind] = AUDIO_KINDS) -> list[str]:
    """The track_ids of the first set that leak in one of these ways, each once, in its order."""
    return list(dict.fromkeys(row.first for row in leaks.rows if row.kind in kinds))


def write_exclusions(path: Path, leaks: Leaks, kinds: Collection[Kind] = AUDIO_KINDS) -> list[str]:
    """Writes an exclusion file: which tracks pretraining is to leave out.

    Args:
        path: of the file.
        leaks: what was found.
        kinds: which kinds of leaks are excluded.

    Returns:
        The track_ids in the file.

    Raises:
        InputError: the file cannot be written.
    """
    excluded = exclusions(leaks, kinds)
    content = {
        "schema": _SCHEMA,
        "what": _WHAT,
        "kinds": [kind for kind in KINDS if kind in kinds],
        "first": leaks.first,
        "second": leaks.second,
        "track_ids": excluded,
    }
    try:
        write_json(path, content)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({(error.strerror or str(error)).lower()})"
        ) from error
    return excluded


def read_exclusions(path: Path, of: Prepared | None = None) -> list[str]:
    """Reads the track_ids of an exclusion file.

    Args:
        path: what `write_exclusions` wrote.
        of: the data set that the tracks are to be left out of, at any sample rate; None if that
            is not to be checked.

    Raises:
        InputError: there is no such file, it is no exclusion file, or is for another data set.
    """
    excluded, first = read_exclusion_file(path)
    if of is not None:
        _require_same(path, first, excluded, of)
    return excluded


def read_exclusion_file(path: Path) -> tuple[list[str], dict[str, Any]]:
    """Reads an exclusion file.

    Returns:
        (track_ids, "data_hash" and "tracks_hash" of the data set whose tracks they are).

    Raises:
        InputError: there is no such file, or it is no exclusion file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({(error.strerror or str(error)).lower()})"
        ) from error
    except ValueError as error:
        raise InputError(
            f"{path}: not an exclusion file of `bench data leaks` (no JSON: {error})"
        ) from error
    if not isinstance(content, dict) or content.get("what") != _WHAT:
        raise InputError(f"{path}: not an exclusion file of `bench data leaks`")
    if content.get("schema") != _SCHEMA:
        raise InputError(
            f"{path}: schema {content.get('schema')!r}; this version reads {_SCHEMA}: make the "
            "file anew"
        )
    excluded, first = content.get("track_ids"), content.get("first")
    if not isinstance(excluded, list) or not all(isinstance(track, str) for track in excluded):
        raise InputError(f"{path}: 'track_ids' is not a list of strings")
    if not isinstance(first, dict) or "tracks_hash" not in first or "data_hash" not in first:
        raise InputError(f"{path}: 'first' does not say which data set the tracks are of")
    return excluded, first


def _require_same(path: Path, first: dict[str, Any], excluded: list[str], of: Prepared) -> None:
    """Refuses an exclusion file that is for another data set, or names unknown tracks."""
    if of.facts["tracks_hash"] != first["tracks_hash"]:
        seen = f"made for data set {first['tracks_hash']}, this one is {of.facts['tracks_hash']}"
        raise InputError(f"{path}: {seen}; run `bench data leaks` anew")
    missing = sorted(set(excluded) - set(of.tracks["track_id"]))
    if missing:
        raise InputError(
            f"{path}: {len(missing)} tracks are not in the data set, the first '{missing[0]}'"
        )
