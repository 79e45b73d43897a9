"""What is left to compute of a plan, product by product, and how large the data are that it is computed from."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core import registry
from bench.core.errors import InputError, UnplacedError
from bench.core.store import Store, read_json
from bench.data.manifest import SPLITS
from bench.settings.specs import PlugIn, RunSpec, digest
from bench.settings.traits import sample_rate, traits
from bench.stages.keys import prepare_key
from bench.stages.pretrain.schedule import budget
from bench.sweep.jobs import Job, Planned
from bench.sweep.spec import PRODUCTS, STAGES

_KEYS: dict[str, int] = {
    stage: place for place, stage in enumerate(STAGES)
}  # places in `Planned.keys`


def stages_of(job: Job) -> tuple[str, ...]:
    """The stages that a job runs; the job says of which groups and cells."""
    return job.stages or ("prepare",)


@dataclass(frozen=True)
class Piece:
    """Products of one kind that a job makes.

    Attributes:
        stage: that makes them: "prepare", "pretrain", "embed", "probe", or "score" of cells that
            are probed.
        base: of the cells that need them (see `bench.sweep.cells.Cell`); "" of preparing.
        spec: of such a cell; None of preparing.
        count: how many; cells of a probe, else 1.
        dataset: to prepare.
        rate: likewise, in Hz.
    """

    stage: str
    base: str = ""
    spec: RunSpec | None = None
    count: int = 1
    dataset: PlugIn | None = None
    rate: int = 0


class Pieces:
    """Tells what is left of each job; what is stored in home already is not counted."""

    def __init__(self, store: Store) -> None:
        """Looks at home once."""
        self._stored: dict[str, set[str]] = {
            stage: _names(store.home / folder) for stage, folder in PRODUCTS.items()
        }
        self._embedded: dict[
            str, str
        ] = {}  # base -> what of a cell its embeddings depend on beside the pretraining

    def of(self, job: Job) -> Iterator[Piece]:
        """The pieces of a job."""
        if "prepare" in stages_of(job):
            yield Piece("prepare", dataset=job.dataset, rate=job.rate)
        left = [one for one in job.cells if not one.done]
        for stage in stages_of(job):
            if stage == "probe":
                yield from self._probes(left)
            elif stage != "prepare":
                wanted = {self._name(one, stage): one for one in reversed(left)}
                for name, one in reversed(wanted.items()):
                    if name not in self._stored[stage]:
                        yield Piece(stage, one.cell.base, one.cell.spec)

    def _probes(self, left: list[Planned]) -> Iterator[Piece]:
        counts: dict[str, list[RunSpec]] = {}
        scored: dict[str, list[RunSpec]] = {}
        for one in left:
            there = bool(one.keys) and one.keys[_KEYS["probe"]] in self._stored["probe"]
            (scored if there else counts).setdefault(one.cell.base, []).append(one.cell.spec)
        for stage, found in (("probe", counts), ("score", scored)):
            for base, specs in found.items():
                yield Piece(stage, base, specs[0], len(specs))

    def _name(self, one: Planned, stage: str) -> str:
        """The product's key; before the data are prepared, what will be one product."""
        if one.keys:
            return one.keys[_KEYS[stage]]
        if stage == "pretrain":
            return one.cell.group
        base = one.cell.base
        if base not in self._embedded:
            self._embedded[base] = digest([one.cell.spec.dataset, one.cell.spec.embed])
        return f"{one.cell.group} {self._embedded[base]}"


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.suffix} if folder.is_dir() else set()


@dataclass(frozen=True)
class Data:
    """How large a data set is.

    Attributes:
        tracks: split -> number, and "all".
        frames: (tracks,) length of each track at `rate`, in samples; None where that is not known.
        rate: in Hz.
        tags: outputs of a probe; 0 where that is not known.
        prepared: folder of the prepared product; None where it is not prepared at this rate.
        seconds: that preparing took; None where that is not known.
    """

    tracks: Mapping[str, int]
    frames: NDArray[np.int64] | None
    rate: int
    tags: int
    prepared: Path | None
    seconds: float | None = None

    def segments(self, seconds: float, max_seconds: float = 0.0) -> int:
        """Segments of a length, in seconds, that are embedded of all tracks (see `bench.data.views.segment_starts`)."""
        assert self.frames is not None
        frames = (
            np.minimum(self.frames, round(max_seconds * self.rate)) if max_seconds else self.frames
        )
        return int(np.maximum(1, frames // max(1, round(seconds * self.rate))).sum())

    @cached_property
    def bytes(self) -> int | None:
        """That its samples take, at 2 bytes each."""
        return None if self.frames is None else 2 * int(self.frames.sum())


class DataSets:
    """What is known of data sets: of what is prepared in home, at whatever sample rate, or from manifests."""

    def __init__(self, store: Store) -> None:
        """Reads nothing yet."""
        self._store = store
        self._found: dict[tuple[str, int], Data | None] = {}
        self.traits = cache(
            traits
        )  # read from a file each time; the files of this plan do not change
        self._sample_rate = cache(lambda encoder: sample_rate(PlugIn(name=encoder)))

    def find(self, dataset: PlugIn, rate: int) -> Data | None:
        """A data set at a sample rate, in Hz.

        None where it is prepared at none, and has no manifest yet.
        """
        name = digest(dataset), rate
        if name not in self._found:
            rates = {rate: None, **dict.fromkeys(sorted(_rates()))}
            found = (self._prepared(dataset, one, rate) for one in rates)
            try:
                self._found[name] = next((one for one in found if one), None) or _described(
                    dataset, rate, self._store
                )
            except UnplacedError:
                self._found[name] = None
        return self._found[name]

    def of(self, spec: RunSpec, section: str = "dataset") -> Data | None:
        """The data set that a cell is probed or ("pretrain_dataset") pretrained on."""
        return self.find(getattr(spec, section), self._sample_rate(spec.encoder.name))

    def _prepared(self, dataset: PlugIn, there: int, wanted: int) -> Data | None:
        return read_data(
            self._store.folder("prepared", prepare_key(dataset, there, self._store)), wanted
        )

    def pretraining_tracks(self, spec: RunSpec) -> int | None:
        """Tracks that a cell's method learns from.

        None where they are not known before the data are prepared.
        """
        uses_labels = self.traits(spec.method.name).uses_labels
        data = self.of(spec, "dataset" if uses_labels else "pretrain_dataset")
        if data is None:
            return None
        if not uses_labels:
            return data.tracks["all" if spec.views.splits == "all" else "train"] - self._excluded(
                spec
            )
        if spec.fraction > 1:
            return int(spec.fraction)
        of = "all" if spec.labels.of == "dataset" and spec.fraction < 1 else "train"
        return max(1, round(spec.fraction * data.tracks[of]))

    def _excluded(self, spec: RunSpec) -> int:
        path = self._store.home / "exclusions" / f"{spec.views.exclude}.json"
        return len(read_json(path)["track_ids"]) if spec.views.exclude and path.is_file() else 0


def read_data(folder: Path, wanted_rate: int = 0) -> Data | None:
    """A prepared product in numbers, at the sample rate wanted (its own for 0).

    None where there is no such product.
    """
    with suppress(OSError, ValueError, KeyError):
        facts = read_json(folder / "data.json")
        rate: int = facts["sample_rate"]
        wanted = wanted_rate or rate
        frames = np.load(folder / "index.npy", mmap_mode="r")[:, 2]
        run: dict[str, Any] = read_json(folder / "run.json")
        return Data(
            {**facts["tracks"], "all": len(frames)},
            np.asarray(frames) if wanted == rate else frames * wanted // rate,
            wanted,
            len(facts["tags"]),
            folder if wanted == rate else None,
            run.get("seconds"),
        )
    return None


def _described(dataset: PlugIn, rate: int, store: Store) -> Data | None:
    """A data set that is not prepared, as its manifest and the headers of some of its files have it."""
    from bench.data.decoders import decoders
    from bench.stages.prepare.estimate import seconds_of
    from bench.stages.prepare.stage import known_manifest

    try:
        known = known_manifest(dataset, store)
    except (InputError, OSError):
        return None  # said by the job that prepares it
    if known is None:
        return None
    manifest, root = known
    with decoders(1) as pool:
        seconds = seconds_of(root, list(manifest.tracks["path"]), pool)
    splits = manifest.tracks["split"].value_counts()
    number = len(manifest.tracks)
    tracks = {**{split: int(splits.get(split, 0)) for split in SPLITS}, "all": number}
    frames = np.full(number, round(seconds * rate / max(1, number)), np.int64)
    return Data(tracks, frames, rate, len(manifest.tags), None)


def _rates() -> set[int]:
    """The sample rates of all encoders, in Hz."""
    return {
        int(registry.describe("encoders", name)["SAMPLE_RATE"])
        for name in registry.names("encoders")
    }


def training_steps(spec: RunSpec, data: DataSets) -> int | None:
    """Optimiser steps of a cell's pretraining.

    None where they are epochs over tracks that are not known yet.
    """
    if not data.traits(spec.method.name).trains:
        return 0
    tracks = data.pretraining_tracks(spec)
    return None if tracks is None and spec.train.epochs else budget(spec.train, tracks or 0)
