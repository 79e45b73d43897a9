"""How long a piece of work takes and how many bytes it leaves, from stored results and products.

Work of one kind takes the same time. A kind is the digest of the settings that the time depends on:
a step of pretraining does not take longer for another seed, nor an embedding for another method.
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

_LOOKED_AT = 48  # the most results of a method and an encoder that are read, evenly spread
START_SECONDS = 4.0
"""Seconds of a job before it computes; Python with torch starts in 3.2 s on two laptop cores."""


def prepare_kind(dataset: PlugIn, rate: int) -> str:
    """The kind of decoding a second of audio; the sample rate is in Hz."""
    return digest([dataset, rate])


def pretrain_kind(spec: RunSpec) -> str:
    """The kind of a step of pretraining."""
    train = spec.train
    parts: list[Any] = [spec.method, spec.encoder, spec.views.mode, spec.augment]
    return digest([*parts, train.batch_size, train.optimiser, train.precision])


def embed_kind(spec: RunSpec) -> str:
    """The kind of embedding a segment."""
    return digest([spec.encoder])


def whole_kind(spec: RunSpec) -> str:
    """The kind of embedding a whole data set."""
    return digest([spec.encoder, spec.dataset, spec.embed])


def probe_kind(spec: RunSpec, uses_labels: bool) -> str:
    """The kind of a cell's probe, whatever the number of labelled tracks.

    Args:
        spec: the cell.
        uses_labels: whether the method learns from labels and has a classifier of its own.
    """
    if uses_labels:
        return digest([spec.encoder, spec.dataset])
    probe = spec.probe.model_dump(mode="json", exclude={"memory_mb"})
    finetune = spec.finetune if spec.probe.kind == "finetune" else None
    return digest([spec.encoder, spec.dataset, probe, finetune])


def score_kind(spec: RunSpec) -> str:
    """The kind of a cell's scores."""
    return digest([spec.dataset, spec.score])


@dataclass(frozen=True)
class Rate:
    """What work of one kind takes.

    Attributes:
        each: seconds of one step, segment or cell.
        source: where the rate comes from, in words.
        fixed: seconds before the first step, segment or cell.
        bytes: bytes of the product, and of one vector in the rate of embedding a segment; None
            where that is not known.
        view_seconds: length of a segment in seconds, in the rate of embedding a segment; else 0.
        processes: number of processes that share a step.
    """

    each: float
    source: str
    fixed: float = 0.0
    bytes: float | None = None
    view_seconds: float = 0.0
    processes: int = 1


@dataclass
class Rates:
    """The rates of every stage, by kind, as far as they are known.

    Attributes:
        pretrain: rates of a step of pretraining, by `pretrain_kind`.
        embed: rates of embedding a segment, by `embed_kind`.
        whole: rates of embedding a whole data set, by `whole_kind`.
        probe: rates of a cell's probe, by `probe_kind`.
        score: rates of a cell's scores, by `score_kind`.
        result: bytes of a cell's result, by `score_kind`.
        prepare: rates of decoding a second of audio, by `prepare_kind`.
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
        specs: one cell of each combination that is asked for; results of other methods and
            encoders are not read.
        store: home, which may hold the products that the results were made from.
        results_folder: folder of the results.

    Returns:
        The rates of the kinds of work that occur in the results.
    """
    by_name: dict[str, list[str]] = {}
    for stem in sorted(stored_names(results_folder)):
        by_name.setdefault("-".join(stem.split("-")[:2]), []).append(stem)
    samples = _Samples(store, results_folder)
    for name in {f"{spec.method.name}-{spec.encoder.name}": None for spec in specs}:
        stems = by_name.get(name, [])
        for stem in stems[:: -(-len(stems) // _LOOKED_AT) or 1]:
            try:
                samples.add(results.read(results_folder / "runs" / f"{stem}.json"))
            except InputError:
                continue  # a damaged result is reported where it is read for its scores
    return samples.rates()


class _Samples:
    """What each kind of work took, one sample for each result."""

    def __init__(self, store: Store, results_folder: Path) -> None:
        self._store, self._results = store, results_folder
        self._data: dict[str, Data | None] = {}
        self._samples: dict[str, dict[str, list[Rate]]] = {}
        self._result: dict[str, list[int]] = {}

    def add(self, result: Result) -> None:
        """Adds what the stages of a result took."""
        spec, training, products = result.spec, result.training, result.products
        seconds, source = result.seconds, f"stored runs on {result.device}"
        pretrained = self._store.folder("pretrained", products["pretrain"])
        weights = folder_bytes(pretrained) or 4 * training["parameters"]
        each = seconds["pretrain"] / max(1, training["steps"])
        shared = re.match(r"(\d+) x ", result.device)  # such as "2 x NVIDIA H100"
        processes = int(shared[1]) if shared else 1
        step = Rate(each, source, bytes=weights, processes=processes)
        self._note("pretrain", pretrain_kind(spec), step)
        embedded = self._store.folder("embedded", products["embed"])
        whole = Rate(seconds["embed"], source, bytes=folder_bytes(embedded))
        self._note("whole", whole_kind(spec), whole)
        data = self._data_of(products["prepare"])
        view_seconds = float(result.settings["encoder"]["seconds"])
        if data is not None and data.frames is not None:
            each = seconds["embed"] / data.segments(view_seconds, spec.embed.max_seconds)
            run = embedded / "run.json"
            width = read_json(run)["width"] if run.is_file() else None
            vector = 4 * width if width else None
            segment = Rate(each, source, bytes=vector, view_seconds=view_seconds)
            self._note("embed", embed_kind(spec), segment)
        uses_labels = result.protocol.get("pretrained_on") == "labelled tracks"
        # Logits of every test track and tag: 4 bytes each, under two aggregations of segments.
        logits = 2 * 4 * result.data["test_tracks"] * len(result.data["tags"])
        probe = Rate(seconds["probe"], source, bytes=logits)
        self._note("probe", probe_kind(spec, uses_labels), probe)
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
        """The rate of each kind, from its samples."""
        rates = Rates(result={kind: mean(sizes) for kind, sizes in self._result.items()})
        for stage, by_kind in self._samples.items():
            getattr(rates, stage).update(
                {kind: _middle(samples) for kind, samples in by_kind.items()}
            )
        return rates


def _middle(samples: list[Rate]) -> Rate:
    """The median of samples of one kind, over those from the device that most come from."""
    source = Counter(sample.source for sample in samples).most_common(1)[0][0]
    alike = [sample for sample in samples if sample.source == source]
    sizes = [sample.bytes for sample in samples if sample.bytes is not None]
    each, size = median(sample.each for sample in alike), median(sizes) if sizes else None
    return replace(alike[-1], each=each, bytes=size)


def folder_bytes(folder: Path) -> int | None:
    """Bytes of the files in a product's folder; None where it is not there."""
    return sum(path.stat().st_size for path in folder.iterdir()) if folder.is_dir() else None
