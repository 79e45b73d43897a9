"""What cells share while they are computed: opened data sets, and the resamples of a test split."""

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
from bench.settings.plug_ins import validated
from bench.settings.specs import PlugIn, RunSpec, ScoreSpec, digest
from bench.settings.traits import sample_rate, traits
from bench.stages.keys import Keys
from bench.stages.parts import Cell, Parts
from bench.stages.prepare.stage import dataset_settings, prepared
from bench.stages.pretrain.processes import ALONE, Processes
from bench.stages.pretrain.stage import pretraining_rows
from bench.stages.probe.labelled import labelled
from bench.stages.probe.subsets import stored
from bench.stages.score.scores import test_split
from bench.stages.score.stage import require_scorable


@dataclass(frozen=True)
class Place:
    """Where cells are computed and where their products go.

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
    method = registry.load("methods", spec.method.name)
    encoder = registry.load("encoders", spec.encoder.name)
    probed = dataset_settings(spec.dataset, "dataset")
    pretrained_on = dataset_settings(spec.pretrain_dataset, "pretrain_dataset")
    return Parts(
        method,
        validated(method.Settings, spec.method, "method"),
        encoder,
        validated(encoder.Settings, spec.encoder, "encoder"),
        probed,
        pretrained_on,
        traits(spec.method.name),
    )


class Session:
    """What several cells share while they are computed."""

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
        parts, store = check(spec), self.place.store
        keys = Keys(spec, store)
        data = self._opened(spec.dataset, spec.encoder, keys.prepare, "dataset")
        if spec.pretrain_dataset == spec.dataset or not parts.traits.trains:
            audio = data
        else:
            section, key = "pretrain_dataset", keys.prepare_pretrain
            audio = self._opened(spec.pretrain_dataset, spec.encoder, key, section)
        keys.read_data(store)
        require_scorable(data, spec.score)
        rows = pretraining_rows(audio, spec, store)
        if parts.traits.trains and len(rows) < 2:
            name = spec.pretrain_dataset.name
            raise InputError(f"{name}: {len(rows)} tracks to pretrain on; at least 2 are needed")
        imported = stored(store.home, spec.labels.subset) if spec.labels.subset else []
        return Cell(index, spec, parts, data, audio, rows, keys, labelled(data, spec, imported))

    def _opened(self, dataset: PlugIn, encoder: PlugIn, key: str, section: str) -> Prepared:
        """A data set's store of samples, made if it is not there."""
        if key not in self._prepared:
            rate, store = sample_rate(encoder), self.place.store
            self._prepared[key] = prepared(dataset, rate, store, section, key=key)
        return self._prepared[key]

    def counts(self, data: Prepared, spec: ScoreSpec) -> NDArray[np.int32]:
        """The resamples of a test split, see `bench.stages.score.scores.HeldOut.resamples`."""
        key = digest([data.facts["tracks_hash"], spec])
        if key not in self._counts:
            # Of one data set at a time: they take 50 MB for 12 000 tracks.
            self._counts = {key: test_split(data).resamples(spec)}
        return self._counts[key]


def device_of(place: Place) -> torch.device:
    """Where to compute; "auto" is a GPU where there is one.

    Raises:
        InputError: a GPU is asked for, and there is none.
    """
    gpu = torch.cuda.is_available()
    device = torch.device(("cuda" if gpu else "cpu") if place.device == "auto" else place.device)
    if device.type == "cuda" and not gpu:
        raise InputError(
            "--device cuda: torch finds no GPU here; `bench doctor` says more, "
            "--device cpu runs without one"
        )
    if device.type == "cuda" and place.processes.size > 1:
        return torch.device("cuda", torch.cuda.current_device())
    return device
