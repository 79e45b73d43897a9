"""Leaks: what of a pretraining set stands, as audio or by its artist, in the set that a method is tested on.

Three kinds: "identical" (the same samples), "near-duplicate" (the same recording after encoding,
trimming, filtering or resampling, by `fingerprint`) and "artist" (other music of an artist, or of a
group, of the second set). The first two tell a model what it will be asked; the third is a matter
of the protocol, and excluded only on demand.
"""

import json
import tempfile
import unicodedata
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from os import cpu_count
from pathlib import Path
from typing import IO, Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.core.store import write_json
from bench.data.fingerprint import (
    FRAMES_PER_SECOND,
    SHORTEST_SECONDS,
    Fingerprint,
    Index,
    Library,
    fingerprint,
)
from bench.data.manifest import SPLITS, InputError, Progress
from bench.data.prepared import Prepared

Kind = Literal["identical", "near-duplicate", "artist"]
KINDS: tuple[Kind, ...] = get_args(Kind)
AUDIO_KINDS: tuple[Kind, ...] = ("identical", "near-duplicate")

_SCHEMA = 1
_WHAT = "tracks to leave out of pretraining"
_FRAMES = np.dtype([("codes", np.uint32), ("weak", np.uint32), ("strong", np.uint32)])
_NAN = float("nan")
_ROUND = 64  # tracks between two reports of progress
_INDEX_FRAMES = 2**24  # sorted at once, 100 hours of audio: half a gigabyte
_NAMELESS = {
    "",
    "unknown",
    "unknown artist",
    "various",
    "various artists",
    "va",
    "none",
    "nan",
    "n a",
    "na",
    "artist",
}


@dataclass(frozen=True)
class Leak:
    """One track of the first set that the second set has too, or whose artist it has.

    Attributes:
        first: track_id in the first set.
        second: track_id in the second set; of "artist", its first track of that split by the
            artist.
        second_split: of that track.
        kind: one of KINDS.
        offset_seconds: what is at time t of the first track is at t + offset of the second; nan for
            "artist".
        matched_seconds: how much of the first track the second has, to a second at either end; nan
            for "artist".
        bit_error_rate: share of the fingerprints' bits that differ there, 0 to 0.5; nan for
            "artist".
        name: the artist or group that is shared; "" of the other kinds.
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
    """What `find_leaks` found.

    Attributes:
        rows: in the order of the first set's tracks, then of KINDS, then of the second set's
            tracks.
        first: its data_hash and tracks_hash, and how many of its tracks were compared.
        second: the same of the second set.
        too_short: tracks of both sets in which no near-duplicate can be found, for they have less
            than 4.5 s.
    """

    rows: tuple[Leak, ...]
    first: dict[str, Any]
    second: dict[str, Any]
    too_short: int

    def as_table(self) -> pd.DataFrame:
        """One row a leak, with the attributes of `Leak` as columns."""
        table = pd.DataFrame(
            [asdict(row) for row in self.rows], columns=[field.name for field in fields(Leak)]
        )
        return table.round({"offset_seconds": 3, "matched_seconds": 3, "bit_error_rate": 4})

    def counts(self, side: Literal["first", "second"] = "first") -> dict[Kind, int]:
        """How many tracks of one of the sets leak, a kind."""
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

    Of one set, a track is not its own duplicate, and a pair that stands in both selections is told
    once, with that track first that is the better one to exclude: of the train before the valid
    before the test split, then the later.

    Args:
        first: the data set pretrained on.
        second: the data set tested on; may have another sample rate.
        first_rows: places of the tracks of the first set that are compared.
        second_rows: the same of the second.
        progress: called with (done, total) steps, of which each track has two.
    """
    ours, theirs = _Side(first, first_rows), _Side(second, second_rows)
    found: dict[tuple[int, int], _Found] = {}
    for leak in [*_identical(ours, theirs), *_near_duplicates(ours, theirs, progress)]:
        one = _told_once(leak, ours, theirs)
        pair = one.here, one.there
        if pair not in found or one.rank() > found[pair].rank():
            found[pair] = one
    leaks = [*found.values(), *_artists(ours, theirs)]
    leaks.sort(key=lambda leak: (leak.here, KINDS.index(leak.kind), leak.there))
    rows = tuple(
        Leak(
            ours.ids[leak.here],
            theirs.ids[leak.there],
            theirs.splits[leak.there],
            leak.kind,
            *leak.score,
            leak.name,
        )
        for leak in leaks
    )
    return Leaks(rows, ours.about(), theirs.about(), ours.short() + theirs.short())


def exclusions(leaks: Leaks, kinds: Collection[Kind] = AUDIO_KINDS) -> list[str]:
    """The track_ids of the first set that leak in one of these ways, in the set's order, each once."""
    return list(dict.fromkeys(row.first for row in leaks.rows if row.kind in kinds))


def write_exclusions(path: Path, leaks: Leaks, kinds: Collection[Kind] = AUDIO_KINDS) -> list[str]:
    """Writes, for pretraining, which tracks to leave out; returns their track_ids.

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
        of: the data set that the tracks are to be left out of, at any sample rate; None to take
            any.

    Raises:
        InputError: there is no such file, it is none of ours, or it was made for another data set.
    """
    excluded, first = read_exclusion_file(path)
    if of is not None:
        _require_same(path, first, excluded, of)
    return excluded


def read_exclusion_file(path: Path) -> tuple[list[str], dict[str, Any]]:
    """The track_ids of an exclusion file, and the hashes of the data set that they are of.

    Raises:
        InputError: there is no such file, or it is none of ours.
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
            f"{path}: schema {content.get('schema')!r}; this version reads {_SCHEMA}: make the file anew"
        )
    excluded, first = content.get("track_ids"), content.get("first")
    if not isinstance(excluded, list) or not all(isinstance(track, str) for track in excluded):
        raise InputError(f"{path}: 'track_ids' is not a list of strings")
    if not isinstance(first, dict) or "tracks_hash" not in first or "data_hash" not in first:
        raise InputError(f"{path}: 'first' does not say which data set the tracks are of")
    return excluded, first


def _require_same(path: Path, first: dict[str, Any], excluded: list[str], of: Prepared) -> None:
    if of.facts["tracks_hash"] != first["tracks_hash"]:
        seen = f"made for data set {first['tracks_hash']}, this one is {of.facts['tracks_hash']}"
        raise InputError(f"{path}: {seen}; run `bench data leaks` anew")
    missing = sorted(set(excluded) - set(of.tracks["track_id"]))
    if missing:
        raise InputError(
            f"{path}: {len(missing)} tracks are not in the data set, the first '{missing[0]}'"
        )


# ---- the three kinds ----


@dataclass(frozen=True)
class _Found:
    """Places of two tracks, how they leak, and (offset, matched seconds, bit error rate)."""

    here: int
    there: int
    kind: Kind
    score: tuple[float, float, float] = (_NAN, _NAN, _NAN)
    name: str = ""

    def rank(self) -> tuple[bool, float, float]:
        """Of one pair, the same samples before a likeness, then the longer, then the closer one."""
        _, seconds, errors = self.score
        return self.kind == "identical", seconds, -errors


class _Side:
    """One of the two sets, and which of its tracks are compared."""

    def __init__(self, data: Prepared, rows: Sequence[int] | NDArray[np.int64]) -> None:
        """Keeps what is asked for often as plain lists."""
        self.data = data
        self.rows: list[int] = np.asarray(rows, np.int64).tolist()
        self.members = frozenset(self.rows)
        self.ids = self.texts("track_id")
        self.splits = self.texts("split")

    def texts(self, column: str) -> list[str]:
        """A column of all tracks; of nothing where the set lacks it."""
        tracks = self.data.tracks
        return [str(value) for value in tracks[column]] if column in tracks else [""] * len(tracks)

    def seconds(self, row: int) -> float:
        """Length of a track."""
        return float(self.data.audio.frames[row]) / self.data.audio.sample_rate

    def short(self) -> int:
        """How many of the tracks are too short for a near-duplicate."""
        return sum(self.seconds(row) < SHORTEST_SECONDS for row in self.rows)

    def about(self) -> dict[str, Any]:
        """What an exclusion file says of the set."""
        return {key: self.data.facts[key] for key in ("data_hash", "tracks_hash")} | {
            "compared": len(self.rows)
        }

    def is_set_of(self, other: "_Side") -> bool:
        """Whether both sides are the same data set, though maybe other tracks of it."""
        return bool(self.data.facts["data_hash"] == other.data.facts["data_hash"])


def _told_once(leak: _Found, ours: _Side, theirs: _Side) -> _Found:
    """The pair, turned round where it stands in both selections of one set and the other track should be excluded."""

    def expendable(row: int) -> tuple[int, int]:
        split = ours.splits[row]
        return -SPLITS.index(split) if split in SPLITS else 1, row

    if (
        not ours.is_set_of(theirs)
        or leak.there not in ours.members
        or leak.here not in theirs.members
    ):
        return leak
    if expendable(leak.here) > expendable(leak.there):
        return leak
    return replace(leak, here=leak.there, there=leak.here, score=(-leak.score[0], *leak.score[1:]))


def _identical(ours: _Side, theirs: _Side) -> Iterator[_Found]:
    """Pairs of the same samples.

    Hashes of two sample rates never agree: such pairs are near-duplicates.
    """
    if ours.data.audio.sample_rate != theirs.data.audio.sample_rate:
        return
    same = ours.is_set_of(theirs)
    known: dict[str, list[int]] = {}
    hashes = theirs.texts("audio_hash")
    for there in theirs.rows:
        known.setdefault(hashes[there], []).append(there)
    hashes = ours.texts("audio_hash")
    for here in ours.rows:
        for there in known.get(hashes[here], []):
            if not same or here != there:
                yield _Found(here, there, "identical", (0.0, ours.seconds(here), 0.0))


def _near_duplicates(ours: _Side, theirs: _Side, progress: Progress) -> Iterator[_Found]:
    """Pairs whose fingerprints agree over some seconds.

    The second set is indexed a block at a time.
    """
    blocks = _blocks([theirs.seconds(row) for row in theirs.rows])
    counter = _Counter(len(theirs.rows) + len(ours.rows) * (1 + len(blocks)), progress)
    itself = {row: place for place, row in enumerate(theirs.rows)} if ours.is_set_of(theirs) else {}
    with tempfile.TemporaryFile() as here_file, tempfile.TemporaryFile() as there_file:
        library = _library(theirs, there_file, counter.count)
        wanted = _library(ours, here_file, counter.count)
        for begin, end in blocks:
            index = Index(library, begin, end)
            for place, here in enumerate(ours.rows):
                for match in index.find(wanted.track(place), but=itself.get(here, -1)):
                    score = (match.offset_seconds, match.matched_seconds, match.bit_error_rate)
                    yield _Found(here, theirs.rows[match.track], "near-duplicate", score)
                counter.count(1)


def _artists(ours: _Side, theirs: _Side) -> Iterator[_Found]:
    """For each first track and each split of the second set, the first track there of the same artist, or else group.

    Of one set, only other splits count. Names without a letter are numbers of a data set's own:
    they count where some track has the same id and the same group in both sets.
    """
    same = ours.is_set_of(theirs)
    groups = set(zip(theirs.ids, theirs.texts("group"), strict=True))
    numbers = not groups.isdisjoint(zip(ours.ids, ours.texts("group"), strict=True))
    told: set[tuple[int, str]] = set()
    for column in ("artist", "group"):
        known: dict[str, dict[str, int]] = {}
        names = theirs.texts(column)
        for there in theirs.rows:
            name = _comparable(names[there], theirs.ids[there], numbers)
            known.setdefault(name, {}).setdefault(theirs.splits[there], there)
        names = ours.texts(column)
        for here in ours.rows:
            name = _comparable(names[here], ours.ids[here], numbers)
            for split, there in known.get(name, {}).items() if name else ():
                if (here, split) not in told and not (same and split == ours.splits[here]):
                    told.add((here, split))
                    yield _Found(here, there, "artist", name=names[here])


# ---- what they need ----


class _Counter:
    """Counts steps, and reports them now and then."""

    def __init__(self, total: int, progress: Progress) -> None:
        """Nothing is done yet."""
        self._done, self._total, self._progress = 0, total, progress

    def count(self, more: int) -> None:
        """So many more are done."""
        reported = self._done // _ROUND
        self._done += more
        if self._done // _ROUND > reported or self._done == self._total:
            self._progress(self._done, self._total)


def _library(side: _Side, file: IO[bytes], count: Callable[[int], None]) -> Library:
    """The fingerprints of a side's tracks, in a file that is mapped into memory: large sets need not fit there."""
    audio = side.data.audio
    ends = [0]

    def one(row: int) -> Fingerprint:
        return fingerprint(audio.read(row, 0, int(audio.frames[row])), audio.sample_rate)

    with ThreadPoolExecutor(
        cpu_count() or 1
    ) as pool:  # numpy, scipy and soxr let go of the interpreter's lock
        for start in range(0, len(side.rows), _ROUND):
            for made in pool.map(one, side.rows[start : start + _ROUND]):
                frames = np.empty(len(made.codes), _FRAMES)
                frames["codes"], frames["weak"], frames["strong"] = (
                    made.codes,
                    made.weak,
                    made.strong,
                )
                file.write(frames.tobytes())
                ends.append(ends[-1] + len(frames))
                count(1)
    file.flush()
    # An empty file cannot be mapped.
    stored = np.memmap(file, _FRAMES, mode="r") if ends[-1] else np.empty(0, _FRAMES)
    return Library(stored["codes"], stored["weak"], stored["strong"], np.array(ends, np.int64))


def _blocks(seconds: Sequence[float]) -> list[tuple[int, int]]:
    """Ranges of tracks, each of at most as many frames as are indexed at once, or of one track."""
    blocks: list[tuple[int, int]] = []
    begin, frames = 0, 0.0
    for place, length in enumerate(seconds):
        if place > begin and frames + length * FRAMES_PER_SECOND > _INDEX_FRAMES:
            blocks.append((begin, place))
            begin, frames = place, 0.0
        frames += length * FRAMES_PER_SECOND
    return [*blocks, (begin, len(seconds))] if seconds else []


def _comparable(given: str, track: str, numbers: bool) -> str:
    """A name in the form that its other spellings share; "" where it says nothing."""
    if given.endswith(f":{track}"):  # "track:ID" stands for "no group"
        return ""
    name = normalised(given)
    return (
        ""
        if name in _NAMELESS or not (numbers or any(letter.isalpha() for letter in name))
        else name
    )


def normalised(name: str) -> str:
    """A name without case, accents, punctuation and a leading "the".

    >>> normalised("  The BEATLES "), normalised("Sigur Rós"), normalised("Simon & Garfunkel")
    ('beatles', 'sigur ros', 'simon and garfunkel')
    """
    plain = unicodedata.normalize("NFKD", name.replace("&", " and ")).casefold()
    letters = [
        letter if letter.isalnum() else " " for letter in plain if not unicodedata.combining(letter)
    ]
    return " ".join("".join(letters).split()).removeprefix("the ")
