"""What is left to compute of a plan, product by product, and how large its data sets are."""

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

_KEYS: dict[str, int] = {stage: place for place, stage in enumerate(STAGES)}
"""The place of each stage's key in `Planned.keys`."""


def stages_of(job: Job) -> tuple[str, ...]:
    """The stages that a job computes."""
    return job.stages or ("prepare",)


@dataclass(frozen=True)
class Piece:
    """A piece of a job: one product, or the probes of several cells.

    Attributes:
        stage: the stage that makes it: "prepare", "pretrain", "embed", "probe", or "score" for
            cells that are probed already.
        base: combination of the cells that need it (see `bench.sweep.cells.SweepCell`); "" where
            the stage is "prepare".
        spec: spec of such a cell; None where the stage is "prepare".
        count: number of cells that are probed or scored; 1 at other stages.
        dataset: the data set to prepare; None at other stages.
        rate: sample rate to prepare it at, in Hz; 0 at other stages.
    """

    stage: str
    base: str = ""
    spec: RunSpec | None = None
    count: int = 1
    dataset: PlugIn | None = None
    rate: int = 0


class Pieces:
    """Tells what is left of each job; products that are stored already are not counted."""

    def __init__(self, store: Store) -> None:
        """Lists what is stored, once.

        Args:
            store: home.
        """
        self._stored: dict[str, set[str]] = {
            stage: _names(store.home / folder) for stage, folder in PRODUCTS.items()
        }
        # Combination -> digest of what embeddings depend on besides the pretraining.
        self._embedded: dict[str, str] = {}

    def of(self, job: Job) -> Iterator[Piece]:
        """The pieces of a job."""
        if "prepare" in stages_of(job):
            yield Piece("prepare", dataset=job.dataset, rate=job.rate)
        left = [planned for planned in job.cells if not planned.done]
        for stage in stages_of(job):
            if stage == "probe":
                yield from self._probes(left)
            elif stage != "prepare":
                # One cell of each product, the first.
                wanted = {self._name(planned, stage): planned.cell for planned in reversed(left)}
                for name, cell in reversed(wanted.items()):
                    if name not in self._stored[stage]:
                        yield Piece(stage, cell.base, cell.spec)

    def _probes(self, left: list[Planned]) -> Iterator[Piece]:
        """Pieces for cells that are to be probed, and for cells whose probes are only scored."""
        to_probe: dict[str, list[RunSpec]] = {}
        to_score: dict[str, list[RunSpec]] = {}
        for planned in left:
            keys, cell = planned.keys, planned.cell
            probed = bool(keys) and keys[_KEYS["probe"]] in self._stored["probe"]
            (to_score if probed else to_probe).setdefault(cell.base, []).append(cell.spec)
        for stage, by_base in (("probe", to_probe), ("score", to_score)):
            for base, specs in by_base.items():
                yield Piece(stage, base, specs[0], len(specs))

    def _name(self, planned: Planned, stage: str) -> str:
        """Key of a cell's product; before data are prepared, a name that equal products share."""
        if planned.keys:
            return planned.keys[_KEYS[stage]]
        cell = planned.cell
        if stage == "pretrain":
            return cell.group
        if cell.base not in self._embedded:
            self._embedded[cell.base] = digest([cell.spec.dataset, cell.spec.embed])
        return f"{cell.group} {self._embedded[cell.base]}"


def _names(folder: Path) -> set[str]:
    """Keys of the products in a folder of home; unfinished ones, which have an ending, are not."""
    return {path.name for path in folder.iterdir() if not path.suffix} if folder.is_dir() else set()


@dataclass(frozen=True)
class Data:
    """How large a data set is at one sample rate.

    Attributes:
        tracks: number of tracks of each split, and of "all".
        frames: length of each track at `rate`, in samples, shape (tracks,); None where that is not
            known.
        rate: sample rate in Hz.
        tags: number of tags, which are the outputs of a probe; 0 where that is not known.
        prepared: folder of the prepared product; None where it is not prepared at this rate.
        seconds: seconds that preparing took; None where that is not known.
    """

    tracks: Mapping[str, int]
    frames: NDArray[np.int64] | None
    rate: int
    tags: int
    prepared: Path | None
    seconds: float | None = None

    def segments(self, seconds: float, max_seconds: float = 0.0) -> int:
        """Number of segments of all tracks that are embedded, as `bench.data.views.segment_starts`.

        Args:
            seconds: length of a segment, in seconds.
            max_seconds: length of the part of a track that is embedded, in seconds; 0 for all.
        """
        assert self.frames is not None
        frames = self.frames
        if max_seconds:
            frames = np.minimum(frames, round(max_seconds * self.rate))
        return int(np.maximum(1, frames // max(1, round(seconds * self.rate))).sum())

    @cached_property
    def bytes(self) -> int | None:
        """Bytes of its samples, at 2 bytes each; None where their number is not known."""
        return None if self.frames is None else 2 * int(self.frames.sum())


class DataSets:
    """What is known of data sets: as prepared in home at any sample rate, or from manifests.

    Attributes:
        traits: as `bench.settings.traits.traits`, which reads a file each time; the files of a plan
            do not change.
    """

    def __init__(self, store: Store) -> None:
        """Reads nothing yet.

        Args:
            store: home.
        """
        self._store = store
        self._found: dict[tuple[str, int], Data | None] = {}
        self.traits = cache(traits)
        self._sample_rate = cache(lambda encoder: sample_rate(PlugIn(name=encoder)))

    def find(self, dataset: PlugIn, rate: int) -> Data | None:
        """A data set at a sample rate, in Hz.

        The sizes at another rate are computed from those at the rate that it is prepared at.

        Returns:
            Its sizes; None where it is not prepared at any rate and has no manifest yet.
        """
        name = digest(dataset), rate
        if name not in self._found:
            rates = {rate: None, **dict.fromkeys(sorted(_rates()))}
            prepared = (self._prepared(dataset, there, rate) for there in rates)
            try:
                first = next((data for data in prepared if data), None)
                self._found[name] = first or _described(dataset, rate, self._store)
            except UnplacedError:
                self._found[name] = None
        return self._found[name]

    def of(self, spec: RunSpec, section: str = "dataset") -> Data | None:
        """The data set that a cell is probed or ("pretrain_dataset") pretrained on."""
        return self.find(getattr(spec, section), self._sample_rate(spec.encoder.name))

    def _prepared(self, dataset: PlugIn, there: int, wanted: int) -> Data | None:
        """Sizes at the rate `wanted` of a data set that is prepared at the rate `there`, in Hz."""
        key = prepare_key(dataset, there, self._store)
        return read_data(self._store.folder("prepared", key), wanted)

    def pretraining_tracks(self, spec: RunSpec) -> int | None:
        """Number of tracks that a cell's method learns from.

        None where that is not known before the data are prepared.
        """
        uses_labels = self.traits(spec.method.name).uses_labels
        data = self.of(spec, "dataset" if uses_labels else "pretrain_dataset")
        if data is None:
            return None
        if not uses_labels:
            splits = "all" if spec.views.splits == "all" else "train"
            return data.tracks[splits] - self._excluded(spec)
        if spec.fraction > 1:
            return int(spec.fraction)
        of = "all" if spec.labels.of == "dataset" and spec.fraction < 1 else "train"
        return max(1, round(spec.fraction * data.tracks[of]))

    def _excluded(self, spec: RunSpec) -> int:
        """Number of tracks that a cell leaves out of pretraining (`bench run --exclude`)."""
        path = self._store.home / "exclusions" / f"{spec.views.exclude}.json"
        return len(read_json(path)["track_ids"]) if spec.views.exclude and path.is_file() else 0


def read_data(folder: Path, wanted_rate: int = 0) -> Data | None:
    """The sizes of a prepared data set.

    Args:
        folder: folder of the prepared product.
        wanted_rate: sample rate in Hz that sizes are computed for; 0 for that of the product.

    Returns:
        The sizes; None where there is no such product.
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
    """The sizes of a data set that is not prepared, from its manifest and some files' headers.

    Args:
        dataset: the data set.
        rate: sample rate in Hz.
        store: home, which knows where its files lie.

    Returns:
        The sizes; None where no manifest can be read.
    """
    from bench.data.decoders import decoders
    from bench.stages.prepare.estimate import seconds_of
    from bench.stages.prepare.stage import known_manifest

    try:
        known = known_manifest(dataset, store)
    except (InputError, OSError):
        return None  # the job that prepares it reports the error
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
    """Number of optimiser steps of a cell's pretraining.

    Args:
        spec: the cell.
        data: what is known of data sets.

    Returns:
        The number; None where the budget is in epochs and the number of tracks is not known yet.
    """
    if not data.traits(spec.method.name).trains:
        return 0
    tracks = data.pretraining_tracks(spec)
    return None if tracks is None and spec.train.epochs else budget(spec.train, tracks or 0)
