"""The pretrain stage: a method trains an encoder, or restores one, and the encoder is kept.

Product: `weights.safetensors` (the frozen encoder, and the classifier of a method that learns one)
and `run.json` (the training curve, diagnostics and what a reader asks of the training).
"""

import hashlib
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

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
from bench.stages import words
from bench.stages.parts import Cell, Labelled, Parts, frontend_of
from bench.stages.pretrain.batches import Batches
from bench.stages.pretrain.loop import History, train, warning
from bench.stages.pretrain.processes import ALONE, Processes
from bench.stages.pretrain.schedule import budget
from bench.stages.pretrain.validation import valid_score

_INSPECTED = 256  # views on which the signs of collapse are measured


def pretrain(
    cell: Cell, device: torch.device, folder: Path, store: Store, processes: Processes = ALONE
) -> None:
    """Trains the method of a cell, and stores the frozen encoder.

    Of several processes, process 0 stores, and the others take part in the training alone.

    Args:
        cell: the cell.
        device: where to train.
        folder: of the product; holds the checkpoint of an earlier attempt.
        store: home, which holds imported weights.
        processes: that train together.
    """
    parts, audio = cell.parts, cell.audio
    labels = cell.labels if parts.traits.uses_labels else None
    rows = labels.rows if labels else cell.rows
    steps = budget(cell.spec.train, len(rows)) if parts.traits.trains else 0
    counted = {"steps": max(1, steps), "epochs": 0.0}
    spec = cell.spec.model_copy(update={"train": cell.spec.train.model_copy(update=counted)})
    start = weights_path(store.home, spec.weights) if spec.weights else None
    outputs = len(audio.tags) if labels else 0
    method = parts.build(spec, outputs, audio.kind == "tags", start)
    if parts.traits.restores and start is None:
        assert isinstance(method.encoder, Encoder)
        method.encoder.restore()
    method = method.to(device)
    notes: list[str] = []
    history = History()
    if parts.traits.trains:
        title = words.pretrain_title(spec.method.name, len(rows) if labels else None)
        history, notes = train_method(
            parts, spec, audio, rows, labels, method, device, folder, title, processes
        )
    if not processes.first:
        return
    write_atomically(folder / "weights.safetensors", safetensors.torch.save(_kept(method)))
    write_json(
        folder / "run.json",
        {
            "seconds": history.seconds,
            "curve": history.curve,
            "diagnostics": history.diagnostics,
            "best": history.best,
            "warning": warning(history) if not labels else None,
            "steps": steps,
            "views": steps * batch_size(spec, len(rows), labels is not None) * parts.traits.views,
            "parameters": sum(parameter.numel() for parameter in method.encoder.parameters()),
            "device": words.device_name(device, processes.size),
            "threads": torch.get_num_threads(),
            "notes": notes,
        },
    )


def _kept(method: Method) -> dict[str, Tensor]:
    """The tensors of a method that later stages use: those of the encoder and the classifier."""
    return {
        name: value.cpu().contiguous()
        for name, value in method.state_dict().items()
        if name.startswith(("encoder.", "classifier."))
    }


def batch_size(spec: RunSpec, tracks: int, labelled: bool) -> int:
    """Tracks a step, of all processes together.

    No track stands twice in a batch, but for those of a small labelled subset.

    Args:
        spec: the cell.
        tracks: how many there are to train on.
        labelled: whether they are a labelled subset.
    """
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
        The history of the training, and notes on what had to be done otherwise than asked.
    """
    seconds = parts.encoder_settings.seconds
    notes = []
    size = batch_size(spec, len(rows), labels is not None)
    if size < spec.train.batch_size:
        notes.append(words.batch_cut(spec.train.batch_size, size))
    sampler = ViewSampler(
        audio.audio, rows, seconds, parts.traits.views, size, spec.views, spec.seed
    )
    if sampler.tight:
        notes.append(words.too_short(sampler.tight, len(rows), spec.views.min_gap_seconds))
    frontend = frontend_of(method).to(device)
    targets = _targets(labels, audio.kind) if labels else None
    batches = Batches(sampler, frontend, spec.augment, spec.seed, device, targets, processes)
    inspected = _inspected(audio, rows, seconds, spec, frontend, device)
    judge = valid_score(audio, labels, frontend, seconds, spec.embed, device) if labels else None
    with closing(batches), _shown(title, processes) as report:
        history = train(
            method, batches, inspected, spec.train, spec.seed, folder, report, judge, processes
        )
    return history, notes


def _targets(labels: Labelled, kind: str) -> NDArray[Any]:
    """What losses take: (tracks, tags) float32 for tags, (tracks,) int64 for classes."""
    return labels.targets.astype(np.float32 if kind == "tags" else np.int64)


def _inspected(
    audio: Prepared, rows: NDArray[np.int64], seconds: float, spec: RunSpec, frontend: nn.Module,
    device: torch.device,
) -> Tensor:  # fmt: skip
    """The inputs of the encoder on which the signs of collapse are measured: views as they are cut.

    They are the same throughout a training, and no augmentation changes them.
    """
    number, seed = min(_INSPECTED, len(rows)), seed_for(spec.seed, "looked at")
    sampler = ViewSampler(audio.audio, rows, seconds, 1, number, spec.views, seed)
    with closing(Batches(sampler, frontend, AugmentSpec(), spec.seed, device)) as batches:
        return batches(0).views[0]


def _shown(title: str, processes: Processes) -> AbstractContextManager[Report]:
    """The progress of a training, which process 0 shows."""
    return progress(title, "steps") if processes.first else nullcontext(silent())


def pretraining_rows(audio: Prepared, spec: RunSpec, store: Store) -> NDArray[np.int64]:
    """The tracks that are pretrained on: of the splits asked for, less those of an exclusion list.

    Args:
        audio: the data set.
        spec: the cell.
        store: home, which holds exclusion lists.

    Raises:
        InputError: the exclusion list is not known, or is one for another data set.
    """
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
        name = spec.pretrain_dataset.name
        raise InputError(f"--exclude: made for another data set than {name}: `bench data leaks`")
    excluded = content["track_ids"]
    return rows[~audio.tracks["track_id"].iloc[rows].isin(excluded).to_numpy()]


def weights_path(home: Path, name: str) -> Path:
    """Where imported weights lie, by the first 16 digits of the SHA-256 of their file.

    Raises:
        InputError: they are not there, or are not the weights of that name.
    """
    path = home / "weights" / f"{name}.safetensors"
    if not path.is_file():
        raise InputError(f"weights {name} are not in {path.parent}: give --weights FILE")
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()[: len(name)]
    if found != name:
        raise InputError(f"{path} is damaged: remove it, and give --weights FILE again")
    return path
