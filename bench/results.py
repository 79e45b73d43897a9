"""Results: one JSON a cell, beside the resampled values.

Figures, tables and tests read these and nothing else.
"""

import gc
import json
import subprocess
import zlib
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile, ZipFile, is_zipfile

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from pydantic_core import from_json

import bench
from bench.core.errors import InputError
from bench.core.progress import say
from bench.core.store import PRODUCTS, Store, write_atomically, write_json
from bench.settings.base import Spec
from bench.settings.specs import RunSpec, ScoreSpec, digest

CLEAN = "clean"
"""The kind of audio of a cell whose test tracks were left as they are."""
SCHEMA = 3
_NPY_START = (
    10  # bytes of a .npy file before its header: the magic word, the version, the header's length
)
_MANY = 2_000  # results
_LONGEST_NAME = 80  # bytes of a CSV's name that go into file names
Part = Literal["runs", "robustness"]
"""Folders of a results folder: cells, and what the probes of cells score on audio that was made
worse.
"""
_LIBRARIES = ("torch", "torchaudio", "lightly", "numpy", "soundfile", "soxr", "pydantic", "symusic")


class Metric(Spec):
    """One score with its intervals; ends are None without resamples.

    Attributes:
        value: the score.
        low: lower end of the interval that tables show (`bench.statistics.intervals.interval`).
        high: upper end.
        percentile: both ends of the percentile interval.
        bca: both ends of the bias-corrected and accelerated interval.
        bias: how far the score is expected to lie above that of endless test tracks; the interval
            takes it off.
    """

    value: float
    low: float | None
    high: float | None
    percentile: tuple[float | None, float | None] = (None, None)
    bca: tuple[float | None, float | None] = (None, None)
    bias: float = 0.0


class Result(Spec):
    """The JSON of one cell.

    Attributes:
        schema_version: of this form.
        cell: key of the cell; the file's name ends with it.
        spec: the cell as asked for, defaults filled in.
        settings: the full settings of method, encoder and data sets, their defaults filled in.
        protocol: split, aggregation, probe, resamples and seeds in words that a table can print;
            "audio" for test tracks that were made worse (see `bench.stages.robustness`).
        data: hash, kind, split, number of tracks, tags, files left out, notes of the probed and the
            pretraining set.
        counts: tracks and tags scored, labelled tracks and tags without a positive among them,
            short clips.
        metrics: every metric with its interval, under the convention that was asked for.
        convention: name of that convention (see `bench.stages.score.scores.conventions`).
        conventions: the same logits scored otherwise: name of the convention -> metrics.
        per_tag: average precision, ROC-AUC and number of test positives of every tag; null where
            not defined.
        training: loss curve, diagnostics, warning, parameters.
        probe: chosen hyper-parameters, the whole sweep on the valid split, and the hash of the
            labelled tracks.
        products: keys of the products in home that the cell was made from, stage by stage; for
            re-scoring.
        seconds: time that each stage took when its product was made.
        code: version, commit and whether the checkout had changes.
        versions: of Python and the libraries.
        device: what trained.
        created: UTC time.
    """

    schema_version: int = Field(SCHEMA, ge=SCHEMA, le=SCHEMA)
    cell: str
    spec: RunSpec
    settings: dict[str, dict[str, Any]]
    protocol: dict[str, Any]
    data: dict[str, Any]
    counts: dict[str, int]
    metrics: dict[str, Metric]
    convention: str
    conventions: dict[str, dict[str, Metric]]
    per_tag: dict[str, list[float | None]]
    training: dict[str, Any]
    probe: dict[str, Any]
    products: dict[str, str]
    seconds: dict[str, float]
    code: dict[str, Any]
    versions: dict[str, str]
    device: str
    created: str

    @property
    def dataset(self) -> str:
        """The probed data set's name; of a CSV its file name without the ending."""
        return dataset_name(self.spec.dataset.name)

    def rows(self) -> list[dict[str, Any]]:
        """One row a metric under the convention that was asked for, in the form that `--json` prints."""
        return self._rows(self.convention, self.metrics)

    def other_rows(self) -> list[dict[str, Any]]:
        """The rows under the other conventions."""
        return [
            row for name, metrics in self.conventions.items() for row in self._rows(name, metrics)
        ]

    def _rows(self, convention: str, metrics: dict[str, Metric]) -> list[dict[str, Any]]:
        spec = self.spec
        shared = {
            "method": spec.method.name,
            "encoder": spec.encoder.name,
            "pretrain_dataset": dataset_name(spec.pretrain_dataset.name),
            "dataset": self.dataset,
            "split": self.data["split"],
            "fraction": spec.fraction,
            "draw": spec.draw,
            "seed": spec.seed,
            "probe_seed": spec.probe_seed,
            "labelled_tracks": self.counts["labelled_tracks"],
            "probe": self.protocol["probe"],
            "convention": convention,
        }
        counted = {
            "resamples": spec.score.resamples,
            "tracks": self.counts["test_tracks"],
            "tags": self.counts["scored_tags"],
        }
        return [
            {**shared, "metric": name, **metric.model_dump(mode="json"), **counted}
            for name, metric in metrics.items()
        ]


def dataset_name(name: str) -> str:
    """A short name: a CSV's file name without the ending."""
    return (
        Path(name).stem.encode()[:_LONGEST_NAME].decode(errors="ignore")
        if name.lower().endswith(".csv")
        else name
    )


def file_stem(spec: RunSpec, cell: str) -> str:
    """The name of a cell's files: readable first, then the key that makes it unique."""
    parts = [
        spec.method.name,
        spec.encoder.name,
        dataset_name(spec.dataset.name),
        f"f{spec.fraction:g}",
        f"d{spec.draw}",
        f"s{spec.seed}",
        f"p{spec.probe_seed}",
    ]
    return "-".join([*parts, cell])


def find(folder: Path, spec: RunSpec, cell: str, part: Part = "runs") -> Result | None:
    """The stored result of a cell.

    None when it is not there, cannot be read or was written in another form.
    """
    path = cell_path(folder, spec, cell, part)
    if not path.is_file() or not path.with_suffix(".npz").is_file():
        return None
    try:
        read_values(path)
        return read(path)
    except InputError as error:
        say(f"{error}; it is made again")
        return None


def read(path: Path) -> Result:
    """Reads one result.

    Raises:
        InputError: the file is not a result of this schema.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({(error.strerror or str(error)).lower()})"
        ) from error
    try:
        content = _parsed(text)
    except ValueError as error:
        raise InputError(f"{path} is no whole JSON ({str(error).splitlines()[0]})") from error
    found = content.get("schema_version") if isinstance(content, dict) else None
    if found != SCHEMA:
        what = (
            f"a result of schema {found}" if isinstance(found, int) else "no result of this harness"
        )
        raise InputError(f"{path} is {what}; this version reads schema {SCHEMA}")
    try:
        return Result.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path} is no whole result ({where}: {first['msg'].lower()})") from error


def _parsed(text: bytes) -> Any:
    """JSON as Python's own reader understands it, which takes more than twice the time and more memory."""
    try:
        return from_json(text)
    except ValueError:
        return json.loads(
            text.decode("utf-8")
        )  # says what is wrong, or reads what Python alone writes


def read_all(
    folder: Path, part: Part = "runs", but: Set[str] = frozenset()
) -> tuple[list[Result], list[str]]:
    """All results of a part of a results folder, in the order of their names, and a line for each file left out.

    Args:
        folder: results folder.
        part: of it.
        but: file names, without their endings, that are not wanted.
    """
    found, left_out = [], []
    with _no_collector():
        for path in sorted((folder / part).glob("*.json")):
            if path.stem in but:
                continue
            try:
                result = read(path)
            except InputError as error:
                left_out.append(str(error))
                continue
            if not is_zipfile(path.with_suffix(".npz")):
                left_out.append(
                    f"{path} has lost its resampled values ({path.with_suffix('.npz').name} is gone or damaged)"
                )
            elif path != path_of(folder, result) and path.stem == file_stem(
                result.spec, result.cell
            ):
                left_out.append(f"{path} belongs into {path_of(folder, result).parent}")
            elif path.stem != file_stem(result.spec, result.cell):
                left_out.append(
                    f"{path} is a copy: its cell's file is {file_stem(result.spec, result.cell)}.json"
                )
            else:
                found.append(result)
        if len(found) > _MANY:
            # else the first look for garbage, at all of them, takes as long as a quarter of the
            # reading
            gc.freeze()
    return found, left_out


@contextmanager
def _no_collector() -> Iterator[None]:
    """Keeps Python from looking for garbage among what is being read: of 10 000 results half the time went there."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@dataclass(frozen=True)
class Values:
    """What is stored of a cell beside its JSON, for comparisons.

    Attributes:
        resampled: metric -> (resamples,) its value in every resample.
        influence: metric -> (test tracks,) what an infinitesimal weight more on a track adds to the
            metric.
        jackknife: metric -> (test tracks,) what the metric would lose without a track.
        groups: (test tracks,) int: which tracks are of one group.
    """

    resampled: dict[str, NDArray[np.float64]]
    influence: dict[str, NDArray[np.float64]]
    jackknife: dict[str, NDArray[np.float64]]
    groups: NDArray[np.int64]


def preferred(found: Sequence[Result]) -> list[Result]:
    """One result a cell where a cell was scored several times: that with the usual settings, then most resamples.

    Settings count before resamples, so that what is compared does not change when a cell is scored
    by group as well.
    """
    usual = ScoreSpec()
    best: dict[str, tuple[tuple[int, int, str], Result]] = {}
    for result in found:
        score = result.spec.score
        same = sum(
            getattr(score, name) == getattr(usual, name)
            for name in ("by", "untagged", "seed", "confidence")
        )
        rank = (same, score.resamples, result.created)
        key = digest([result.spec.model_copy(update={"score": usual}), result.data["tracks_hash"]])
        if key not in best or rank > best[key][0]:
            best[key] = rank, result
    return [result for _, result in best.values()]


def product_folders(
    result: Result, store: Store, stages: Iterable[str] = PRODUCTS
) -> dict[str, Path]:
    """Where the products of some stages lie that a cell was made from.

    Raises:
        InputError: one is no longer in home.
    """
    folders = {stage: store.folder(PRODUCTS[stage], result.products[stage]) for stage in stages}
    for folder in folders.values():
        if not folder.is_dir():
            raise InputError(f"{folder} is not there; `bench run` makes it")
    return folders


def path_of(folder: Path, result: Result) -> Path:
    """Where a cell's JSON lies in a results folder."""
    return cell_path(
        folder, result.spec, result.cell, "robustness" if "audio" in result.protocol else "runs"
    )


def cell_path(folder: Path, spec: RunSpec, cell: str, part: Part = "runs") -> Path:
    """Where the JSON of a cell lies, or will, in a part of a results folder."""
    return folder / part / f"{file_stem(spec, cell)}.json"


def read_values(path: Path) -> Values:
    """The stored arrays of a cell, from beside its JSON.

    Raises:
        InputError: the file cannot be read.
    """
    path = path.with_suffix(".npz")
    parts: dict[str, dict[str, NDArray[np.float64]]] = {
        "resampled": {},
        "influence": {},
        "jackknife": {},
    }
    try:
        with ZipFile(path) as stored:
            arrays = {
                info.filename.removesuffix(".npy"): _array(stored.read(info))
                for info in stored.infolist()
            }
        for name, array in arrays.items():
            part, _, metric = name.partition(".")
            if part in parts:
                parts[part][metric] = array.astype(np.float64)
        return Values(**parts, groups=arrays["groups"])
    except (OSError, EOFError, ValueError, KeyError, RuntimeError, BadZipFile, zlib.error) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{path} cannot be read ({reason}): run the cell again") from error


def _array(stored: bytes) -> NDArray[Any]:
    """An array from the text of a .npy file.

    `np.load` takes three times as long, for it parses each header anew.

    Raises:
        ValueError: it is none, of objects, or not whole.
    """
    length = _NPY_START + int.from_bytes(stored[_NPY_START - 2 : _NPY_START], "little")
    shape, by_column, kind = _header(stored[:length])
    return np.frombuffer(stored, kind, offset=length).reshape(
        shape, order="F" if by_column else "C"
    )


@cache
def _header(start: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns lie together, and type, from the beginning of a .npy file (NEP 1, version 1.0)."""
    text = BytesIO(start)
    version = np.lib.format.read_magic(text)
    if version != (1, 0):
        raise ValueError(f"version {version} of .npy is none that is written here")
    shape, by_column, kind = np.lib.format.read_array_header_1_0(text)
    return shape, by_column, kind


def write(folder: Path, result: Result, values: Values) -> Path:
    """Writes a cell's files; the JSON last, since its presence says that the cell is done.

    Returns the JSON's path.
    """
    path = path_of(folder, result)
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = BytesIO()
    # float32 halves the file; the metrics themselves stand in the JSON as they are.
    arrays: dict[str, Any] = {}
    for part in ("resampled", "influence", "jackknife"):
        arrays |= {
            f"{part}.{name}": column.astype(np.float32)
            for name, column in getattr(values, part).items()
        }
    np.savez_compressed(buffer, **arrays, groups=values.groups.astype(np.int32))
    write_atomically(path.with_suffix(".npz"), buffer.getvalue())
    write_json(path, result.model_dump(mode="json"))
    return path


def now() -> str:
    """The time, as results state it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def code_version() -> dict[str, Any]:
    """Version of the package, and the commit of the checkout that it runs from."""
    root = Path(bench.__file__).resolve().parent.parent
    code: dict[str, Any] = {"version": bench.__version__, "commit": None, "changed": None}
    if (root / ".git").exists():
        code["commit"] = _git(root, "rev-parse", "HEAD")
        code["changed"] = bool(
            _git(root, "status", "--porcelain", "--", "bench", "methods", "datasets")
        )
    return code


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def library_versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
