"""The journal of a preparation: a line for each audio file, from which a killed attempt goes on.

A line is written when the samples of a file have been handed to the operating system: it then
survives a kill of the process. Every few seconds the samples are forced to the disk, and a line
with a number, the mark, says of how many files. Lines behind the last mark count only where the
samples on the disk have the hash that the line states: a machine that loses power may have kept the
line and not the samples.
"""

import json
from array import array
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.store import write_atomically
from bench.data.decoders import Outcome, hash_of
from bench.data.fetch.disk import size_of
from bench.data.pcm import PcmStore, shard_name
from bench.stages.prepare.shards import lay_out, unbuffered, write_whole


class Journal:
    """The outcomes of the audio files so far, column by column: a million take about 100 MB.

    Attributes:
        frames: number of samples of each file; 0 where it is left out.
        bytes: size of each file.
        mtime_ns: modification time of each file, in nanoseconds.
        hashes: hash of the samples of each file.
        reasons: why a file is left out, by its place among the files.
        remarks: how a file that is not left out was changed, by its place among the files, in lines
            of "what: why".
    """

    def __init__(self, path: Path) -> None:
        """Makes an empty journal; nothing is written yet.

        Args:
            path: the file that `begin` makes.
        """
        self.frames, self.bytes, self.mtime_ns = array("q"), array("q"), array("q")
        self.hashes: list[str] = []
        self.reasons: dict[int, str] = {}
        self.remarks: dict[int, str] = {}
        self._path = path

    def __len__(self) -> int:
        """Number of files that have an outcome."""
        return len(self.hashes)

    def __getitem__(self, place: int) -> Outcome:
        """The outcome of the file at a place."""
        return Outcome(
            *(self.frames[place], self.hashes[place], self.bytes[place], self.mtime_ns[place]),
            *(self.reasons.get(place, ""), self.remarks.get(place, "")),
        )

    def lengths(self) -> NDArray[np.int64]:
        """(files,) int64, number of samples of each file; 0 where it is left out."""
        return np.array(self.frames, np.int64)

    def begin(self, of: str) -> None:
        """Writes all outcomes to a fresh file, and a mark behind them, and opens it to append.

        Args:
            of: identity of what is prepared, see `take_up`.
        """
        lines = [{"of": of}, *(_line(self[place]) for place in range(len(self))), len(self)]
        write_atomically(self._path, "".join(json.dumps(line) + "\n" for line in lines).encode())
        self._file = unbuffered(self._path)

    def append(self, outcome: Outcome) -> None:
        """Enters the outcome of the next file, whose samples have been handed to the system."""
        self.hold(outcome)
        self._write(_line(outcome))

    def mark(self, number: int) -> None:
        """Writes the mark: the samples of the first `number` files are on the disk."""
        self._write(number)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def hold(self, outcome: Outcome) -> None:
        """Enters the outcome of the next file in memory, without writing it."""
        place = len(self)
        self.frames.append(outcome.frames)
        self.bytes.append(outcome.bytes)
        self.mtime_ns.append(outcome.mtime_ns)
        self.hashes.append(outcome.audio_hash)
        if outcome.reason:
            self.reasons[place] = outcome.reason
        if outcome.remark:
            self.remarks[place] = outcome.remark

    def _write(self, line: Any) -> None:
        write_whole(self._file, self._path, json.dumps(line).encode() + b"\n")


def take_up(folder: Path, of: str, shard_bytes: int) -> Journal:
    """Reads the journal of an earlier attempt, as far as its samples are on the disk.

    Args:
        folder: of the attempt.
        of: identity of what is prepared; the journal of anything else is ignored.
        shard_bytes: most bytes of a file of the store.

    Returns:
        The journal in memory, empty where there is nothing to go on from.
    """
    path = folder / "journal.jsonl"
    outcomes, marked = _read(path, of)
    lengths = np.array([outcome.frames for outcome in outcomes], np.int64)
    index = np.zeros((len(outcomes), 3), np.int64)
    index[lengths > 0] = lay_out(lengths[lengths > 0], shard_bytes)
    sizes = {
        int(shard): size_of(folder / shard_name(int(shard))) for shard in np.unique(index[:, 0])
    }
    store = PcmStore(folder, index, sample_rate=1)
    journal = Journal(path)
    for place, outcome in enumerate(outcomes):
        shard, offset, frames = index[place].tolist()
        if frames and 2 * (offset + frames) > sizes[shard]:
            break
        known = place < marked or not frames
        if not known and hash_of(store.read(place, 0, frames)) != outcome.audio_hash:
            break
        journal.hold(outcome)
    return journal


def _read(path: Path, of: str) -> tuple[list[Outcome], int]:
    """Reads the outcomes in a journal, and how many of them its last mark covers."""
    outcomes: list[Outcome] = []
    marked = 0
    if path.exists():
        with open(path, encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file):
                try:
                    entry = json.loads(line)
                except ValueError:  # the last line, where it was not written whole
                    break
                if number == 0 and entry != {"of": of}:
                    break
                if isinstance(entry, int):
                    marked = entry
                elif number:
                    outcomes.append(Outcome(*entry))
    return outcomes, marked


def _line(outcome: Outcome) -> list[Any]:
    """An outcome as JSON, in the order of the fields of `Outcome`."""
    return [
        *(outcome.frames, outcome.audio_hash, outcome.bytes, outcome.mtime_ns),
        *(outcome.reason, outcome.remark),
    ]
