"""Cells from first to last: names become objects here, and only objects go down."""

import platform
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from bench import plan, probing, registry, results, stages
from bench.config import PlugIn, RunSpec, ScoreSpec, Spec, digest
from bench.data.prepare import Prepared
from bench.errors import DivergedError, InputError
from bench.preparing import dataset_settings, prepared, validated
from bench.probe.embed import Embeddings, open_embeddings
from bench.probe.subsets import stored
from bench.progress import say
from bench.scoring import Scored, score_cell
from bench.store import Store, read_json
from bench.train.processes import ALONE, Processes

Validated = TypeVar("Validated", bound=Spec)
_SEEN_SECONDS = 90.0  # longer than network disks keep what they know of a folder
_AGGREGATION = {
    "mean_embedding": "mean embedding of non-overlapping",
    "mean_probability": "mean probability over non-overlapping",
}


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


def check(spec: RunSpec) -> stages.Parts:
    """Loads the plug-ins of a cell and checks their settings, before any work is done.

    Raises:
        InputError: an unknown setting or a value out of range.
    """
    method, encoder = registry.load("methods", spec.method.name), registry.load("encoders", spec.encoder.name)
    for section, dataset in (("dataset", spec.dataset), ("pretrain_dataset", spec.pretrain_dataset)):
        dataset_settings(dataset, section)
    return stages.Parts(
        method,
        validated(method.Settings, spec.method, "method"),
        encoder,
        validated(encoder.Settings, spec.encoder, "encoder"),
        plan.traits(spec.method.name),
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
    parts: stages.Parts
    data: Prepared
    audio: Prepared
    rows: NDArray[np.int64]
    keys: plan.Keys
    labels: stages.Labelled


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
        audio = data if same else self.prepared(spec.pretrain_dataset, spec.encoder, "pretrain_dataset")
        _require_scorable(data, spec.score)
        rows = _pretraining_rows(audio, spec, self.place.store)
        if parts.traits.trains and len(rows) < 2:
            raise InputError(f"{spec.pretrain_dataset.name}: {len(rows)} tracks to pretrain on; at least 2 are needed")
        imported = stored(self.place.store.home, spec.labels.subset) if spec.labels.subset else []
        labels = probing.labelled(data, spec, imported)
        return Cell(index, spec, parts, data, audio, rows, plan.Keys(spec, self.place.store), labels)

    def prepared(self, dataset: PlugIn, encoder: PlugIn, section: str) -> Prepared:
        """The data set's PCM store, made if it is not there."""
        key = plan.prepare_key(dataset, encoder, self.place.store)
        if key not in self._prepared:
            self._prepared[key] = prepared(dataset, plan.sample_rate(encoder), self.place.store, section)
        return self._prepared[key]

    def counts(self, data: Prepared, spec: ScoreSpec) -> NDArray[np.int32]:
        """The resamples of a test split."""
        key = digest([data.facts["tracks_hash"], spec])
        if key not in self._counts:
            self._counts = {key: probing.test_split(data).resamples(spec)}  # of one data set: 50 MB for 12 000 tracks
        return self._counts[key]


def run(specs: Sequence[RunSpec], place: Place) -> Iterator[tuple[int, results.Result]]:
    """Computes cells, or finds them; every product on the way is stored and taken up again.

    Cells of the same embeddings are computed together: their probes are one program.

    Args:
        specs: the cells.
        place: where to compute and to store.

    Yields:
        (index of the spec, result) as they are finished.

    Raises:
        InputError: something in a spec or in the data cannot be used.
    """
    session = Session(place)
    groups: dict[str, list[Cell]] = {}
    _require_shares(specs, place)
    for index, spec in enumerate(specs):
        cell = session.cell(index, spec)
        groups.setdefault(cell.keys.embed, []).append(cell)
    for cells in groups.values():
        yield from _together(session, cells)


def _require_shares(specs: Sequence[RunSpec], place: Place) -> None:
    """Makes sure, before any work is done, that processes can share every batch equally."""
    for spec in specs:
        if plan.traits(spec.method.name).trains:
            place.processes.world.part(spec.train.batch_size)


def assist(place: Place) -> None:
    """Takes part, as one of the processes after process 0, in every pretraining that process 0 announces.

    Writes nothing; ends when process 0 has no more to do.

    Args:
        place: as that of process 0; the results folder is not looked at.

    Raises:
        InputError: this process would train something else, or cannot.
        LostProcessError: another process is gone.
        Stopped: a process was told to stop.
    """
    session = Session(place)
    rank = place.processes.world.rank
    for order in place.processes.orders():
        with place.processes.training():
            spec, device = RunSpec.model_validate(order["spec"]), device_of(place)
            _await_prepared(spec, place)
            cell = session.cell(0, spec)
            if cell.keys.pretrain != order["key"]:
                raise InputError(f"process {rank} has other code or data than process 0: its product would be another")
            if device.type != order["device"]:
                raise InputError(f"process 0 trains on {order['device']}, process {rank} has {device.type}")
        with suppress(DivergedError):  # process 0 says it
            _pretrain(place, cell, device, place.store.folder("pretrained", cell.keys.pretrain))


def _await_prepared(spec: RunSpec, place: Place) -> None:
    """Waits until what process 0 has prepared is seen here: network disks show new folders a little late.

    Raises:
        InputError: it is not; preparing it here, too, would keep the others waiting.
    """
    keys = plan.Keys(spec, place.store)
    until = time.monotonic() + _SEEN_SECONDS
    for key in (keys.prepare, keys.prepare_pretrain):
        while not place.store.has("prepared", key):
            if time.monotonic() > until:
                raise InputError(
                    f"process {place.processes.world.rank} does not see {place.store.folder('prepared', key)}, which "
                    "process 0 has: --home must be on a disk that all machines see"
                )
            time.sleep(0.2)


def _together(session: Session, cells: Sequence[Cell]) -> Iterator[tuple[int, results.Result]]:
    """The results of cells of the same embeddings."""
    waiting: list[Cell] = []
    for cell in cells:
        found = results.find(session.place.results, cell.spec, cell.keys.cell)
        if found:
            yield cell.index, found
        else:
            waiting.append(cell)
    if not waiting:
        return
    first = waiting[0]
    device = device_of(session.place)
    leaked = _leaked(first) if first.parts.traits.trains and not first.parts.traits.uses_labels else 0
    if leaked:
        where = f"valid or test tracks of {first.spec.dataset.name}"
        say(f"{first.spec.pretrain_dataset.name}: {leaked} of the tracks pretrained on are {where}")
    frames = round(first.parts.encoder_settings.seconds * first.data.audio.sample_rate)
    counted = {"short_tracks": int((first.data.audio.frames < frames).sum()), "leaked_tracks": leaked}
    folders = {"prepare": session.place.store.folder("prepared", first.keys.prepare)}
    folders |= _encoded(session.place, first, device)
    for cell, folder in _probed(session.place.store, waiting, folders, device):
        yield cell.index, _score(session, cell, {**folders, "probe": folder}, counted)


def encode(specs: Sequence[RunSpec], place: Place, *, embed: bool = True) -> None:
    """Makes, or finds, what cells of one pretraining share, and no scores: frozen encoders and their embeddings.

    Args:
        specs: the cells.
        place: where to compute and to store.
        embed: False stops at the encoders.

    Raises:
        InputError: something in a spec or in the data cannot be used.
    """
    _require_shares(specs, place)
    session, device = Session(place), device_of(place)
    made: set[str] = set()
    for index, spec in enumerate(specs):
        cell = session.cell(index, spec)
        key = cell.keys.embed if embed else cell.keys.pretrain
        if key not in made:
            made.add(key)
            pretrained = _pretrained(place, cell, device)
            if embed:
                _embedded(place.store, cell, pretrained, device)


def _encoded(place: Place, cell: Cell, device: torch.device) -> dict[str, Path]:
    """Makes, or finds, the frozen encoder of a cell and its embeddings; returns their folders."""
    pretrained = _pretrained(place, cell, device)
    return {"pretrain": pretrained, "embed": _embedded(place.store, cell, pretrained, device)}


def _pretrained(place: Place, cell: Cell, device: torch.device) -> Path:
    pretrained = place.store.produce("pretrained", cell.keys.pretrain, partial(_pretrain, place, cell, device))
    (pretrained / "state.pt").unlink(missing_ok=True)  # not before: a kill would have cost the whole training
    run = read_json(pretrained / "run.json")
    stages.tell([*run["notes"], *([run["warning"]] if run["warning"] else [])], f"pretrain {cell.spec.method.name}")
    return pretrained


def _embedded(store: Store, cell: Cell, pretrained: Path, device: torch.device) -> Path:
    return store.produce(
        "embedded",
        cell.keys.embed,
        lambda folder: stages.embed_all(
            cell.parts, cell.spec, _load(cell, pretrained, device), cell.data, device, folder
        ),
    )


def _pretrain(place: Place, cell: Cell, device: torch.device, folder: Path) -> None:
    """Trains the encoder of a cell, together with the other processes where there are any."""
    parts, spec, processes = cell.parts, cell.spec, place.processes
    labels = cell.labels if parts.traits.uses_labels else None
    start = weights_path(place.store.home, spec.weights) if spec.weights else None
    if parts.traits.trains:
        tracks = len(labels.rows if labels else cell.rows)
        processes.world.part(stages.batch_size(spec, tracks, labels is not None))
        if processes.first:
            order = {"spec": spec.model_dump(mode="json"), "key": cell.keys.pretrain, "device": device.type}
            processes.announce(order)
    with processes.training():
        stages.pretrain(parts, spec, cell.audio, cell.rows, labels, device, folder, start, processes)


def _probed(
    store: Store, cells: Sequence[Cell], folders: dict[str, Path], device: torch.device
) -> Iterator[tuple[Cell, Path]]:
    """Makes, or finds, the logits of cells of the same embeddings; yields each folder as it is finished."""
    first = cells[0]
    embedded = open_embeddings(folders["embed"])
    together: dict[str, list[Cell]] = {}
    for cell in cells:
        if store.has("probed", cell.keys.probe):
            yield cell, store.folder("probed", cell.keys.probe)
        elif first.parts.traits.uses_labels:
            yield cell, store.produce("probed", cell.keys.probe, partial(_end_to_end, cell, folders, embedded, device))
        elif cell.spec.probe.kind == "finetune":
            yield cell, store.produce("probed", cell.keys.probe, partial(_finetune, cell, folders, device))
        else:
            together.setdefault(digest(cell.spec.probe), []).append(cell)
    for alike in together.values():
        specs, labels = [cell.spec for cell in alike], [cell.labels for cell in alike]
        title = f"{first.spec.probe.kind} probes of {len(alike)} cells of {first.spec.method.name}"
        for index, made in probing.probe_all(specs, labels, first.data, embedded, device, title):
            yield alike[index], store.produce("probed", alike[index].keys.probe, made.write)


def _end_to_end(cell: Cell, folders: dict[str, Path], embedded: Embeddings, device: torch.device, folder: Path) -> None:
    probing.end_to_end(_load(cell, folders["pretrain"], device), cell.data, embedded, device).write(folder)


def _finetune(cell: Cell, folders: dict[str, Path], device: torch.device, folder: Path) -> None:
    module = registry.load("methods", "supervised")
    supervised = replace(cell.parts, method=module, method_settings=module.Settings(), traits=plan.traits("supervised"))
    probing.finetune(
        supervised, cell.parts, cell.spec, cell.data, cell.labels, folders["pretrain"], device, folder
    ).write(folder)
    for states in folder.glob(f"{probing.STATES}_*"):  # not before: a kill would have cost the whole tuning
        shutil.rmtree(states)


def _load(cell: Cell, pretrained: Path, device: torch.device) -> Any:
    return stages.load(cell.parts, cell.spec, len(cell.data.tags), cell.data.kind == "tags", pretrained, device)


def _score(session: Session, cell: Cell, folders: dict[str, Path], counted: dict[str, int]) -> results.Result:
    """Scores the logits of a cell and writes its result."""
    counts = session.counts(cell.data, cell.spec.score)
    scored = score_cell(cell.spec, cell.data, counts, folders["embed"], folders["probe"])
    result = _result(
        cell, scored, {stage: read_json(folder / "run.json") for stage, folder in folders.items()}, counted
    )
    session.place.guard()
    results.write(session.place.results, result, scored.values)
    return result


def _require_scorable(data: Prepared, score: ScoreSpec) -> None:
    """Refuses a data set that could not be scored, before anything is trained for it.

    Raises:
        InputError: no labelled valid track, or no tag that some test tracks have and others have not.
    """
    valid, test = data.labels[data.rows("valid")], data.labels[data.rows("test")]
    name = f"split {data.facts['split_name']}"
    if score.untagged == "removed":
        test = test[test.any(axis=1)]
    groups = data.tracks["group"].iloc[data.rows("test")].nunique()
    if score.by == "group" and groups < 2:
        raise InputError(f"{name}: {groups} group among the test tracks: --score.by group needs two or more")
    if not valid.any():
        raise InputError(f"{name}: no tag has a positive among the {len(valid)} valid tracks: no probe can be chosen")
    if not (test.any(axis=0) & ~test.all(axis=0)).any():
        raise InputError(f"{name}: no tag has a positive and a negative among the {len(test)} test tracks")


def _pretraining_rows(audio: Prepared, spec: RunSpec, store: Store) -> NDArray[np.int64]:
    """The tracks that are pretrained on: of the splits asked for, without those of an exclusion list."""
    rows = audio.rows(spec.views.splits)
    if not spec.views.exclude:
        return rows
    path = store.home / "exclusions" / f"{spec.views.exclude}.json"
    if not path.is_file():
        raise InputError(f"views.exclude {spec.views.exclude} is not known here: give --exclude FILE")
    content = read_json(path)
    if content["tracks_hash"] != audio.facts["tracks_hash"]:
        raise InputError(f"--exclude: made for another data set than {spec.pretrain_dataset.name}: `bench data leaks`")
    excluded = content["track_ids"]
    return rows[~audio.tracks["track_id"].iloc[rows].isin(excluded).to_numpy()]


def _leaked(cell: Cell) -> int:
    """How many of the tracks pretrained on are, sample for sample, valid or test tracks of the probed data set."""
    held_out = cell.data.tracks["audio_hash"][cell.data.tracks["split"] != "train"]
    return int(cell.audio.tracks["audio_hash"].iloc[cell.rows].isin(held_out).sum())


def weights_path(home: Path, name: str) -> Path:
    """Where imported weights lie, by their hash.

    Raises:
        InputError: they are not there.
    """
    path = home / "weights" / f"{name}.safetensors"
    if not path.is_file():
        raise InputError(f"weights {name} are not in {path.parent}: give --weights FILE")
    return path


def device_of(place: Place) -> torch.device:
    """Where to train.

    Raises:
        InputError: a GPU is asked for, and there is none.
    """
    device = stages.pick_device(place.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "--device cuda: torch finds no GPU here; `bench doctor` says more, --device cpu runs without one"
        )
    if device.type == "cuda" and place.processes.size > 1:
        return torch.device("cuda", torch.cuda.current_device())
    return device


def _result(cell: Cell, scored: Scored, runs: dict[str, Any], counted: dict[str, int]) -> results.Result:
    spec, parts, data, probe, run = cell.spec, cell.parts, cell.data, runs["probe"], runs["pretrain"]
    keys = cell.keys
    return results.Result(
        cell=keys.cell,
        spec=spec,
        settings={
            "method": parts.method_settings.model_dump(mode="json"),
            "encoder": parts.encoder_settings.model_dump(mode="json"),
            "dataset": dataset_settings(spec.dataset, "dataset").model_dump(mode="json"),
            "pretrain_dataset": dataset_settings(spec.pretrain_dataset, "pretrain_dataset").model_dump(mode="json"),
        },
        protocol={
            "split": data.facts["split_name"],
            "probe": probe["kind"],
            "trained_on": "segments" if probe["kind"] in ("end_to_end", "finetune") else spec.probe.train_on,
            "aggregation": f"{_AGGREGATION[spec.probe.aggregation]} {parts.encoder_settings.seconds:g} s segments",
            "untagged": spec.score.untagged,
            "labels": _labels_in_words(spec),
            "chosen_on": "valid split, macro average precision",
            "interval": scored.interval,
            "steps": run["steps"],
            "augment": spec.augment.name if parts.traits.trains else "none",
            "scale": spec.scale,
            "pretrained_on": "labelled tracks" if parts.traits.uses_labels else spec.views.splits,
            "excluded": len(cell.audio.rows(spec.views.splits)) - len(cell.rows),
        },
        data={
            "hash": data.facts["data_hash"],
            "tracks_hash": data.facts["tracks_hash"],
            "pretrain_hash": cell.audio.facts["data_hash"],
            "kind": data.kind,
            "split": data.facts["split_name"],
            "tags": list(data.tags),
            "left_out": data.facts["left_out"],
            "notes": data.facts["notes"],
            **{f"{split}_tracks": number for split, number in data.facts["tracks"].items()},
        },
        counts={
            **scored.counts,
            "all_tags": len(data.tags),
            "labelled_tracks": len(cell.labels.rows),
            "tags_without_labelled_positive": cell.labels.without_positive,
            **counted,
        },
        **scored.fields,
        training={
            name: run[name]
            for name in (
                *("curve", "diagnostics", "best", "warning", "steps", "views"),
                *("parameters", "threads", "notes"),
            )
        },
        probe={"chosen": probe["chosen"], "sweep": probe["sweep"], "subset": cell.labels.subset},
        products={"prepare": keys.prepare, "pretrain": keys.pretrain, "embed": keys.embed, "probe": keys.probe},
        seconds={stage: float(found["seconds"]) for stage, found in runs.items()},
        code=results.code_version(),
        versions={"python": platform.python_version(), **results.library_versions()},
        device=run["device"],
        created=results.now(),
    )


def _labels_in_words(spec: RunSpec) -> str:
    labels = spec.labels
    if labels.subset:
        return f"imported subset {labels.subset}"
    unit = "groups" if labels.by == "group" else "tracks"
    of = ", shares of the whole data set" if labels.of == "dataset" else ""
    return f"{labels.scheme} over {unit}{of}" + (f", seed {labels.seed}" if labels.seed else "")
