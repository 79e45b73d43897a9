"""Scores a cell's probe on test tracks that were made worse: the encoder and the probe stay those of clean tracks.

The test tracks are degraded and embedded anew. The probe is fitted again on the clean labelled
tracks, which gives the same weights, and scores every version of the test tracks; nothing is chosen
by them. Results go beside the cells, into the folder `robustness` of the results, the clean score
among them, and share the cells' resamples, so that each change of a score has a paired interval.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench import results
from bench.core import registry
from bench.core.errors import InputError
from bench.core.progress import progress
from bench.core.store import write_array, write_json
from bench.data.degrade import KINDS, Degradation, DegradedAudio, usual
from bench.data.prepared import Prepared, open_prepared
from bench.method import Method
from bench.results import CLEAN, Result
from bench.settings.specs import RunSpec, digest
from bench.settings.traits import sample_rate
from bench.stages.embed.neighbours import RECALL_AT, nearest
from bench.stages.embed.segments import Embeddings, embed, open_embeddings
from bench.stages.parts import Parts, frontend_of, load
from bench.stages.probe.aggregate import AGGREGATIONS
from bench.stages.probe.labelled import labelled
from bench.stages.probe.probes import Subset, fit_all
from bench.stages.probe.stage import classified, read_logits
from bench.stages.probe.subsets import stored
from bench.stages.score.stage import score_cell
from bench.stages.session import Place, Session, check, device_of

_CODE = (
    *("bench.stages.robustness", "bench.data.degrade", "bench.stages.embed.segments"),
    *("bench.data.augment.level", "bench.data.augment.pitch", "bench.data.augment.fourier"),
)
# of logits: on a GPU, products of other shapes may round otherwise (see
# `bench.stages.probe.probes`)
_DIFFERENCE = 0.05
Levels = Mapping[str, Sequence[float] | None]
"""Kind of `bench.data.degrade.KINDS` -> levels; None for the usual ones."""


@dataclass(frozen=True)
class _Opened:
    """A cell, and what its score on other audio is computed from.

    Attributes:
        old: the stored result.
        spec: of the cell.
        parts: its plug-ins.
        data: the probed data set.
        folders: of its products, stage by stage.
        rows: places of the test tracks.
        device: where to embed.
    """

    old: Result
    spec: RunSpec
    parts: Parts
    data: Prepared
    folders: dict[str, Path]
    rows: NDArray[np.int64]
    device: torch.device

    @cached_property
    def method(self) -> Method:
        """With the frozen encoder, and the classifier of one that learned from labels."""
        data, folder = self.data, self.folders["pretrain"]
        return load(self.parts, self.spec, len(data.tags), data.kind == "tags", folder, self.device)


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
    wanted = [
        _degradations(old, levels) for old in runs
    ]  # all of them, before anything is computed
    session, device = Session(place), device_of(place)
    for old, degradations in zip(runs, wanted, strict=True):
        name = results.file_stem(old.spec, old.cell)
        try:
            yield _of_cell(old, degradations, session, device), ""
        except InputError as error:
            yield [], f"{name}: {error}"


def _degradations(old: Result, levels: Levels) -> list[Degradation]:
    rate = sample_rate(old.spec.encoder)
    found = []
    for kind, given in levels.items():
        own = (
            usual(kind, rate)
            if given is None
            else [Degradation(kind, level) for level in dict.fromkeys(given)]
        )
        for one in own:
            one.check(rate)
        found += own
    return found


def _of_cell(
    old: Result, degradations: Sequence[Degradation], session: Session, device: torch.device
) -> list[Result]:
    keys: dict[Degradation | None, str] = {None: digest([old.cell, CLEAN])}
    keys |= {one: digest([_embed_key(old, one), old.cell]) for one in degradations}
    place = session.place
    found: dict[Degradation | None, Result] = {}
    for one, key in keys.items():
        if known := results.find(place.results, old.spec, key, "robustness"):
            found[one] = known
    if None not in found:
        found[None] = _result(old, keys[None], None, {})
        results.write(
            place.results, found[None], results.read_values(results.path_of(place.results, old))
        )
    missing = [one for one in degradations if one not in found]
    if missing:
        cell = _open(old, session, device)
        folder = _probed(cell, missing, place)
        counts = session.counts(cell.data, cell.spec.score)
        for one in missing:
            embedded = place.store.folder("degraded", _embed_key(old, one))
            scored = score_cell(cell.spec, cell.data, counts, embedded, folder / _name(one))
            found[one] = _result(
                old, keys[one], one, {**scored.fields, "counts": {**old.counts, **scored.counts}}
            )
            results.write(place.results, found[one], scored.values)
    return [found[one] for one in keys]


def _open(old: Result, session: Session, device: torch.device) -> _Opened:
    """Opens what a cell was made of.

    Raises:
        InputError: it was fine-tuned, or a product is no longer in home.
    """
    if old.protocol["probe"] == "finetune":
        raise InputError(
            "fine-tuned encoders are not kept, so that there is nothing to score other audio with"
        )
    folders = results.product_folders(old, session.place.store)
    data = open_prepared(folders["prepare"])
    return _Opened(old, old.spec, check(old.spec), data, folders, data.rows("test"), device)


def _embed_key(old: Result, degradation: Degradation) -> str:
    code = registry.code_digest(*_CODE)
    return digest([old.products["embed"], degradation.kind, degradation.level, code])


def _name(degradation: Degradation) -> str:
    return f"{degradation.kind}_{degradation.level:g}"


def _probed(cell: _Opened, degradations: Sequence[Degradation], place: Place) -> Path:
    """Makes, or finds, the logits of degraded test tracks: a folder for each degradation."""
    versions = [_embedded(cell, one, place) for one in degradations]

    def make(folder: Path) -> None:
        if cell.parts.traits.uses_labels:
            rows = np.arange(len(cell.rows))
            logits = [
                classified(cell.method, cell.data, one, rows, cell.device) for one in versions
            ]
        else:
            logits = _refitted(cell, versions, place, folder)
        for one, values in zip(degradations, logits, strict=True):
            (folder / _name(one)).mkdir(exist_ok=True)
            for aggregation, array in values.items():
                write_array(folder / _name(one) / f"{aggregation}.npy", array)

    parts = [cell.old.products["probe"], *(_embed_key(cell.old, one) for one in degradations)]
    return place.store.produce("degraded_probed", digest(parts), make)


def _embedded(cell: _Opened, degradation: Degradation, place: Place) -> Embeddings:
    """Makes, or finds, the embeddings of the degraded test tracks, and which of them are nearest to each other."""

    def make(folder: Path) -> None:
        hashes = cell.data.tracks["audio_hash"].to_numpy(str)[cell.rows]
        keys = [int(digest([one, "noise of robustness"]), 16) % 2**32 for one in hashes]
        audio = DegradedAudio(cell.data.audio, cell.rows, keys, degradation)
        frontend, seconds = (
            frontend_of(cell.method).to(cell.device),
            cell.parts.encoder_settings.seconds,
        )
        rows = np.arange(len(cell.rows))
        with progress(f"embed {cell.spec.method.name}, {degradation.words}", "tracks") as report:
            made = embed(
                cell.method.encoder,
                frontend,
                audio,
                rows,
                seconds,
                cell.spec.embed,
                cell.device,
                report,
            )
        for name in ("segments", "first", "tracks"):
            write_array(folder / f"{name}.npy", getattr(made, name))
        write_array(folder / "nearest.npy", nearest(made.tracks, max(RECALL_AT)))
        write_json(folder / "run.json", {"kind": degradation.kind, "level": degradation.level})

    return open_embeddings(place.store.produce("degraded", _embed_key(cell.old, degradation), make))


def _refitted(
    cell: _Opened, versions: Sequence[Embeddings], place: Place, folder: Path
) -> list[dict[str, NDArray[np.float32]]]:
    """The logits of the cell's probe on other versions of the test tracks, which stand behind all clean tracks.

    Raises:
        InputError: the probe is not the stored one.
    """
    spec, data, tests = cell.spec, cell.data, len(cell.rows)
    subset = stored(place.store.home, spec.labels.subset) if spec.labels.subset else []
    labels = labelled(data, spec, subset)
    path = folder / "segments.npy"
    everything = _behind(open_embeddings(cell.folders["embed"]), versions, path)
    behind = len(everything.tracks) - len(data.tracks)
    targets = np.concatenate(
        [labels.targets, np.zeros((behind, *labels.targets.shape[1:]), labels.targets.dtype)]
    )
    test = np.concatenate([cell.rows, np.arange(behind) + len(data.tracks)])
    with progress(f"{spec.probe.kind} probe of {spec.method.name}", "steps") as report:
        ((_, made),) = fit_all(
            everything, targets, data.kind, len(data.tags), data.rows("valid"), test,
            [Subset(labels.rows, spec.probe_seed)], spec.probe, str(cell.device), report,
        )  # fmt: skip
    path.unlink()
    for aggregation, stored_logits in read_logits(cell.folders["probe"]).items():
        difference = float(np.abs(made.logits[aggregation][:tests] - stored_logits).max())
        if not difference <= _DIFFERENCE:
            raise InputError(
                f"the probe, fitted again, gives other logits than the stored ones (by {difference:.2g}): other code, "
                "libraries or hardware; `bench run` scores the cell anew"
            )
    starts = range(tests, tests * (1 + len(versions)), tests)
    return [
        {name: made.logits[name][start : start + tests] for name in AGGREGATIONS}
        for start in starts
    ]


def _behind(clean: Embeddings, versions: Sequence[Embeddings], path: Path) -> Embeddings:
    """The tracks of all versions behind the clean ones.

    The segments of a large data set do not fit into memory.
    """
    parts = [clean, *versions]
    sizes = [len(one.segments) for one in parts]
    shape = (sum(sizes), clean.segments.shape[1])
    segments = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    first = [np.zeros(1, np.int64)]
    for one, end in zip(parts, np.cumsum(sizes), strict=True):
        segments[end - len(one.segments) : end] = one.segments
        first.append(np.asarray(one.first[1:]) + end - len(one.segments))
    return Embeddings(
        segments, np.concatenate(first), np.concatenate([one.tracks for one in parts])
    )


def _result(
    old: Result, key: str, degradation: Degradation | None, changes: dict[str, Any]
) -> Result:
    """The cell's result on other audio.

    What is the same as the cell's own and large is left to that.
    """
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
            "code": results.code_version(),
            "versions": {**old.versions, **results.library_versions()},
            "created": results.now(),
            **changes,
        }
    )
