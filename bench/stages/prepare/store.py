"""Prepare: a manifest and its audio files become a PCM store, once a sample rate.

A killed attempt is taken up again. Product (a folder): `audio-00000.i16` and so on,
`manifest.parquet` (with each file's size and time when it was read, and a hash of its samples,
`audio_hash`), `labels.npy` ((tracks, tags) bool), `report.csv` (every file that was left out or is
not as it was, with the reason), `data.json` (all that planning needs), `run.json` (the time that it
took, and what it was made from) and, written last, `index.npy` (file, offset and length of each
track in samples).
"""

import hashlib
import time
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from bench.core.store import write_array, write_json
from bench.data.decoders import Answer, Decoders, Outcome, cores, decoders
from bench.data.manifest import InputError, Manifest, Progress
from bench.stages.prepare import estimate
from bench.stages.prepare.description import write_description
from bench.stages.prepare.journal import Journal, take_up
from bench.stages.prepare.reuse import Finished, decoding
from bench.stages.prepare.shards import SHARD_BYTES, ShardWriter, lay_out
from bench.stages.prepare.words import Teller

_SYNC_SECONDS = 5.0  # between two times that the samples are forced to the disk


@dataclass(frozen=True)
class _Order:
    """What is asked for."""

    paths: list[str]
    root: Path
    sample_rate: int
    folder: Path
    on_bad: Literal["report", "fail"]
    shortest_seconds: float
    shard_bytes: int

    @property
    def identity(self) -> str:
        """Digest of all that the samples depend on: only such an attempt is gone on with."""
        what = [
            *self.paths,
            str(self.sample_rate),
            str(self.shortest_seconds),
            str(self.shard_bytes),
            decoding(),
        ]
        return hashlib.sha256("\0".join(what).encode("utf-8", "surrogatepass")).hexdigest()


def prepare(
    manifest: Manifest,
    root: Path,
    sample_rate: int,
    folder: Path,
    progress: Progress,
    workers: int | None = None,
    on_bad: Literal["report", "fail"] = "report",
    previous: Path | None = None,
    shortest_seconds: float = 0.0,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Decodes every track of a manifest into `folder`.

    Args:
        manifest: the data set.
        root: what the manifest's paths are relative to.
        sample_rate: of the store, in Hz.
        folder: where the product is built; holds what an earlier attempt left.
        progress: called with (done, total) tracks and, where it takes three, with how fast it goes.
        workers: processes that decode; None for as many as there are cores.
        on_bad: "report" leaves out a file that cannot be used and lists it; "fail" stops at the
            first.
        previous: a finished product of the same root at the same sample rate: files that have not
            changed in size and time since are copied from it.
        shortest_seconds: tracks shorter than this are left out.
        shard_bytes: most bytes a file of the store.

    Raises:
        InputError: no file of a split could be read; the disk cannot hold the store; with
            `on_bad="fail"`, a file cannot be used.
    """
    started = time.monotonic()
    paths = [str(path) for path in manifest.tracks["path"]]
    order = _Order(paths, root, sample_rate, folder, on_bad, shortest_seconds, shard_bytes)
    finished = Finished(previous, sample_rate) if previous else None
    journal = take_up(folder, order.identity, shard_bytes)
    with decoders(workers or cores()) as pool:
        estimate.require_room(
            folder, root, paths, sample_rate, there=2 * sum(journal.frames), decoders=pool
        )
        _store_all(
            order,
            journal,
            _answers(order, len(journal), finished, pool),
            Teller(progress, len(order.paths), order.sample_rate),
        )
    write_description(manifest, sample_rate, folder, journal)
    run = {
        "seconds": time.monotonic() - started,
        "root": str(root.resolve()),
        "decoding": decoding(),
    }
    write_json(folder / "run.json", run)
    frames = journal.lengths()
    write_array(folder / "index.npy", lay_out(frames[frames > 0], shard_bytes))
    (folder / "journal.jsonl").unlink()


def _answers(
    order: _Order, start: int, finished: Finished | None, pool: Decoders
) -> Generator[Answer, None, None]:
    """The tracks from `start` on, in order: copied where that is possible, decoded otherwise."""
    paths = order.paths[start:]
    known = [finished.find(order.root, path) for path in paths] if finished else [None] * len(paths)
    new = (order.root / path for path, row in zip(paths, known, strict=True) if row is None)
    with closing(pool.decode(new, order.sample_rate)) as decoded:
        for row in known:
            yield next(decoded) if row is None or finished is None else finished.copy(row)


def _store_all(order: _Order, journal: Journal, answers: Iterator[Answer], tell: Teller) -> None:
    """Appends each track's samples to the store, and its line to the journal."""
    if journal.reasons and order.on_bad == "fail":
        place = min(journal.reasons)
        raise InputError(f"{order.root / order.paths[place]}: {journal.reasons[place]}")
    frames = journal.lengths()
    writer = ShardWriter(order.folder, frames[frames > 0], order.shard_bytes)
    journal.begin(order.identity)
    with closing(writer), closing(journal), ThreadPoolExecutor(1) as background:
        syncing: Future[None] | None = None
        last, upto = time.monotonic(), 0
        for outcome, samples in answers:
            outcome = _long_enough(outcome, order)
            if outcome.reason and order.on_bad == "fail":
                raise InputError(f"{order.root / order.paths[len(journal)]}: {outcome.reason}")
            if outcome.frames:
                writer.append(samples)
            journal.append(outcome)
            if syncing and syncing.done():
                syncing.result()
                journal.mark(upto)
                syncing = None
            elif not syncing and time.monotonic() - last > _SYNC_SECONDS:
                last, upto = time.monotonic(), len(journal)
                syncing = background.submit(writer.sync_later())
            tell(len(journal), outcome)


def _long_enough(outcome: Outcome, order: _Order) -> Outcome:
    if not outcome.frames or outcome.frames >= round(order.shortest_seconds * order.sample_rate):
        return outcome
    seconds = outcome.frames / order.sample_rate
    reason = f"too short ({seconds:.2f} s; asked for at least {order.shortest_seconds:g} s)"
    return replace(outcome, frames=0, audio_hash="", reason=reason, remark="")
