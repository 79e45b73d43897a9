"""What is stored of a cell: its JSON, the arrays beside it, and the names of both."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from bench.settings.base import Spec
from bench.settings.specs import RunSpec, dataset_name

CLEAN = "clean"
"""The kind of audio of a cell whose test tracks were left as they are."""


SCHEMA = 3


Part = Literal["runs", "robustness"]
"""Folders of a results folder: cells, and what the probes of cells score on audio that was made
worse.
"""


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

    value: float = Field(ge=0, le=1)
    low: float | None
    high: float | None
    percentile: tuple[float | None, float | None] = (None, None)
    bca: tuple[float | None, float | None] = (None, None)
    bias: float = 0.0

    @model_validator(mode="after")
    def _ends_in_order(self) -> "Metric":
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"the interval begins at {self.low:g}, above its end {self.high:g}")
        return self


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
        versions: of Python and the libraries under which it was scored.
        other_versions: stage -> libraries of another major or minor version under which its product
            was made, such as "torch 2.11.0 (here 2.14.1)"; empty where all were the same.
        device: what trained.
        created: UTC time.
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
        """The probed data set's name; of a CSV its file name without the ending."""
        return dataset_name(self.spec.dataset.name)

    def rows(self) -> list[dict[str, Any]]:
        """One row a metric under the convention that was asked for, as `--json` prints it."""
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


def cell_path(folder: Path, spec: RunSpec, cell: str, part: Part = "runs") -> Path:
    """Where the JSON of a cell lies, or will, in a part of a results folder."""
    return folder / part / f"{file_stem(spec, cell)}.json"


def path_of(folder: Path, result: Result) -> Path:
    """Where a cell's JSON lies in a results folder."""
    return cell_path(
        folder, result.spec, result.cell, "robustness" if "audio" in result.protocol else "runs"
    )
