"""Cells from first to last: names become objects here, and only objects go down."""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from bench import results
from bench.core import registry
from bench.core.errors import DivergedError, InputError
from bench.core.progress import say
from bench.core.store import Store, read_json
from bench.settings.base import Spec
from bench.settings.specs import RunSpec, digest
from bench.settings.traits import traits
from bench.stages.embed.segments import Embeddings, open_embeddings
from bench.stages.embed.stage import embed_all
from bench.stages.keys import Keys
from bench.stages.parts import load, tell
from bench.stages.pretrain.stage import batch_size, pretrain, weights_path
from bench.stages.probe.stage import STATES, end_to_end, finetune, probe_all
from bench.stages.result import result_of
from bench.stages.score.stage import score_cell
from bench.stages.session import Cell, Place, Session, device_of

Validated = TypeVar("Validated", bound=Spec)
_SEEN_SECONDS = 90.0  # longer than network disks keep what they know of a folder


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
        if traits(spec.method.name).trains:
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
                raise InputError(
                    f"process {rank} has other code or data than process 0: its product would be another"
                )
            if device.type != order["device"]:
                raise InputError(
                    f"process 0 trains on {order['device']}, process {rank} has {device.type}"
                )
        with suppress(DivergedError):  # process 0 says it
            _pretrain(place, cell, device, place.store.folder("pretrained", cell.keys.pretrain))


def _await_prepared(spec: RunSpec, place: Place) -> None:
    """Waits until what process 0 has prepared is seen here: network disks show new folders a little late.

    Raises:
        InputError: it is not; preparing it here, too, would keep the others waiting.
    """
    keys = Keys(spec, place.store)
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
    leaked = (
        _leaked(first) if first.parts.traits.trains and not first.parts.traits.uses_labels else 0
    )
    if leaked:
        where = f"valid or test tracks of {first.spec.dataset.name}"
        say(f"{first.spec.pretrain_dataset.name}: {leaked} of the tracks pretrained on are {where}")
    frames = round(first.parts.encoder_settings.seconds * first.data.audio.sample_rate)
    counted = {
        "short_tracks": int((first.data.audio.frames < frames).sum()),
        "leaked_tracks": leaked,
    }
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
    pretrained = place.store.produce(
        "pretrained", cell.keys.pretrain, partial(_pretrain, place, cell, device)
    )
    (pretrained / "state.pt").unlink(
        missing_ok=True
    )  # not before: a kill would have cost the whole training
    run = read_json(pretrained / "run.json")
    tell(
        [*run["notes"], *([run["warning"]] if run["warning"] else [])],
        f"pretrain {cell.spec.method.name}",
    )
    return pretrained


def _embedded(store: Store, cell: Cell, pretrained: Path, device: torch.device) -> Path:
    return store.produce(
        "embedded",
        cell.keys.embed,
        lambda folder: embed_all(
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
        processes.world.part(batch_size(spec, tracks, labels is not None))
        if processes.first:
            order = {
                "spec": spec.model_dump(mode="json"),
                "key": cell.keys.pretrain,
                "device": device.type,
            }
            processes.announce(order)
    with processes.training():
        pretrain(parts, spec, cell.audio, cell.rows, labels, device, folder, start, processes)


def _probed(
    store: Store, cells: Sequence[Cell], folders: dict[str, Path], device: torch.device
) -> Iterator[tuple[Cell, Path]]:
    """Makes, or finds, the logits of cells of the same embeddings.

    Yields each folder as it is finished.
    """
    first = cells[0]
    embedded = open_embeddings(folders["embed"])
    together: dict[str, list[Cell]] = {}
    for cell in cells:
        if store.has("probed", cell.keys.probe):
            yield cell, store.folder("probed", cell.keys.probe)
        elif first.parts.traits.uses_labels:
            yield (
                cell,
                store.produce(
                    "probed", cell.keys.probe, partial(_end_to_end, cell, folders, embedded, device)
                ),
            )
        elif cell.spec.probe.kind == "finetune":
            yield (
                cell,
                store.produce("probed", cell.keys.probe, partial(_finetune, cell, folders, device)),
            )
        else:
            together.setdefault(digest(cell.spec.probe), []).append(cell)
    for alike in together.values():
        specs, labels = [cell.spec for cell in alike], [cell.labels for cell in alike]
        title = f"{first.spec.probe.kind} probes of {len(alike)} cells of {first.spec.method.name}"
        for index, made in probe_all(specs, labels, first.data, embedded, device, title):
            yield alike[index], store.produce("probed", alike[index].keys.probe, made.write)


def _end_to_end(
    cell: Cell, folders: dict[str, Path], embedded: Embeddings, device: torch.device, folder: Path
) -> None:
    end_to_end(_load(cell, folders["pretrain"], device), cell.data, embedded, device).write(folder)


def _finetune(cell: Cell, folders: dict[str, Path], device: torch.device, folder: Path) -> None:
    module = registry.load("methods", "supervised")
    supervised = replace(
        cell.parts, method=module, method_settings=module.Settings(), traits=traits("supervised")
    )
    finetune(
        supervised,
        cell.parts,
        cell.spec,
        cell.data,
        cell.labels,
        folders["pretrain"],
        device,
        folder,
    ).write(folder)
    for states in folder.glob(f"{STATES}_*"):  # not before: a kill would have cost the whole tuning
        shutil.rmtree(states)


def _load(cell: Cell, pretrained: Path, device: torch.device) -> Any:
    return load(
        cell.parts, cell.spec, len(cell.data.tags), cell.data.kind == "tags", pretrained, device
    )


def _score(
    session: Session, cell: Cell, folders: dict[str, Path], counted: dict[str, int]
) -> results.Result:
    """Scores the logits of a cell and writes its result."""
    counts = session.counts(cell.data, cell.spec.score)
    scored = score_cell(cell.spec, cell.data, counts, folders["embed"], folders["probe"])
    result = result_of(
        cell,
        scored,
        {stage: read_json(folder / "run.json") for stage, folder in folders.items()},
        counted,
    )
    session.place.guard()
    results.write(session.place.results, result, scored.values)
    return result


def _leaked(cell: Cell) -> int:
    """How many of the tracks pretrained on are, sample for sample, valid or test tracks of the probed data set."""
    held_out = cell.data.tracks["audio_hash"][cell.data.tracks["split"] != "train"]
    return int(cell.audio.tracks["audio_hash"].iloc[cell.rows].isin(held_out).sum())
