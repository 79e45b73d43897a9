"""The journal of a preparation: one line a file, so that a killed attempt is taken up where it ended.

A line is written when the samples have been handed to the system: it then survives a kill of the
process. Every few seconds the samples are forced to the disk and a mark says how many. Lines behind
that are believed only if their samples are there: a machine that loses power may have kept the one
and not the other.
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
    """What became of each file so far, column by column: a million take about 100 MB.

    Attributes:
        frames: length of each file's samples; 0 where it is left out.
        bytes: size of each file.
        mtime_ns: modification time of each.
        hashes: of each file's samples.
        reasons: place -> why the file is left out.
        remarks: place -> what is to be said of a file that is not left out, in lines of "what:
            why".
    """

    def __init__(self, path: Path) -> None:
        """Empty, and not on the disk."""
        self.frames, self.bytes, self.mtime_ns = array("q"), array("q"), array("q")
        self.hashes: list[str] = []
        self.reasons: dict[int, str] = {}
        self.remarks: dict[int, str] = {}
        self._path = path

    def __len__(self) -> int:
        """How many files have been dealt with."""
        return len(self.hashes)

    def __getitem__(self, place: int) -> Outcome:
        """What became of one file."""
        return Outcome(
            *(self.frames[place], self.hashes[place], self.bytes[place], self.mtime_ns[place]),
            *(self.reasons.get(place, ""), self.remarks.get(place, "")),
        )

    def lengths(self) -> NDArray[np.int64]:
        """(files,) int64, length of each file's samples."""
        return np.array(self.frames, np.int64)

    def begin(self, of: str) -> None:
        """Writes what is in it to a fresh file, whose lines are all believed, and goes on in it."""
        lines = [{"of": of}, *(_line(self[place]) for place in range(len(self))), len(self)]
        write_atomically(self._path, "".join(json.dumps(line) + "\n" for line in lines).encode())
        self._file = unbuffered(self._path)

    def append(self, outcome: Outcome) -> None:
        """Enters the next file; its samples must have been handed to the system."""
        self.hold(outcome)
        self._write(_line(outcome))

    def mark(self, number: int) -> None:
        """Says that the samples of the first so many files are on the disk."""
        self._write(number)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def hold(self, outcome: Outcome) -> None:
        """Enters the next file in memory alone."""
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
    """The journal of what an earlier attempt finished, or an empty one.

    Args:
        folder: of the attempt.
        of: names what is prepared: the journal of anything else counts for nothing.
        shard_bytes: most bytes a file of the store.
    """
    path = folder / "journal.jsonl"
    outcomes, believed = _read(path, of)
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
        if (
            frames
            and place >= believed
            and hash_of(store.read(place, 0, frames)) != outcome.audio_hash
        ):
            break
        journal.hold(outcome)
    return journal


def _read(path: Path, of: str) -> tuple[list[Outcome], int]:
    """The outcomes in a journal, and how many of them stand before its last mark."""
    outcomes: list[Outcome] = []
    believed = 0
    if path.exists():
        with open(path, encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file):
                try:
                    entry = json.loads(line)
                except ValueError:  # a line that was not written whole is the last
                    break
                if number == 0 and entry != {"of": of}:
                    break
                if isinstance(entry, int):
                    believed = entry
                elif number:
                    outcomes.append(Outcome(*entry))
    return outcomes, believed


def _line(outcome: Outcome) -> list[Any]:
    return [
        *(outcome.frames, outcome.audio_hash, outcome.bytes, outcome.mtime_ns),
        *(outcome.reason, outcome.remark),
    ]
