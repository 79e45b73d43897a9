"""Searches two data sets for pairs of tracks that have audio or an artist in common.

`leaks` says what that is for. Here tracks are known by their places, that is by their row in the
data set's table.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from os import cpu_count
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.artist_names import comparable
from bench.data.fingerprint import (
    FRAMES_PER_SECOND,
    SHORTEST_SECONDS,
    Fingerprint,
    Index,
    Library,
    fingerprint,
)
from bench.data.manifest import SPLITS, Progress
from bench.data.prepared import Prepared

Kind = Literal["identical", "near-duplicate", "artist"]
"""How two tracks leak: the same samples, the same recording, or another recording of an artist."""

_FRAMES = np.dtype([("codes", np.uint32), ("weak", np.uint32), ("strong", np.uint32)])
_NAN = float("nan")
_ROUND = 64  # tracks between two reports of progress
_INDEX_FRAMES = 2**24  # indexed at once: 100 hours of audio, half a gigabyte


@dataclass(frozen=True)
class Pair:
    """A track of the first set and one of the second that have something in common.

    Attributes:
        here: place of the track in the first set.
        there: place of the track in the second set.
        kind: what they have in common.
        score: (offset in seconds, matched seconds, bit error rate); see `leaks.Leak`.
        name: the artist or group, of the kind "artist".
    """

    here: int
    there: int
    kind: Kind
    score: tuple[float, float, float] = (_NAN, _NAN, _NAN)
    name: str = ""

    def rank(self) -> tuple[bool, float, float]:
        """Orders findings on the same two tracks, the strongest evidence last.

        The same samples come above likeness, then more matched seconds, then fewer errors.
        """
        _, seconds, errors = self.score
        return self.kind == "identical", seconds, -errors


class Side:
    """One of the two sets, and which of its tracks are compared.

    Attributes:
        data: the prepared data set.
        rows: places of the tracks that are compared.
        members: the same places, as a set.
        ids: track_id of every track.
        splits: split of every track.
    """

    def __init__(self, data: Prepared, rows: Sequence[int] | NDArray[np.int64]) -> None:
        """Takes a data set and the places of the tracks that are compared."""
        self.data = data
        self.rows: list[int] = np.asarray(rows, np.int64).tolist()
        self.members = frozenset(self.rows)
        self.ids = self.texts("track_id")
        self.splits = self.texts("split")

    def texts(self, column: str) -> list[str]:
        """The values of a column for all tracks, as text; "" where there is no such column."""
        tracks = self.data.tracks
        return [str(value) for value in tracks[column]] if column in tracks else [""] * len(tracks)

    def seconds(self, row: int) -> float:
        """Length of a track in seconds."""
        return float(self.data.audio.frames[row]) / self.data.audio.sample_rate

    def short(self) -> int:
        """How many of the compared tracks are too short for near-duplicates to be found."""
        return sum(self.seconds(row) < SHORTEST_SECONDS for row in self.rows)

    def about(self) -> dict[str, Any]:
        """What an exclusion file says of the set: its hashes, and how many tracks were compared."""
        return {key: self.data.facts[key] for key in ("data_hash", "tracks_hash")} | {
            "compared": len(self.rows)
        }

    def is_set_of(self, other: "Side") -> bool:
        """Whether both sides are of the same data set, though maybe with different tracks."""
        return bool(self.data.facts["data_hash"] == other.data.facts["data_hash"])


def told_once(leak: Pair, ours: Side, theirs: Side) -> Pair:
    """The pair in the direction in which it is reported.

    Where both tracks are compared on both sides, as in a set with itself, the pair is found twice.
    It is then reported once, with that track first that is the better one to exclude: of the train
    before the valid before the test split, then the later one.
    """

    def expendable(row: int) -> tuple[int, int]:
        """Orders tracks, the one to exclude rather last."""
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


def identical(ours: Side, theirs: Side) -> Iterator[Pair]:
    """Pairs of tracks with the same samples.

    At different sample rates the samples never agree: such pairs are found as near-duplicates.
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
                yield Pair(here, there, "identical", (0.0, ours.seconds(here), 0.0))


def near_duplicates(ours: Side, theirs: Side, progress: Progress) -> Iterator[Pair]:
    """Pairs of tracks whose fingerprints agree over some seconds.

    Of a large second set only a block of tracks is indexed at a time, so that the index fits into
    memory; every track of the first set is looked up in each block.
    """
    blocks = _blocks([theirs.seconds(row) for row in theirs.rows])
    counter = _Counter(len(theirs.rows) + len(ours.rows) * (1 + len(blocks)), progress)
    # Of one set: where each track is in the index, since a track is not its own duplicate.
    itself = {row: place for place, row in enumerate(theirs.rows)} if ours.is_set_of(theirs) else {}
    with tempfile.TemporaryFile() as here_file, tempfile.TemporaryFile() as there_file:
        library = _library(theirs, there_file, counter.count)
        wanted = _library(ours, here_file, counter.count)
        for begin, end in blocks:
            index = Index(library, begin, end)
            for place, here in enumerate(ours.rows):
                for match in index.find(wanted.track(place), but=itself.get(here, -1)):
                    score = (match.offset_seconds, match.matched_seconds, match.bit_error_rate)
                    yield Pair(here, theirs.rows[match.track], "near-duplicate", score)
                counter.count(1)


def artists(ours: Side, theirs: Side) -> Iterator[Pair]:
    """Pairs of tracks of the same artist, or else of the same group.

    A track of the first set is paired with the first such track of each split of the second set;
    where both are the same set, of each other split. Names without a letter are numbers that only
    their own data set gives a meaning: they count where some track has the same id and the same
    group in both sets.
    """
    same = ours.is_set_of(theirs)
    groups = set(zip(theirs.ids, theirs.texts("group"), strict=True))
    numbers = not groups.isdisjoint(zip(ours.ids, ours.texts("group"), strict=True))
    told: set[tuple[int, str]] = set()
    for column in ("artist", "group"):
        known: dict[str, dict[str, int]] = {}
        names = theirs.texts(column)
        for there in theirs.rows:
            name = comparable(names[there], theirs.ids[there], numbers)
            known.setdefault(name, {}).setdefault(theirs.splits[there], there)
        names = ours.texts(column)
        for here in ours.rows:
            name = comparable(names[here], ours.ids[here], numbers)
            for split, there in known.get(name, {}).items() if name else ():
                if (here, split) not in told and not (same and split == ours.splits[here]):
                    told.add((here, split))
                    yield Pair(here, there, "artist", name=names[here])


class _Counter:
    """Counts steps, and reports them to `progress` every `_ROUND` steps and at the end."""

    def __init__(self, total: int, progress: Progress) -> None:
        """Begins at 0 of `total` steps."""
        self._done, self._total, self._progress = 0, total, progress

    def count(self, more: int) -> None:
        """Adds so many steps that are done."""
        reported = self._done // _ROUND
        self._done += more
        if self._done // _ROUND > reported or self._done == self._total:
            self._progress(self._done, self._total)


def _library(side: Side, file: IO[bytes], count: Callable[[int], None]) -> Library:
    """The fingerprints of a side's compared tracks.

    They are written to `file`, which is then mapped into memory, so that those of large sets need
    not fit into it.

    Args:
        side: the tracks.
        file: a new temporary file.
        count: called with 1 for each track.
    """
    audio = side.data.audio
    ends = [0]

    def print_of(row: int) -> Fingerprint:
        return fingerprint(audio.read(row, 0, int(audio.frames[row])), audio.sample_rate)

    # Threads are enough: numpy, scipy and soxr release the interpreter's lock.
    with ThreadPoolExecutor(cpu_count() or 1) as pool:
        for start in range(0, len(side.rows), _ROUND):
            for track in pool.map(print_of, side.rows[start : start + _ROUND]):
                frames = np.empty(len(track.codes), _FRAMES)
                frames["codes"], frames["weak"] = track.codes, track.weak
                frames["strong"] = track.strong
                file.write(frames.tobytes())
                ends.append(ends[-1] + len(frames))
                count(1)
    file.flush()
    # An empty file cannot be mapped.
    stored = np.memmap(file, _FRAMES, mode="r") if ends[-1] else np.empty(0, _FRAMES)
    return Library(stored["codes"], stored["weak"], stored["strong"], np.array(ends, np.int64))


def _blocks(seconds: Sequence[float]) -> list[tuple[int, int]]:
    """Ranges (begin, end) of tracks that are indexed together, of at most `_INDEX_FRAMES` frames.

    A single track may have more.

    Args:
        seconds: length of each track.
    """
    blocks: list[tuple[int, int]] = []
    begin, frames = 0, 0.0
    for place, length in enumerate(seconds):
        if place > begin and frames + length * FRAMES_PER_SECOND > _INDEX_FRAMES:
            blocks.append((begin, place))
            begin, frames = place, 0.0
        frames += length * FRAMES_PER_SECOND
    return [*blocks, (begin, len(seconds))] if seconds else []
