"""One cell from first to last: names become objects here, and only objects go down."""

import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from bench import plan, registry, results, stages
from bench.config import PlugIn, RunSpec, Spec
from bench.data import tracks_csv
from bench.data.manifest import Manifest
from bench.data.prepare import Prepared, open_prepared, prepare
from bench.errors import InputError, unknown
from bench.probe.score import Scores, score
from bench.progress import progress, say
from bench.store import Store, read_json, write_atomically, write_json

Validated = TypeVar("Validated", bound=Spec)


@dataclass(frozen=True)
class Place:
    """Where a cell is computed and where its products go.

    Attributes:
        store: home.
        results: results folder.
        device: "auto", "cpu" or "cuda".
    """

    store: Store
    results: Path
    device: str = "auto"


def check(spec: RunSpec) -> stages.Parts:
    """Loads the plug-ins of a cell and checks their settings, before any work is done.

    Raises:
        InputError: an unknown setting or a value out of range.
    """
    method, encoder = registry.load("methods", spec.method.name), registry.load("encoders", spec.encoder.name)
    for section, dataset in (("dataset", spec.dataset), ("pretrain_dataset", spec.pretrain_dataset)):
        _dataset_settings(dataset, section)
    return stages.Parts(
        method,
        _validated(method.Settings, spec.method, "method"),
        encoder,
        _validated(encoder.Settings, spec.encoder, "encoder"),
        plan.traits(spec.method.name),
    )


def run(spec: RunSpec, place: Place) -> results.Result:
    """Computes one cell, or finds it; every product on the way is stored and taken up again.

    Args:
        spec: the cell.
        place: where to compute and to store.

    Raises:
        InputError: something in the spec or in the data cannot be used.
    """
    parts = check(spec)
    data = _prepared(spec.dataset, spec.encoder, place.store, "dataset")
    same = spec.pretrain_dataset == spec.dataset or not parts.traits.trains
    audio = data if same else _prepared(spec.pretrain_dataset, spec.encoder, place.store, "pretrain_dataset")
    keys = plan.Keys(spec, place.store)
    found = results.find(place.results, spec, keys.cell)
    if found:
        return found
    device = _device(place.device)
    _require_scorable(data)
    rows = audio.rows(spec.views.splits)
    if parts.traits.trains and len(rows) < 2:
        raise InputError(f"{spec.pretrain_dataset.name}: {len(rows)} tracks to pretrain on; at least 2 are needed")
    leaked = _leaked(data, audio, rows) if parts.traits.trains and not parts.traits.uses_labels else 0
    if leaked:
        where = f"valid or test tracks of {spec.dataset.name}"
        say(f"{spec.pretrain_dataset.name}: {leaked} of the tracks pretrained on are {where}")
    labels = stages.labelled(data, spec)
    short = int((data.audio.frames < round(parts.encoder_settings.seconds * data.audio.sample_rate)).sum())
    folders = {"prepare": place.store.folder("prepared", keys.prepare)}
    folders |= _products(parts, spec, place.store, keys, data, audio, labels, device)
    logits = np.load(folders["probe"] / "logits.npy")
    test = data.rows("test")
    scores = score(logits, labels.targets[test], data.kind, spec.score, f"test tracks of {data.facts['tracks_hash']}")
    runs = {stage: read_json(folder / "run.json") for stage, folder in folders.items()}
    counted = {"short_tracks": short, "leaked_tracks": leaked}
    result = _result(parts, spec, keys, data, audio, labels, scores, runs, counted)
    results.write(place.results, result, {name: metric.resampled for name, metric in scores.metrics.items()})
    return result


def _products(
    parts: stages.Parts, spec: RunSpec, store: Store, keys: plan.Keys, data: Prepared, audio: Prepared,
    labels: stages.Labelled, device: torch.device,
) -> dict[str, Path]:  # fmt: skip
    """Makes, or finds, what pretrain, embed and probe leave; returns their folders."""
    own = parts.traits.uses_labels
    multi_label, outputs = data.kind == "tags", len(data.tags)
    pretrained = store.produce(
        "pretrained",
        keys.pretrain,
        lambda folder: stages.pretrain(parts, spec, audio, labels if own else None, device, folder),
    )
    (pretrained / "state.pt").unlink(missing_ok=True)  # not before: a kill would have cost the whole training
    run = read_json(pretrained / "run.json")
    stages.tell([*run["notes"], *([run["warning"]] if run["warning"] else [])], f"pretrain {spec.method.name}")

    def load() -> Any:
        return stages.load(parts, spec, outputs, multi_label, pretrained, device)

    embedded = store.produce(
        "embedded", keys.embed, lambda folder: stages.embed_all(parts, spec, load(), data, device, folder)
    )
    vectors = np.load(embedded / "embeddings.npy", mmap_mode="r")
    probed = store.produce(
        "probed",
        keys.probe,
        lambda folder: stages.probe(
            parts, spec, data, labels, np.asarray(vectors), load() if own else None, device, folder
        ),
    )
    return {"pretrain": pretrained, "embed": embedded, "probe": probed}


def _prepared(dataset: PlugIn, encoder: PlugIn, store: Store, section: str) -> Prepared:
    """The data set's PCM store, made if it is not there."""
    key = plan.prepare_key(dataset, encoder)

    def make(folder: Path) -> None:
        manifest, root = _manifest(dataset, store, section)
        with progress(f"prepare {results.dataset_name(dataset.name)}", "tracks") as report:
            prepare(manifest, root, plan.sample_rate(encoder), folder, report)

    fresh = not store.has("prepared", key)
    folder = store.produce("prepared", key, make)
    prepared = open_prepared(folder)
    if fresh:
        _tell_prepared(prepared, dataset, folder)
    return prepared


def _tell_prepared(prepared: Prepared, dataset: PlugIn, folder: Path) -> None:
    """Says what was left out or changed, by number and by name."""
    facts = prepared.facts
    counts = ", ".join(f"{number} {split}" for split, number in facts["tracks"].items())
    about = f"{len(facts['tags'])} {facts['kind']}, split {facts['split_name']}"
    say(f"{dataset.name}: {len(prepared.tracks)} tracks ({counts}), {about}")
    for note in facts["notes"]:
        say(f"{dataset.name}: {note}")
    left_out = facts["left_out"]
    if left_out:
        some = "; ".join(left_out[:5]) + (f"; and {len(left_out) - 5} more" if len(left_out) > 5 else "")
        say(f"{dataset.name}: {len(left_out)} files left out, all in {folder / 'report.csv'}: {some}")
    if facts["lowered"]:
        say(f"{dataset.name}: {facts['lowered']} files lowered in level so that no sample clips")


def _require_scorable(data: Prepared) -> None:
    """Refuses a data set that could not be scored, before anything is trained for it.

    Raises:
        InputError: no labelled valid track, or no tag that some test tracks have and others have not.
    """
    valid, test = data.labels[data.rows("valid")], data.labels[data.rows("test")]
    name = f"split {data.facts['split_name']}"
    if not valid.any():
        raise InputError(f"{name}: no tag has a positive among the {len(valid)} valid tracks: no probe can be chosen")
    if not (test.any(axis=0) & ~test.all(axis=0)).any():
        raise InputError(f"{name}: no tag has a positive and a negative among the {len(test)} test tracks")


def _leaked(data: Prepared, audio: Prepared, rows: NDArray[np.int64]) -> int:
    """How many of the tracks pretrained on are, sample for sample, valid or test tracks of the probed data set."""
    held_out = data.tracks["audio_hash"][data.tracks["split"] != "train"]
    return int(audio.tracks["audio_hash"].iloc[rows].isin(held_out).sum())


def _manifest(dataset: PlugIn, store: Store, section: str) -> tuple[Manifest, Path]:
    """The data set's manifest, and what its paths are relative to."""
    settings = _dataset_settings(dataset, section)
    if tracks_csv.is_csv(dataset.name):
        assert isinstance(settings, tracks_csv.CsvSettings)
        path = Path(dataset.name)
        return tracks_csv.manifest(path, settings), path.parent
    module = registry.load("datasets", dataset.name)

    def make(folder: Path) -> None:
        with progress(f"make {dataset.name}", "tracks") as report:
            made: Manifest = module.manifest(folder, settings, report)
        buffer = BytesIO()
        made.tracks.to_parquet(buffer, index=False)
        write_atomically(folder / "tracks.parquet", buffer.getvalue())
        write_json(
            folder / "manifest.json",
            {"tags": made.tags, "kind": made.kind, "split_name": made.split_name, "notes": made.notes},
        )

    root = store.produce("datasets", plan.dataset_identity(dataset), make)
    facts = read_json(root / "manifest.json")
    tracks = pd.read_parquet(root / "tracks.parquet")
    tracks["tags"] = [list(tags) for tags in tracks["tags"]]
    return Manifest(tracks, tuple(facts["tags"]), facts["kind"], facts["split_name"], tuple(facts["notes"])), root


def _dataset_settings(dataset: PlugIn, section: str) -> Spec:
    if tracks_csv.is_csv(dataset.name):
        return _validated(tracks_csv.CsvSettings, dataset, section)
    checked: Spec = _validated(registry.load("datasets", dataset.name).Settings, dataset, section)
    return checked


def _validated(settings: type[Validated], plug_in: PlugIn, section: str) -> Validated:
    for name in plug_in.settings:
        if name not in settings.model_fields:
            raise unknown(
                f"setting of {plug_in.name}",
                f"{section}.{name}",
                [f"{section}.{known}" for known in settings.model_fields],
            )
    try:
        return settings.model_validate(plug_in.settings)
    except ValidationError as error:
        raise plan.setting_error(error, prefix=f"{section}.") from error


def _device(name: str) -> torch.device:
    device = stages.pick_device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "--device cuda: torch finds no GPU here; `bench doctor` says more, --device cpu runs without one"
        )
    return device


def _result(
    parts: stages.Parts, spec: RunSpec, keys: plan.Keys, data: Prepared, audio: Prepared,
    labels: stages.Labelled, scores: Scores, runs: dict[str, Any], counted: dict[str, int],
) -> results.Result:  # fmt: skip
    probe = runs["probe"]
    run = runs["pretrain"]
    test = data.rows("test")
    return results.Result(
        cell=keys.cell,
        spec=spec,
        settings={
            "method": parts.method_settings.model_dump(mode="json"),
            "encoder": parts.encoder_settings.model_dump(mode="json"),
            "dataset": _dataset_settings(spec.dataset, "dataset").model_dump(mode="json"),
            "pretrain_dataset": _dataset_settings(spec.pretrain_dataset, "pretrain_dataset").model_dump(mode="json"),
        },
        protocol={
            "split": data.facts["split_name"],
            "probe": probe["kind"],
            "aggregation": f"mean embedding of non-overlapping {parts.encoder_settings.seconds:g} s segments",
            "chosen_on": "valid split, macro average precision",
            "interval": f"basic bootstrap, {spec.score.resamples} resamples of tracks, {spec.score.confidence:.0%}",
            "steps": spec.train.steps if parts.traits.trains else 0,
            "pretrained_on": "labelled tracks" if parts.traits.uses_labels else spec.views.splits,
        },
        data={
            "hash": data.facts["data_hash"],
            "tracks_hash": data.facts["tracks_hash"],
            "pretrain_hash": audio.facts["data_hash"],
            "kind": data.kind,
            "split": data.facts["split_name"],
            "tags": list(data.tags),
            "left_out": data.facts["left_out"],
            "notes": data.facts["notes"],
            **{f"{split}_tracks": number for split, number in data.facts["tracks"].items()},
        },
        counts={
            "test_tracks": scores.tracks,
            "scored_tags": int(scores.valid.sum()),
            "all_tags": len(data.tags),
            "labelled_tracks": len(labels.rows),
            "tags_without_labelled_positive": labels.without_positive,
            **counted,
        },
        metrics={
            name: results.Metric(value=metric.value, low=_number(metric.low), high=_number(metric.high))
            for name, metric in scores.metrics.items()
        },
        per_tag={
            **{name: [_number(value) for value in values] for name, values in scores.per_tag.items()},
            "test_positives": [float(number) for number in data.labels[test].sum(axis=0)],
        },
        training={
            name: run[name] for name in ("curve", "diagnostics", "best", "warning", "parameters", "threads", "notes")
        },
        probe={"chosen": probe["chosen"], "sweep": probe["sweep"]},
        seconds={stage: float(found["seconds"]) for stage, found in runs.items()},
        code=results.code_version(),
        versions={"python": platform.python_version(), **results.library_versions()},
        device=run["device"],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
