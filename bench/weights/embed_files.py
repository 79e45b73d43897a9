"""Embeds a user's own audio files: decoded side by side, encoded together, written as one file or not at all."""

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
"""What is taken of a folder. A file that is named itself may have any ending."""
_ROWS = 2**14  # segments written to a parquet file at a time
OnBad = Literal["report", "fail"]


@dataclass(frozen=True)
class Embedded:
    """What became of the files.

    Attributes:
        paths: of the files that were embedded, in the order they were given.
        tracks: (tracks, width) float32, the mean of each track's segments.
        first: (tracks + 1,) int64: the segments of track t are rows first[t] to first[t + 1].
        left_out: a line for each file that could not be read.
        remarks: a line for each file that was not read as it is.
    """

    paths: list[str]
    tracks: NDArray[np.float32]
    first: NDArray[np.int64]
    left_out: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def audio_files(given: Sequence[Path]) -> tuple[list[Path], Counter[str]]:
    """The files that are named, and those with a known ending under the folders that are named.

    Each once.

    Returns:
        The files, those of a folder in the order of their names; and how many files of folders were
        passed over, by what they are.

    Raises:
        InputError: a path that is not there, a folder that cannot be read, or nothing at all.
    """
    found: dict[Path, None] = {}
    passed: Counter[str] = Counter()
    for path in given:
        if path.is_dir():
            inside = sorted(_below(path, passed))
            if not inside:
                raise InputError(f"{path}: no audio files ({', '.join(ENDINGS)}) in this folder")
            found |= dict.fromkeys(inside)
        elif path.exists():
            found[path] = None
        else:
            raise InputError(f"{path}: there is no such file or folder")
    if not found:
        raise InputError("name one or more audio files or folders")
    return list(found), passed


def _below(root: Path, passed: Counter[str]) -> Iterator[Path]:
    """The audio files under a folder, behind links too; counts what else is there."""

    def refuse(error: OSError) -> None:
        raise InputError(
            f"{error.filename}: cannot be read ({(error.strerror or str(error)).lower()})"
        ) from error

    entered = {os.path.realpath(root)}
    for base, folders, names in os.walk(root, followlinks=True, onerror=refuse):
        for name in list(folders):
            real = os.path.realpath(Path(base, name))
            if (
                name.startswith(".") or real in entered
            ):  # a link back to a folder above leads on for ever
                folders.remove(name)
                passed[
                    "hidden folders" if name.startswith(".") else "folders met a second time"
                ] += 1
            entered.add(real)
        for name in names:
            if name.startswith("."):
                passed["hidden files"] += 1
            elif name.lower().endswith(ENDINGS):
                yield Path(base, name)
            else:
                passed["files that are no audio"] += 1


def embed_files(
    model: Pretrained, paths: Sequence[Path], report: Report, spool: IO[bytes] | None,
    workers: int | None = None, on_bad: OnBad = "report",
) -> Embedded:  # fmt: skip
    """Embeds files; at most a few files' samples and a batch of segments are in memory at once.

    Args:
        model: the frozen encoder, on its device.
        paths: the files.
        report: called with (done, total) files.
        spool: takes the segments' embeddings as float32, one after the other; None to drop them.
        workers: files decoded at the same time; all cores where not given.
        on_bad: "report" leaves files that cannot be read out; "fail" stops at the first.

    Raises:
        InputError: no file could be read; with `on_bad="fail"`, one could not.
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
    # Ours is the last of the samples: no process may wait for another that is already gone.
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
    model: Pretrained, paths: Sequence[Path], out: Path, segments: bool, report: Report,
    workers: int | None = None, on_bad: OnBad = "report",
) -> Embedded:  # fmt: skip
    """Embeds files and writes `out`, whole or not at all.

    `.npz` holds `paths`, `tracks` and, with segments, `segments` and `first`; `.parquet` has a row
    a track, or a row a segment with `start_seconds`, with the column `embedding`.

    Args:
        model: the frozen encoder.
        paths: the files.
        out: the file; its ending says the form.
        segments: whether the embeddings of segments are written, too.
        report: called with (done, total) files.
        workers: see `embed_files`.
        on_bad: see `embed_files`.
    """
    require_form(out)
    with tempfile.TemporaryFile(
        dir=out.absolute().parent
    ) as spool:  # has no name: nothing is left of it
        embedded = embed_files(model, paths, report, spool if segments else None, workers, on_bad)
        spool.flush()
        rows = (
            np.memmap(spool, np.float32, "r", shape=(int(embedded.first[-1]), model.width))
            if segments
            else None
        )
        temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
        try:
            write = _write_npz if out.suffix.lower() == ".npz" else _write_parquet
            write(temporary, embedded, rows, model)
            temporary.replace(out)
        finally:
            temporary.unlink(missing_ok=True)
    return embedded


def require_form(out: Path) -> None:
    """Refuses an ending that names no form, before anything is computed.

    Raises:
        InputError: neither .npz nor .parquet.
    """
    if out.suffix.lower() not in (".npz", ".parquet"):
        raise InputError(f"--out {out}: end it with .npz or .parquet")
    if out.is_dir():
        raise InputError(f"--out {out} is a folder; give a file")


def _write_npz(
    path: Path, embedded: Embedded, rows: NDArray[np.float32] | None, model: Pretrained
) -> None:
    arrays: dict[str, Any] = {"paths": np.array(embedded.paths), "tracks": embedded.tracks}
    if rows is not None:
        arrays |= {"segments": rows, "first": embedded.first}
    with open(path, "wb") as file:
        np.savez(file, **arrays)


def _write_parquet(
    path: Path, embedded: Embedded, rows: NDArray[np.float32] | None, model: Pretrained
) -> None:
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
    values = embedded.tracks if rows is None else rows
    counts = (
        np.diff(embedded.first) if rows is not None else np.ones(len(embedded.tracks), np.int64)
    )
    owner = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(owner)) - (embedded.first[owner] if rows is not None else owner)
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(values), _ROWS):
            part = slice(start, start + _ROWS)
            columns = [pa.array([embedded.paths[track] for track in owner[part]], pa.string())]
            columns += [] if rows is None else [pa.array(within[part] * model.seconds)]
            columns.append(
                pa.FixedSizeListArray.from_arrays(pa.array(np.ravel(values[part])), model.width)
            )
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
