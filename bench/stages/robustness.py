"""Scores of a cell's probe on test tracks that were made worse, beside its clean score.

Encoder and probe stay those of clean tracks (see `bench.stages.degraded`). Results go beside the
cells, into the folder `robustness` of the results, the clean score among them, and share the cells'
resamples, so that each change of a score has a paired interval. Clean and degraded tracks are
embedded and scored by the same code: a cell that other code embedded is refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bench import results
from bench.core.code import code_digest
from bench.core.errors import InputError
from bench.core.versions import code_version, library_versions, now
from bench.data.degrade import KINDS, Degradation, usual
from bench.data.prepared import open_prepared
from bench.results import CLEAN, Result
from bench.settings.specs import digest
from bench.settings.traits import sample_rate
from bench.stages.degraded import OpenedRun, embed_degraded, folder_name, probe_degraded
from bench.stages.embed.segments import open_embeddings
from bench.stages.keys import cell_key, embed_key, scoring_code
from bench.stages.probe.labelled import labelled
from bench.stages.probe.subsets import stored
from bench.stages.score.stage import Scored, score_cell
from bench.stages.session import Place, Session, check, device_of

_CODE = "bench.stages.degraded"
Levels = Mapping[str, Sequence[float] | None]
"""Kind of `bench.data.degrade.KINDS` -> levels; None for the usual ones."""


def robustness(
    runs: Sequence[Result], levels: Levels, place: Place
) -> Iterator[tuple[list[Result], str]]:
    """Scores cells on degraded test tracks; what is stored of that is not computed again.

    Args:
        runs: the stored cells.
        levels: what is done to the test tracks.
        place: where to compute and to store.

    Yields:
        For each cell (the clean score, then one for each degradation in order; ""), or ([], why it
        is left out).

    Raises:
        InputError: a level that there is not, or a GPU is asked for where there is none.
    """
    wanted = [_degradations(old, levels) for old in runs]  # all, before anything is computed
    session, device = Session(place), device_of(place)
    for old, degradations in zip(runs, wanted, strict=True):
        name = results.file_stem(old.spec, old.cell)
        try:
            yield _of_cell(old, degradations, session, device), ""
        except InputError as error:
            yield [], f"{name}: {error}"


def _degradations(old: Result, levels: Levels) -> list[Degradation]:
    rate = sample_rate(old.spec.encoder)
    wanted = []
    for kind, given in levels.items():
        if given is None:
            of_kind = usual(kind, rate)
        else:
            of_kind = [Degradation(kind, level) for level in dict.fromkeys(given)]
        for degradation in of_kind:
            degradation.check(rate)
        wanted += of_kind
    return wanted


def _of_cell(
    old: Result, degradations: Sequence[Degradation], session: Session, device: torch.device
) -> list[Result]:
    """The results of a cell, the clean one first."""
    place, scored_by = session.place, scoring_code()
    keys: dict[Degradation | None, str] = {None: digest([old.cell, CLEAN, scored_by])}
    keys |= {
        degradation: digest([_embed_key(old, degradation), old.cell, scored_by])
        for degradation in degradations
    }
    made: dict[Degradation | None, Result] = {}
    for degradation, key in keys.items():
        if known := results.find(place.results, old.spec, key, "robustness"):
            made[degradation] = known
    missing = [degradation for degradation in degradations if degradation not in made]
    run = _open(old, session, device) if missing else None
    if None not in made:
        made[None] = _clean(old, keys[None], session, device)
    if run is not None:
        folder = _probed(old, run, missing, place)
        for degradation in missing:
            embedded = place.store.folder("degraded", _embed_key(old, degradation))
            scored = _scored(run, session, embedded, folder / folder_name(degradation))
            made[degradation] = _result(old, keys[degradation], degradation, _changes(old, scored))
            results.write(place.results, made[degradation], scored.values)
    return [made[degradation] for degradation in keys]


def _clean(old: Result, key: str, session: Session, device: torch.device) -> Result:
    """The cell's own score, scored anew where other code has scored it."""
    place = session.place
    if old.cell == cell_key(old.products["probe"], old.spec.score):
        changes, values = {}, results.read_values(results.path_of(place.results, old))
    else:
        run = _open(old, session, device)
        scored = _scored(run, session, run.folders["embed"], run.folders["probe"])
        changes, values = _changes(old, scored), scored.values
    clean = _result(old, key, None, changes)
    results.write(place.results, clean, values)
    return clean


def _open(old: Result, session: Session, device: torch.device) -> OpenedRun:
    """Opens what a cell was made of.

    Raises:
        InputError: it was fine-tuned, a product is no longer in home, or other code has embedded
            the clean tracks.
    """
    if old.protocol["probe"] == "finetune":
        raise InputError(
            "fine-tuned encoders are not kept, so that there is nothing to score other audio with"
        )
    store, spec = session.place.store, old.spec
    folders = results.product_folders(old, store)
    data = open_prepared(folders["prepare"])
    made_now = embed_key(old.products["pretrain"], data.facts["data_hash"], spec.embed)
    if made_now != old.products["embed"]:
        raise InputError(
            "other code than this has embedded its clean tracks, and the two cannot be compared; "
            "`bench run` embeds them anew"
        )
    subset = stored(store.home, spec.labels.subset) if spec.labels.subset else []
    labels = labelled(data, spec, subset)
    return OpenedRun(spec, check(spec), data, labels, folders, data.rows("test"), device)


def _embed_key(old: Result, degradation: Degradation) -> str:
    """Key of the embeddings of degraded test tracks."""
    code = code_digest(_CODE)
    return digest([old.products["embed"], degradation.kind, degradation.level, code])


def _probed(old: Result, run: OpenedRun, degradations: Sequence[Degradation], place: Place) -> Path:
    """Makes, or finds, the logits of degraded test tracks: a folder for each degradation."""
    keys = [_embed_key(old, degradation) for degradation in degradations]
    folders = [
        place.store.produce(
            "degraded", key, partial(embed_degraded, run, degradation), [run.folders["pretrain"]]
        )
        for key, degradation in zip(keys, degradations, strict=True)
    ]
    versions = [open_embeddings(folder) for folder in folders]
    make = partial(probe_degraded, run, degradations, versions)
    key = digest([old.products["probe"], *keys])
    return place.store.produce("degraded_probed", key, make, [run.folders["probe"], *folders])


def _scored(run: OpenedRun, session: Session, embedded: Path, probed: Path) -> Scored:
    counts = session.counts(run.data, run.spec.score)
    return score_cell(run.spec, run.data, counts, embedded, probed)


def _changes(old: Result, scored: Scored) -> dict[str, Any]:
    """What new scores change in a result."""
    return {**scored.fields, "counts": {**old.counts, **scored.counts}}


def _result(
    old: Result, key: str, degradation: Degradation | None, changes: dict[str, Any]
) -> Result:
    """The cell's result on other audio; what is large and the cell's own is left to that."""
    audio: dict[str, Any] = {"kind": CLEAN, "level": 0.0, "unit": "", "of": old.cell}
    if degradation is not None:
        unit = KINDS[degradation.kind].unit
        audio |= {"kind": degradation.kind, "level": degradation.level, "unit": unit}
    return old.model_copy(
        update={
            "cell": key,
            "protocol": {**old.protocol, "audio": audio},
            "training": {**old.training, "curve": [], "diagnostics": []},
            "probe": {**old.probe, "sweep": []},
            "code": code_version(),
            "versions": {**old.versions, **library_versions()},
            "created": now(),
            **changes,
        }
    )
