"""Embeddings of a user's own audio files, which are decoded in parallel and encoded in batches."""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import InputError
from bench.core.progress import Report
from bench.data.decoders import cores, decoders
from bench.pretrained import Pretrained, track_embedding

ENDINGS = (
    ".wav",
    ".flac",
    ".ogg",
    ".opus",
    ".mp3",
    ".aiff",
    ".aif",
    ".au",
    ".m4a",
    ".aac",
    ".mp4",
    ".m4b",
)
"""Endings of the files that are taken from a folder. A file that is given itself may have any."""
_ROWS = 2**14  # rows written to a parquet file at a time
OnBad = Literal["report", "fail"]
"""What to do with a file that cannot be read: report it at the end, or stop."""


@dataclass(frozen=True)
class Embedded:
    """Embeddings of audio files.

    Attributes:
        paths: paths of the files that were embedded, in the order given.
        tracks: (tracks, width) float32 mean of the embeddings of each track's segments.
        first: (tracks + 1,) int64; the segments of track t are rows first[t] up to, without,
            first[t + 1].
        left_out: one line for each file that could not be read.
        remarks: one line for each remark on a file that was read, such as damage in it.
    """

    paths: list[str]
    tracks: NDArray[np.float32]
    first: NDArray[np.int64]
    left_out: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def audio_files(given: Sequence[Path]) -> tuple[list[Path], Counter[str]]:
    """Lists the given files, and those with a known ending in the given folders, each once.

    Args:
        given: paths of files and folders.

    Returns:
        The files, those of a folder sorted by name; and how many files in folders were passed over,
        by kind.

    Raises:
        InputError: if a path does not exist, a folder cannot be read, or there is no file.
    """
    files: dict[Path, None] = {}  # a set that keeps its order
    passed: Counter[str] = Counter()
    for path in given:
        if path.is_dir():
            inside = sorted(_below(path, passed))
            if not inside:
                raise InputError(f"{path}: no audio files ({', '.join(ENDINGS)}) in this folder")
            files |= dict.fromkeys(inside)
        elif path.exists():
            files[path] = None
        else:
            raise InputError(f"{path}: there is no such file or folder")
    if not files:
        raise InputError("name one or more audio files or folders")
    return list(files), passed


def _below(root: Path, passed: Counter[str]) -> Iterator[Path]:
    """Yields the audio files under a folder, following links, and counts everything else.

    Args:
        root: the folder.
        passed: counts of what is passed over, by kind.
    """

    def refuse(error: OSError) -> None:
        raise InputError(
            f"{error.filename}: cannot be read ({(error.strerror or str(error)).lower()})"
        ) from error

    entered = {os.path.realpath(root)}
    for base, folders, names in os.walk(root, followlinks=True, onerror=refuse):
        for name in list(folders):
            real, hidden = os.path.realpath(Path(base, name)), name.startswith(".")
            # A link to a folder above would be followed for ever.
            if hidden or real in entered:
                folders.remove(name)
                passed["hidden folders" if hidden else "folders met a second time"] += 1
            entered.add(real)
        for name in names:
            if name.startswith("."):
                passed["hidden files"] += 1
            elif name.lower().endswith(ENDINGS):
                yield Path(base, name)
            else:
                passed["files that are no audio"] += 1


def embed_files(
    model: Pretrained,
    paths: Sequence[Path],
    report: Report,
    spool: IO[bytes] | None,
    workers: int | None = None,
    on_bad: OnBad = "report",
) -> Embedded:
    """Embeds audio files, with the samples of a few files and one batch of segments in memory.

    Args:
        model: the frozen encoder, on its device.
        paths: the files.
        report: called with (done, total) numbers of files.
        spool: file to which the embeddings of segments are written, float32 one after the other;
            None to drop them.
        workers: number of files that are decoded at the same time; by default one for each core.
        on_bad: "report" leaves out files that cannot be read; "fail" stops at the first of them.

    Raises:
        InputError: if no file could be read, or with "fail" if one could not.
    """
    kept: list[str] = []
    left_out: list[str] = []
    remarks: list[str] = []

    def samples() -> Iterator[NDArray[np.int16]]:
        for place, (path, (outcome, decoded)) in enumerate(zip(paths, answers, strict=True)):
            if outcome.reason:
                left_out.append(f"{path}: {outcome.reason}")
                if on_bad == "fail":
                    raise InputError(left_out[0])
            else:
                kept.append(os.fsencode(path).decode(errors="replace"))
                remarks.extend(f"{path}: {line}" for line in outcome.remark.splitlines())
                yield decoded
            report(place + 1, len(paths))

    tracks, first = [], [0]
    # The decoding is closed before the pool: no process may wait for another that has ended.
    with (
        decoders(workers or cores()) as pool,
        closing(pool.decode(iter(paths), model.sample_rate)) as answers,
    ):
        for vectors in model.embed_all(samples()):
            tracks.append(track_embedding(vectors))
            first.append(first[-1] + len(vectors))
            if spool is not None:
                spool.write(vectors.tobytes())
    if not tracks:
        raise InputError(f"none of {len(paths)} files could be read: {left_out[0]}")
    return Embedded(kept, np.stack(tracks), np.array(first, np.int64), left_out, remarks)


def embed_to(
    model: Pretrained,
    paths: Sequence[Path],
    out: Path,
    segments: bool,
    report: Report,
    workers: int | None = None,
    on_bad: OnBad = "report",
) -> Embedded:
    """Embeds audio files and writes the embeddings to one file, atomically.

    An `.npz` file holds the arrays of `Embedded`: `paths` and `tracks`, and with segments
    `segments` (segments, width) and `first`. A `.parquet` file has the columns `path` and
    `embedding`, with one row for each track; with segments one row for each segment and the column
    `start_seconds`.

    Args:
        model: the frozen encoder, on its device.
        paths: the files.
        out: the file to write; its ending determines the format.
        segments: whether to write the embeddings of segments too.
        report: called with (done, total) numbers of files.
        workers: see `embed_files`.
        on_bad: see `embed_files`.

    Returns:
        The embeddings of the tracks, and which files were left out.

    Raises:
        InputError: as `embed_files`, or if the ending of `out` is not known.
    """
    require_form(out)
    # A temporary file without a name: nothing is left of it, however the process ends.
    with tempfile.TemporaryFile(dir=out.absolute().parent) as spool:
        embedded = embed_files(model, paths, report, spool if segments else None, workers, on_bad)
        spool.flush()
        rows = None
        if segments:
            shape = (int(embedded.first[-1]), model.width)
            rows = np.memmap(spool, np.float32, "r", shape=shape)
        temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
        try:
            write = _write_npz if out.suffix.lower() == ".npz" else _write_parquet
            write(temporary, embedded, rows, model)
            temporary.replace(out)
        finally:
            temporary.unlink(missing_ok=True)
    return embedded


def require_form(out: Path) -> None:
    """Checks the path of an output file, before anything is computed.

    Args:
        out: the file to write.

    Raises:
        InputError: if the ending is neither .npz nor .parquet, or the path is a folder.
    """
    if out.suffix.lower() not in (".npz", ".parquet"):
        raise InputError(f"--out {out}: end it with .npz or .parquet")
    if out.is_dir():
        raise InputError(f"--out {out} is a folder; give a file")


def _write_npz(
    path: Path, embedded: Embedded, rows: NDArray[np.float32] | None, model: Pretrained
) -> None:
    """Writes embeddings as `.npz`; see `embed_to`."""
    arrays: dict[str, Any] = {"paths": np.array(embedded.paths), "tracks": embedded.tracks}
    if rows is not None:
        arrays |= {"segments": rows, "first": embedded.first}
    with open(path, "wb") as file:
        np.savez(file, **arrays)


def _write_parquet(
    path: Path, embedded: Embedded, rows: NDArray[np.float32] | None, model: Pretrained
) -> None:
    """Writes embeddings as `.parquet`; see `embed_to`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    vector = pa.list_(pa.float32(), model.width)
    starts = [] if rows is None else [("start_seconds", pa.float64())]
    about = {
        "cell": model.config["cell"],
        "sample_rate": str(model.sample_rate),
        "seconds": f"{model.seconds:g}",
    }
    schema = pa.schema([("path", pa.string()), *starts, ("embedding", vector)], about)
    if rows is None:
        values, track_of_row = embedded.tracks, np.arange(len(embedded.tracks))
        number = np.zeros_like(track_of_row)
    else:
        values, counts = rows, np.diff(embedded.first)
        track_of_row = np.repeat(np.arange(len(counts)), counts)
        # Number of each segment within its track.
        number = np.arange(len(track_of_row)) - embedded.first[track_of_row]
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(values), _ROWS):
            part = slice(start, start + _ROWS)
            paths = [embedded.paths[track] for track in track_of_row[part]]
            vectors = pa.array(np.ravel(values[part]))
            columns = [pa.array(paths, pa.string())]
            columns += [] if rows is None else [pa.array(number[part] * model.seconds)]
            columns += [pa.FixedSizeListArray.from_arrays(vectors, model.width)]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
