"""Decodes the audio files of a manifest into a store of PCM samples, one for each sample rate.

A killed attempt is continued. The product is a folder of these files:

    audio-00000.i16 and so on: the samples, as 16-bit integers.
    manifest.parquet: the tracks, with the size and time of each file when it was read, and a hash
        of its samples (`audio_hash`).
    labels.npy: which tracks have which tags, (tracks, tags) bool.
    report.csv: every file that was left out or changed, with the reason.
    data.json: the facts that planning needs.
    run.json: the time that it took, and what it was made from.
    index.npy: file, offset and length of each track in samples. It is written last.
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
    """What is asked for.

    Attributes:
        paths: of the audio files, in the order of the manifest.
        root: folder that the paths are relative to.
        sample_rate: of the store, in Hz.
        folder: of the product.
        on_bad: "report" leaves out files that cannot be used, "fail" stops at the first.
        shortest_seconds: shorter tracks are left out.
        shard_bytes: largest size of a file of the store, in bytes.
    """

    paths: list[str]
    root: Path
    sample_rate: int
    folder: Path
    on_bad: Literal["report", "fail"]
    shortest_seconds: float
    shard_bytes: int

    @property
    def identity(self) -> str:
        """Digest of what was asked for; an attempt of another identity is not continued."""
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
    """Decodes every track of a manifest into a folder, and describes the product there.

    Args:
        manifest: of the data set.
        root: folder that the manifest's paths are relative to.
        sample_rate: of the store, in Hz.
        folder: of the product; may hold what an earlier attempt left.
        progress: called with (done, total) tracks and, if it takes a third argument, with a text
            that states the speed.
        workers: number of processes that decode; None for as many as there are cores.
        on_bad: "report" leaves out a file that cannot be used and lists it; "fail" stops at the
            first.
        previous: folder of a finished product of the same root at the same sample rate; files that
            have not changed in size and time since are copied from it.
        shortest_seconds: tracks shorter than this are left out.
        shard_bytes: largest size of a file of the store, in bytes.

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
    """The samples of the tracks from `start` on, in order: copied where possible, else decoded.

    Args:
        order: what is asked for.
        start: number of tracks that an earlier attempt has stored.
        finished: an earlier product to copy from, if there is one.
        pool: processes that decode.

    Yields:
        Of each track, what became of it and its samples.
    """
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
    """The outcome of a track; where the track is too short, that it is left out for that."""
    if not outcome.frames or outcome.frames >= round(order.shortest_seconds * order.sample_rate):
        return outcome
    seconds = outcome.frames / order.sample_rate
    reason = f"too short ({seconds:.2f} s; asked for at least {order.shortest_seconds:g} s)"
    return replace(outcome, frames=0, audio_hash="", reason=reason, remark="")
