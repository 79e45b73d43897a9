"""The form of a stored result: its JSON, the arrays beside it, and the names of both files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from bench.settings.base import Spec
from bench.settings.specs import RunSpec, dataset_name

CLEAN = "clean"
"""The kind of audio of a cell whose test tracks were not degraded."""
SCHEMA = 3
"""Version of the form of results; results of other versions are not read."""
Part = Literal["runs", "robustness"]
"""Folders of a results folder: cells, and the scores of their probes on degraded audio."""


class Metric(Spec):
    """One score with its intervals, whose ends are None where there are no resamples.

    Attributes:
        value: the score.
        low: lower end of the interval that tables show (`bench.statistics.intervals.interval`).
        high: upper end of that interval.
        percentile: both ends of the percentile interval.
        bca: both ends of the bias-corrected and accelerated interval.
        bias: how far the score is expected to lie above the score on infinitely many test tracks;
            it is subtracted in the interval.
    """

    value: float = Field(ge=0, le=1)
    low: float | None
    high: float | None
    percentile: tuple[float | None, float | None] = (None, None)
    bca: tuple[float | None, float | None] = (None, None)
    bias: float = 0.0

    @model_validator(mode="after")
    def _ends_in_order(self) -> "Metric":
        """Refuses an interval whose lower end lies above its upper end."""
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"the interval begins at {self.low:g}, above its end {self.high:g}")
        return self


class Result(Spec):
    """The JSON of one cell.

    Attributes:
        schema_version: version of this form.
        cell: key of the cell, with which the names of its files end.
        spec: the cell that was asked for, with defaults filled in.
        settings: the full settings of method, encoder and data sets, with defaults filled in.
        protocol: split, aggregation, probe, resamples and seeds in words that a table can print;
            "audio" where the test tracks were degraded (see `bench.stages.robustness`).
        data: hash, kind, split, number of tracks, tags, files left out and notes of the data set
            that is probed and of the one that is pretrained on.
        counts: numbers of tracks and tags scored, of labelled tracks, of tags without a positive
            among these, and of short clips.
        metrics: every metric with its interval, under the convention that was asked for.
        convention: name of that convention (see `bench.stages.score.scores.conventions`).
        conventions: metrics of the same logits under the other conventions, by their names.
        per_tag: average precision, ROC-AUC and number of test positives of every tag; None where
            not defined.
        training: loss curve, diagnostics, warning and number of parameters.
        probe: chosen hyper-parameters, the scores of all grid points on the valid split, and the
            hash of the labelled tracks.
        products: key of the product in home at each stage that the cell was made from, for
            re-scoring.
        seconds: time that each stage took when its product was made, in seconds.
        code: version, commit and whether the checkout had changes.
        versions: versions of Python and of the libraries under which it was scored.
        other_versions: stage -> libraries of another major or minor version under which its product
            was made, such as "torch 2.11.0 (here 2.14.1)"; empty where all were the same.
        device: the device that trained.
        created: time at which it was scored, in UTC.
        digest: SHA-256 of the file's text without it; "" before it is written, and in results of
            earlier versions.
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
    other_versions: dict[str, list[str]] = Field(default_factory=dict)
    device: str
    created: str
    digest: str = ""

    @property
    def dataset(self) -> str:
        """The name of the data set that is probed; for a CSV, its file name without the ending."""
        return dataset_name(self.spec.dataset.name)

    def rows(self) -> list[dict[str, Any]]:
        """One row for each metric under the convention that was asked for, as `--json` prints."""
        return self._rows(self.convention, self.metrics)

    def other_rows(self) -> list[dict[str, Any]]:
        """The rows under the other conventions."""
        return [
            row for name, metrics in self.conventions.items() for row in self._rows(name, metrics)
        ]

    def _rows(self, convention: str, metrics: dict[str, Metric]) -> list[dict[str, Any]]:
        """One row for each metric under a convention."""
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


@dataclass(frozen=True)
class Values:
    """The arrays that are stored beside the JSON of a cell, for comparisons.

    Attributes:
        resampled: of each metric, its value in every resample, (resamples,).
        influence: of each metric, its derivative with respect to the weight of each test track,
            (test tracks,).
        jackknife: of each metric, how much it would lose without each test track, (test tracks,).
        groups: the number of the group that each test track is of, (test tracks,).
    """

    resampled: dict[str, NDArray[np.float64]]
    influence: dict[str, NDArray[np.float64]]
    jackknife: dict[str, NDArray[np.float64]]
    groups: NDArray[np.int64]


def file_stem(spec: RunSpec, cell: str) -> str:
    """The name of a cell's files without their endings: readable parts, then the unique key.

    Args:
        spec: the cell.
        cell: its key.
    """
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


def cell_path(folder: Path, spec: RunSpec, cell: str, part: Part = "runs") -> Path:
    """The path of a cell's JSON, whether it exists or not.

    Args:
        folder: results folder.
        spec: the cell.
        cell: its key.
        part: of the results folder.
    """
    return folder / part / f"{file_stem(spec, cell)}.json"


def path_of(folder: Path, result: Result) -> Path:
    """The path of a result's JSON in a results folder.

    Args:
        folder: results folder.
        result: the result.
    """
    return cell_path(
        folder, result.spec, result.cell, "robustness" if "audio" in result.protocol else "runs"
    )
