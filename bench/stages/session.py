"""What cells share while they are computed: where, opened data sets, and the resamples of a test split."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.core import registry
from bench.core.errors import InputError
from bench.core.store import Store
from bench.data.prepared import Prepared
from bench.settings.specs import PlugIn, RunSpec, ScoreSpec, digest
from bench.settings.traits import sample_rate, traits
from bench.stages.keys import Keys, prepare_key
from bench.stages.parts import Labelled, Parts, pick_device
from bench.stages.prepare.stage import dataset_settings, prepared, validated
from bench.stages.pretrain.processes import ALONE, Processes
from bench.stages.pretrain.stage import pretraining_rows
from bench.stages.probe.labelled import labelled
from bench.stages.probe.subsets import stored
from bench.stages.score.scores import test_split
from bench.stages.score.stage import require_scorable


@dataclass(frozen=True)
class Place:
    """Where a cell is computed and where its products go.

    Attributes:
        store: home.
        results: results folder.
        device: "auto", "cpu" or "cuda".
        guard: called before a result is written; raises where it must not be.
        processes: that pretrain together; this is process 0, and the others `assist`.
    """

    store: Store
    results: Path
    device: str = "auto"
    guard: Callable[[], None] = lambda: None
    processes: Processes = ALONE


def check(spec: RunSpec) -> Parts:
    """Loads the plug-ins of a cell and checks their settings, before any work is done.

    Raises:
        InputError: an unknown setting or a value out of range.
    """
    method, encoder = (
        registry.load("methods", spec.method.name),
        registry.load("encoders", spec.encoder.name),
    )
    for section, dataset in (
        ("dataset", spec.dataset),
        ("pretrain_dataset", spec.pretrain_dataset),
    ):
        dataset_settings(dataset, section)
    return Parts(
        method,
        validated(method.Settings, spec.method, "method"),
        encoder,
        validated(encoder.Settings, spec.encoder, "encoder"),
        traits(spec.method.name),
    )


@dataclass(frozen=True)
class Cell:
    """A cell with everything opened that it is computed from.

    Attributes:
        index: place among the cells asked for.
        spec: the cell.
        parts: its plug-ins.
        data: the probed data set.
        audio: the data set that is pretrained on.
        rows: its tracks that are pretrained on.
        keys: of its products.
        labels: its labelled tracks.
    """

    index: int
    spec: RunSpec
    parts: Parts
    data: Prepared
    audio: Prepared
    rows: NDArray[np.int64]
    keys: Keys
    labels: Labelled


class Session:
    """What several cells share while they are computed: opened data sets and the resamples of a test split."""

    def __init__(self, place: Place) -> None:
        """Opens nothing yet."""
        self.place = place
        self._prepared: dict[str, Prepared] = {}
        self._counts: dict[str, NDArray[np.int32]] = {}

    def cell(self, index: int, spec: RunSpec) -> Cell:
        """Opens what a cell is computed from; data sets are prepared where they are not.

        Raises:
            InputError: a setting, the data or the labelled subset cannot be used.
        """
        parts = check(spec)
        data = self.prepared(spec.dataset, spec.encoder, "dataset")
        same = spec.pretrain_dataset == spec.dataset or not parts.traits.trains
        audio = (
            data if same else self.prepared(spec.pretrain_dataset, spec.encoder, "pretrain_dataset")
        )
        require_scorable(data, spec.score)
        rows = pretraining_rows(audio, spec, self.place.store)
        if parts.traits.trains and len(rows) < 2:
            raise InputError(
                f"{spec.pretrain_dataset.name}: {len(rows)} tracks to pretrain on; at least 2 are needed"
            )
        imported = stored(self.place.store.home, spec.labels.subset) if spec.labels.subset else []
        labels = labelled(data, spec, imported)
        return Cell(index, spec, parts, data, audio, rows, Keys(spec, self.place.store), labels)

    def prepared(self, dataset: PlugIn, encoder: PlugIn, section: str) -> Prepared:
        """The data set's PCM store, made if it is not there."""
        key = prepare_key(dataset, encoder, self.place.store)
        if key not in self._prepared:
            self._prepared[key] = prepared(dataset, sample_rate(encoder), self.place.store, section)
        return self._prepared[key]

    def counts(self, data: Prepared, spec: ScoreSpec) -> NDArray[np.int32]:
        """The resamples of a test split."""
        key = digest([data.facts["tracks_hash"], spec])
        if key not in self._counts:
            self._counts = {
                key: test_split(data).resamples(spec)
            }  # of one data set: 50 MB for 12 000 tracks
        return self._counts[key]


def device_of(place: Place) -> torch.device:
    """Where to train.

    Raises:
        InputError: a GPU is asked for, and there is none.
    """
    device = pick_device(place.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "--device cuda: torch finds no GPU here; `bench doctor` says more, --device cpu runs without one"
        )
    if device.type == "cuda" and place.processes.size > 1:
        return torch.device("cuda", torch.cuda.current_device())
    return device
