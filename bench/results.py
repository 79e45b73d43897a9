"""Results: one JSON a cell, beside the resampled values. Figures, tables and tests read these and nothing else."""

import subprocess
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

import bench
from bench.config import RunSpec, Spec
from bench.errors import InputError
from bench.store import read_json, write_atomically, write_json

SCHEMA = 1
_LONGEST_NAME = 80  # characters of a CSV's name that go into file names
_LIBRARIES = ("torch", "torchaudio", "lightly", "numpy", "soundfile", "soxr", "pydantic", "symusic")


class Metric(Spec):
    """One score with its interval; `low` and `high` are None without resamples."""

    value: float
    low: float | None
    high: float | None


class Result(Spec):
    """The JSON of one cell.

    Attributes:
        schema_version: of this form.
        cell: key of the cell; the file's name ends with it.
        spec: the cell as asked for, defaults filled in.
        settings: the full settings of method, encoder and data sets, their defaults filled in.
        protocol: split, aggregation, probe, resamples and seeds in words that a table can print.
        data: hash, kind, split, number of tracks, tags, files left out, notes of the probed and the pretraining set.
        counts: tracks and tags scored, labelled tracks and tags without a positive among them, short clips.
        metrics: every metric with its interval.
        per_tag: average precision, ROC-AUC and number of test positives of every tag; null where not defined.
        training: loss curve, diagnostics, warning, parameters.
        probe: chosen hyper-parameters and the whole sweep on the valid split.
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
    per_tag: dict[str, list[float | None]]
    training: dict[str, Any]
    probe: dict[str, Any]
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
        """One row a metric, in the form that `--json` prints."""
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
            "probe": self.protocol["probe"],
        }
        counted = {
            "resamples": spec.score.resamples,
            "tracks": self.counts["test_tracks"],
            "tags": self.counts["scored_tags"],
        }
        return [{**shared, "metric": name, **metric.model_dump(), **counted} for name, metric in self.metrics.items()]


def dataset_name(name: str) -> str:
    """A short name: a CSV's file name without the ending."""
    return Path(name).stem[:_LONGEST_NAME] if name.lower().endswith(".csv") else name


def file_stem(spec: RunSpec, cell: str) -> str:
    """The name of a cell's files: readable first, then the key that makes it unique."""
    parts = [
        spec.method.name,
        spec.encoder.name,
        dataset_name(spec.dataset.name),
        f"f{spec.fraction:g}",
        f"d{spec.draw}",
        f"s{spec.seed}",
    ]
    return "-".join([*parts, cell])


def find(folder: Path, spec: RunSpec, cell: str) -> Result | None:
    """The stored result of a cell; None when it is not there or was written in another form."""
    path = folder / "runs" / f"{file_stem(spec, cell)}.json"
    if not path.is_file() or not path.with_suffix(".npz").is_file():
        return None
    return read(path)


def read(path: Path) -> Result:
    """Reads one result.

    Raises:
        InputError: the file is not a result of this schema.
    """
    try:
        return Result.model_validate(read_json(path))
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path} is not a result of schema {SCHEMA} ({reason}); move it away and run the cell again"
        ) from error


def read_all(folder: Path) -> list[Result]:
    """All results under a results folder, in the order of their names."""
    return [read(path) for path in sorted((folder / "runs").glob("*.json"))]


def resampled(folder: Path, result: Result) -> dict[str, NDArray[np.float64]]:
    """The value of every metric in every resample: name -> (resamples,)."""
    with np.load(folder / "runs" / f"{file_stem(result.spec, result.cell)}.npz", allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def write(folder: Path, result: Result, values: dict[str, NDArray[np.float64]]) -> Path:
    """Writes a cell's files; the JSON last, since its presence says that the cell is done. Returns the JSON's path."""
    runs = folder / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    path = runs / f"{file_stem(result.spec, result.cell)}.json"
    buffer = BytesIO()
    np.savez_compressed(buffer, **values)  # type: ignore[arg-type]
    write_atomically(path.with_suffix(".npz"), buffer.getvalue())
    write_json(path, result.model_dump(mode="json"))
    return path


def code_version() -> dict[str, Any]:
    """Version of the package, and the commit of the checkout that it runs from."""
    root = Path(bench.__file__).resolve().parent.parent
    code: dict[str, Any] = {"version": bench.__version__, "commit": None, "changed": None}
    if (root / ".git").exists():
        code["commit"] = _git(root, "rev-parse", "HEAD")
        code["changed"] = bool(_git(root, "status", "--porcelain", "--", "bench", "methods", "datasets"))
    return code


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=True
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
