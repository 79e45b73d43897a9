"""Cells from first to last: prepare, pretrain, embed, probe, score. Read from top to bottom.

Every product on the way is stored under its key and taken up again, so that no stage is done twice
and a run that was killed goes on where it was.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch

from bench import results
from bench.core.progress import say
from bench.core.store import read_json
from bench.settings.specs import RunSpec, digest
from bench.settings.traits import traits
from bench.stages import words
from bench.stages.embed.segments import open_embeddings
from bench.stages.embed.stage import embed_all
from bench.stages.keys import stored_result
from bench.stages.parts import Cell
from bench.stages.pretrain.stage import batch_size, pretrain
from bench.stages.probe.stage import end_to_end, fine_tuned, probe_all
from bench.stages.result import leaked_tracks, result_of
from bench.stages.score.stage import score_cell
from bench.stages.session import Place, Session, device_of


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
    _require_shares(specs, place)
    session = Session(place)
    groups: dict[str, list[Cell]] = {}
    for index, spec in enumerate(specs):
        cell = session.cell(index, spec)  # prepares its data sets where they are not
        groups.setdefault(cell.keys.embed, []).append(cell)
    for cells in groups.values():
        yield from _of_same_embeddings(session, cells)


def encode(specs: Sequence[RunSpec], place: Place, *, embed: bool = True) -> None:
    """Makes, or finds, what cells of one pretraining share: frozen encoders and embeddings.

    Args:
        specs: the cells; none is scored.
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
                _embedded(place, cell, pretrained, device)


def _require_shares(specs: Sequence[RunSpec], place: Place) -> None:
    """Makes sure, before any work is done, that processes can share every batch equally."""
    for spec in specs:
        if traits(spec.method.name).trains:
            place.processes.world.part(spec.train.batch_size)


def _of_same_embeddings(
    session: Session, cells: Sequence[Cell]
) -> Iterator[tuple[int, results.Result]]:
    """The results of cells of the same embeddings, those that are stored first."""
    place, waiting = session.place, []
    for cell in cells:
        result = stored_result(place.results, cell.spec, cell.keys, place.store)
        if result is not None:
            yield cell.index, result
        else:
            waiting.append(cell)
    if not waiting:
        return
    first, device = waiting[0], device_of(place)
    _tell_leaks(first)
    folders = {"prepare": place.store.folder("prepared", first.keys.prepare)}
    folders["pretrain"] = _pretrained(place, first, device)
    folders["embed"] = _embedded(place, first, folders["pretrain"], device)
    for cell, probed in _probed(place, waiting, folders, device):
        yield cell.index, _scored(session, cell, {**folders, "probe": probed})


def _tell_leaks(cell: Cell) -> None:
    if leaked := leaked_tracks(cell):
        where = f"valid or test tracks of {cell.spec.dataset.name}"
        say(f"{cell.spec.pretrain_dataset.name}: {leaked} of the tracks pretrained on are {where}")


def _pretrained(place: Place, cell: Cell, device: torch.device) -> Path:
    """Makes, or finds, the frozen encoder of a cell."""
    sources = [place.store.folder("prepared", cell.keys.prepare_pretrain)]
    folder = place.store.produce(
        "pretrained", cell.keys.pretrain, partial(train_encoder, place, cell, device), sources
    )
    # The checkpoint is not removed before the product is whole: a kill would cost the training.
    (folder / "state.pt").unlink(missing_ok=True)
    run = read_json(folder / "run.json")
    warnings = [run["warning"]] if run["warning"] else []
    words.tell([*run["notes"], *warnings], f"pretrain {cell.spec.method.name}")
    return folder


def train_encoder(place: Place, cell: Cell, device: torch.device, folder: Path) -> None:
    """Trains the encoder of a cell, together with the other processes where there are any.

    Args:
        place: names the processes.
        cell: the cell.
        device: where to train.
        folder: of the product.
    """
    uses_labels, processes = cell.parts.traits.uses_labels, place.processes
    if cell.parts.traits.trains:
        tracks = len(cell.labels.rows if uses_labels else cell.rows)
        processes.world.part(batch_size(cell.spec, tracks, uses_labels))
        if processes.first:
            spec = cell.spec.model_dump(mode="json")
            processes.announce({"spec": spec, "key": cell.keys.pretrain, "device": device.type})
    with processes.training():
        pretrain(cell, device, folder, place.store, processes)


def _embedded(place: Place, cell: Cell, pretrained: Path, device: torch.device) -> Path:
    """Makes, or finds, the embeddings of the probed data set."""
    prepared = place.store.folder("prepared", cell.keys.prepare)
    make = partial(embed_all, cell, pretrained, device)
    return place.store.produce("embedded", cell.keys.embed, make, [prepared, pretrained])


def _probed(
    place: Place, cells: Sequence[Cell], folders: dict[str, Path], device: torch.device
) -> Iterator[tuple[Cell, Path]]:
    """Makes, or finds, the logits of cells of the same embeddings, each as it is finished."""
    store, sources = place.store, [folders["embed"]]
    pretrained, embedded = folders["pretrain"], open_embeddings(folders["embed"])
    alike: dict[str, list[Cell]] = {}
    for cell in cells:
        key = cell.keys.probe
        if store.ready("probed", key):
            yield cell, store.folder("probed", key)
        elif cell.parts.traits.uses_labels:
            make = partial(end_to_end, cell, pretrained, embedded, device)
            yield cell, store.produce("probed", key, make, sources)
        elif cell.spec.probe.kind == "finetune":
            make = partial(fine_tuned, cell, pretrained, device)
            yield cell, store.produce("probed", key, make, sources)
        else:
            alike.setdefault(digest(cell.spec.probe), []).append(cell)
    for group in alike.values():
        first = group[0]
        specs, labels = [cell.spec for cell in group], [cell.labels for cell in group]
        title = words.probe_title(first.spec.probe.kind, len(group), first.spec.method.name)
        fitted = probe_all(specs, labels, first.data, embedded, device, title)
        for index, probed in fitted:
            cell = group[index]
            yield cell, store.produce("probed", cell.keys.probe, probed.write, sources)


def _scored(session: Session, cell: Cell, folders: dict[str, Path]) -> results.Result:
    """Scores the logits of a cell and writes its result."""
    counts = session.counts(cell.data, cell.spec.score)
    scored = score_cell(cell.spec, cell.data, counts, folders["embed"], folders["probe"])
    result = result_of(cell, scored, folders)
    session.place.guard()
    results.write(session.place.results, result, scored.values)
    return result
