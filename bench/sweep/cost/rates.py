"""How long a piece of work takes and what it leaves on disk, from stored results and the products that they name.

What is alike has a digest of the settings that its time depends on: a step of pretraining does not
take longer for another seed, an embedding not for another method.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, median
from typing import Any

from bench import results
from bench.core.errors import InputError
from bench.core.store import Store, read_json
from bench.results import Result
from bench.settings.specs import PlugIn, RunSpec, digest
from bench.sweep.cost.work import Data, read_data
from bench.sweep.plan import stored_names

_LOOKED_AT = 48  # results of a method and an encoder that are read, evenly spread over their names
START_SECONDS = 4.0
"""Of a job before it computes: Python with torch starts in 3.2 s on two cores of a laptop's
kind.
"""


def prepare_kind(dataset: PlugIn, rate: int) -> str:
    """What the time of decoding a second of audio depends on; the sample rate is in Hz."""
    return digest([dataset, rate])


def pretrain_kind(spec: RunSpec) -> str:
    """What the time of a step depends on."""
    train = spec.train
    parts: list[Any] = [spec.method, spec.encoder, spec.views.mode, spec.augment]
    return digest([*parts, train.batch_size, train.optimiser, train.precision])


def embed_kind(spec: RunSpec) -> str:
    """What the time of a segment depends on."""
    return digest([spec.encoder])


def whole_kind(spec: RunSpec) -> str:
    """What the time of embedding a data set depends on."""
    return digest([spec.encoder, spec.dataset, spec.embed])


def probe_kind(spec: RunSpec, uses_labels: bool) -> str:
    """What the time of a cell's probe depends on, but for the number of labelled tracks."""
    if uses_labels:
        return digest([spec.encoder, spec.dataset])
    probe = spec.probe.model_dump(mode="json", exclude={"memory_mb"})
    return digest(
        [
            spec.encoder,
            spec.dataset,
            probe,
            spec.finetune if spec.probe.kind == "finetune" else None,
        ]
    )


def score_kind(spec: RunSpec) -> str:
    """What the time of a cell's scores depends on."""
    return digest([spec.dataset, spec.score])


@dataclass(frozen=True)
class Rate:
    """What work of one kind takes.

    Attributes:
        each: seconds of a step, a segment or a cell.
        source: where that is from.
        fixed: seconds before the first.
        bytes: of a product; of an embedding, of a vector; None where that is not known.
        view_seconds: of an embedding: length of a segment.
        processes: that share a step.
    """

    each: float
    source: str
    fixed: float = 0.0
    bytes: float | None = None
    view_seconds: float = 0.0
    processes: int = 1


@dataclass
class Rates:
    """Rates of each stage by kind, as far as they are known.

    Attributes:
        pretrain: a step, by `pretrain_kind`.
        embed: a segment, by `embed_kind`.
        whole: a data set's embedding, by `whole_kind`.
        probe: a cell, by `probe_kind`.
        score: a cell, by `score_kind`.
        result: bytes of a cell's result, by `score_kind`.
        prepare: a second of audio, by `prepare_kind`.
        start: seconds that a job takes to start.
    """

    pretrain: dict[str, Rate] = field(default_factory=dict)
    embed: dict[str, Rate] = field(default_factory=dict)
    whole: dict[str, Rate] = field(default_factory=dict)
    probe: dict[str, Rate] = field(default_factory=dict)
    score: dict[str, Rate] = field(default_factory=dict)
    result: dict[str, float] = field(default_factory=dict)
    prepare: dict[str, Rate] = field(default_factory=dict)
    start: float = START_SECONDS


def stored_rates(specs: Iterable[RunSpec], store: Store, results_folder: Path) -> Rates:
    """Rates from stored results.

    Args:
        specs: of the combinations that are asked for; results of other methods and encoders are not
            read.
        store: home; what the results were made from may lie there.
        results_folder: with the results.
    """
    by_name: dict[str, list[str]] = {}
    for stem in sorted(stored_names(results_folder)):
        by_name.setdefault("-".join(stem.split("-")[:2]), []).append(stem)
    found = _Found(store, results_folder)
    for name in {f"{spec.method.name}-{spec.encoder.name}": None for spec in specs}:
        stems = by_name.get(name, [])
        for stem in stems[:: -(-len(stems) // _LOOKED_AT) or 1]:
            try:
                found.add(results.read(results_folder / "runs" / f"{stem}.json"))
            except InputError:
                continue  # named by whoever reads it for its scores
    return found.rates()


class _Found:
    """Samples of each kind."""

    def __init__(self, store: Store, results_folder: Path) -> None:
        self._store, self._results = store, results_folder
        self._data: dict[str, Data | None] = {}
        self._samples: dict[str, dict[str, list[Rate]]] = {}
        self._result: dict[str, list[int]] = {}

    def add(self, result: Result) -> None:
        spec, training, products = result.spec, result.training, result.products
        seconds, source = result.seconds, f"stored runs on {result.device}"
        weights = (
            folder_bytes(self._store.folder("pretrained", products["pretrain"]))
            or 4 * training["parameters"]
        )
        steps = training["steps"]
        shared = re.match(r"(\d+) x ", result.device)
        each, processes = seconds["pretrain"] / max(1, steps), int(shared[1]) if shared else 1
        self._note(
            "pretrain", pretrain_kind(spec), Rate(each, source, bytes=weights, processes=processes)
        )
        embedded = self._store.folder("embedded", products["embed"])
        self._note(
            "whole", whole_kind(spec), Rate(seconds["embed"], source, bytes=folder_bytes(embedded))
        )
        data, view_seconds = (
            self._data_of(products["prepare"]),
            float(result.settings["encoder"]["seconds"]),
        )
        if data is not None and data.frames is not None:
            each = seconds["embed"] / data.segments(view_seconds, spec.embed.max_seconds)
            run = embedded / "run.json"
            width = read_json(run)["width"] if run.is_file() else None
            self._note(
                "embed",
                embed_kind(spec),
                Rate(each, source, bytes=4 * width if width else None, view_seconds=view_seconds),
            )
        uses_labels = result.protocol.get("pretrained_on") == "labelled tracks"
        logits = (
            2 * 4 * result.data["test_tracks"] * len(result.data["tags"])
        )  # under two aggregations
        self._note(
            "probe", probe_kind(spec, uses_labels), Rate(seconds["probe"], source, bytes=logits)
        )
        path = results.path_of(self._results, result)
        size = path.stat().st_size + path.with_suffix(".npz").stat().st_size
        self._result.setdefault(score_kind(spec), []).append(size)

    def _note(self, stage: str, kind: str, rate: Rate) -> None:
        self._samples.setdefault(stage, {}).setdefault(kind, []).append(rate)

    def _data_of(self, key: str) -> Data | None:
        if key not in self._data:
            self._data[key] = read_data(self._store.folder("prepared", key))
        return self._data[key]

    def rates(self) -> Rates:
        found = Rates(result={kind: mean(sizes) for kind, sizes in self._result.items()})
        for stage, by_kind in self._samples.items():
            getattr(found, stage).update(
                {kind: _middle(samples) for kind, samples in by_kind.items()}
            )
        return found


def _middle(samples: list[Rate]) -> Rate:
    """The median of those that were made where most were."""
    source = Counter(one.source for one in samples).most_common(1)[0][0]
    alike = [one for one in samples if one.source == source]
    sizes = [one.bytes for one in samples if one.bytes is not None]
    return replace(
        alike[-1], each=median(one.each for one in alike), bytes=median(sizes) if sizes else None
    )


def folder_bytes(folder: Path) -> int | None:
    """Bytes of the files in a product's folder; None where it is not there."""
    return sum(path.stat().st_size for path in folder.iterdir()) if folder.is_dir() else None
