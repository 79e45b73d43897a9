"""The pretrain stage: trains a method, or restores or fills its encoder, and stores the frozen encoder."""

from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import nn

from bench.core.errors import InputError
from bench.core.progress import Report, progress, silent
from bench.core.randomness import seed_for
from bench.core.store import Store, read_json, write_atomically, write_json
from bench.data.prepared import Prepared
from bench.data.views import ViewSampler
from bench.encoders import Encoder
from bench.method import Method
from bench.settings.augmentations import AugmentSpec
from bench.settings.specs import RunSpec
from bench.stages.embed.segments import embed
from bench.stages.parts import Labelled, Parts, device_name, frontend_of
from bench.stages.pretrain.batches import Batches
from bench.stages.pretrain.loop import History, train, warning
from bench.stages.pretrain.processes import ALONE, Processes
from bench.stages.pretrain.schedule import budget
from bench.statistics.metrics import mean_average_precision, one_vs_rest

_LOOKED_AT = 256  # views on which collapse is measured


def pretrain(
    parts: Parts, spec: RunSpec, audio: Prepared, rows: NDArray[np.int64], labels: Labelled | None,
    device: torch.device, folder: Path, start: Path | None = None, processes: Processes = ALONE,
) -> None:  # fmt: skip
    """Trains a method.

    Stores the frozen encoder (`weights.safetensors`) and what a reader asks of it (`run.json`). Of
    several processes, process 0 stores, and the others take part in the training alone.

    Args:
        parts: the plug-ins.
        spec: the cell.
        audio: the data set that is pretrained on.
        rows: its tracks that are pretrained on.
        labels: for methods that use labels; they train on the labelled tracks of `audio` alone.
        device: where to train.
        folder: of the product; holds the checkpoint of an earlier attempt.
        start: weights that the encoder starts from; None for those that the seed draws.
        processes: that train together.
    """
    multi_label = audio.kind == "tags"
    rows = labels.rows if labels else rows
    steps = budget(spec.train, len(rows)) if parts.traits.trains else 0
    spec = spec.model_copy(
        update={"train": spec.train.model_copy(update={"steps": max(1, steps), "epochs": 0.0})}
    )
    method = parts.build(spec, len(audio.tags) if labels else 0, multi_label, start)
    if parts.traits.restores and start is None:
        assert isinstance(method.encoder, Encoder)
        method.encoder.restore()
    method = method.to(device)
    notes: list[str] = []
    history = History()
    if parts.traits.trains:
        title = f"pretrain {spec.method.name}" + (
            f" on {len(rows)} labelled tracks" if labels else ""
        )
        history, notes = train_method(
            parts, spec, audio, rows, labels, method, device, folder, title, processes
        )
    if not processes.first:
        return
    kept = {
        name: value
        for name, value in method.state_dict().items()
        if name.startswith(("encoder.", "classifier."))
    }
    content = safetensors.torch.save(
        {name: value.cpu().contiguous() for name, value in kept.items()}
    )
    write_atomically(folder / "weights.safetensors", content)
    run = {
        "seconds": history.seconds,
        "curve": history.curve,
        "diagnostics": history.diagnostics,
        "best": history.best,
        "warning": warning(history) if not labels else None,
        "steps": steps,
        "views": steps * batch_size(spec, len(rows), labels is not None) * parts.traits.views,
        "parameters": sum(parameter.numel() for parameter in method.encoder.parameters()),
        "device": (f"{processes.size} x " if processes.size > 1 else "") + device_name(device),
        "threads": torch.get_num_threads(),
        "notes": notes,
    }
    write_json(folder / "run.json", run)


def batch_size(spec: RunSpec, tracks: int, labelled: bool) -> int:
    """Tracks a step, of all processes: no track stands twice in a batch, but for those of a small labelled subset."""
    return spec.train.batch_size if labelled else min(spec.train.batch_size, tracks)


def train_method(
    parts: Parts, spec: RunSpec, audio: Prepared, rows: NDArray[np.int64], labels: Labelled | None,
    method: Method, device: torch.device, folder: Path, title: str, processes: Processes = ALONE,
) -> tuple[History, list[str]]:  # fmt: skip
    """Trains a method in place, from the checkpoint in `folder` if one is there.

    Args:
        parts: the plug-ins of the method that is trained.
        spec: the cell: views, optimisation, budget and seed.
        audio: the data set.
        rows: its tracks that are trained on.
        labels: of these tracks, for methods that use labels; they stop by the valid split.
        method: on its device.
        device: where to train.
        folder: holds the checkpoint.
        title: of the progress bar.
        processes: that train together.

    Returns:
        The run's history, and what had to be done otherwise than asked.
    """
    seconds = parts.encoder_settings.seconds
    notes = []
    size = batch_size(spec, len(rows), labels is not None)
    if size < spec.train.batch_size:
        notes.append(
            f"batch of {spec.train.batch_size} cut to {size}: there are no more tracks to pretrain on"
        )
    sampler = ViewSampler(
        audio.audio, rows, seconds, parts.traits.views, size, spec.views, spec.seed
    )
    if sampler.tight:
        apart = f"two segments {spec.views.min_gap_seconds:g} s apart"
        notes.append(
            f"{sampler.tight} of {len(rows)} tracks are too short for {apart}: taken as far apart as they go"
        )
    frontend = frontend_of(method).to(device)
    targets = None
    if labels:
        targets = (
            labels.targets.astype(np.float32)
            if audio.kind == "tags"
            else labels.targets.astype(np.int64)
        )
    batches = Batches(sampler, frontend, spec.augment, spec.seed, device, targets, processes)
    looked_at = ViewSampler(
        audio.audio,
        rows,
        seconds,
        1,
        min(_LOOKED_AT, len(rows)),
        spec.views,
        seed_for(spec.seed, "looked at"),
    )
    probe_inputs = Batches(looked_at, frontend, AugmentSpec(), spec.seed, device)
    inputs = probe_inputs(0).views[0]
    probe_inputs.close()

    def validate(trained: nn.Module) -> float:
        valid = audio.rows("valid")
        assert isinstance(trained, Method)
        assert labels is not None
        embedded = embed(trained.encoder, frontend, audio.audio, valid, seconds, spec.embed, device)
        return _valid_map(
            classify(trained, embedded.tracks, device), labels.targets[valid], audio.kind
        )

    with closing(batches), _shown(title, processes) as report:
        judge = validate if labels else None
        history = train(
            method, batches, inputs, spec.train, spec.seed, folder, report, judge, processes
        )
    return history, notes


def _shown(title: str, processes: Processes) -> AbstractContextManager[Report]:
    """The progress of a training, which process 0 shows."""
    return progress(title, "steps") if processes.first else nullcontext(silent())


def _valid_map(logits: NDArray[np.float32], targets: NDArray[Any], kind: str) -> float:
    """Macro average precision over the tags that the valid split has."""
    scores, truth = torch.from_numpy(logits), torch.from_numpy(targets)
    if kind == "classes":
        scores, truth = (
            one_vs_rest(scores),
            torch.nn.functional.one_hot(truth, logits.shape[1]).bool(),
        )
    return float(mean_average_precision(scores, truth))


@torch.no_grad()
def classify(
    method: Method, embedded: NDArray[np.float32], device: torch.device
) -> NDArray[np.float32]:
    """Logits (tracks, outputs) of a method's own classifier on track embeddings (tracks, width)."""
    assert method.classifier is not None
    logits = method.classifier.float()(torch.from_numpy(embedded).to(device))
    return np.asarray(logits.cpu().numpy(), np.float32)


def pretraining_rows(audio: Prepared, spec: RunSpec, store: Store) -> NDArray[np.int64]:
    """The tracks that are pretrained on: of the splits asked for, without those of an exclusion list."""
    rows = audio.rows(spec.views.splits)
    if not spec.views.exclude:
        return rows
    path = store.home / "exclusions" / f"{spec.views.exclude}.json"
    if not path.is_file():
        raise InputError(
            f"views.exclude {spec.views.exclude} is not known here: give --exclude FILE"
        )
    content = read_json(path)
    if content["tracks_hash"] != audio.facts["tracks_hash"]:
        raise InputError(
            f"--exclude: made for another data set than {spec.pretrain_dataset.name}: `bench data leaks`"
        )
    excluded = content["track_ids"]
    return rows[~audio.tracks["track_id"].iloc[rows].isin(excluded).to_numpy()]


def weights_path(home: Path, name: str) -> Path:
    """Where imported weights lie, by their hash.

    Raises:
        InputError: they are not there.
    """
    path = home / "weights" / f"{name}.safetensors"
    if not path.is_file():
        raise InputError(f"weights {name} are not in {path.parent}: give --weights FILE")
    return path
