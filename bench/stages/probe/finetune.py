"""Fine-tuning: the pretrained encoder and a linear classifier are trained on the labelled tracks.

The learning rate is chosen on the valid split. Other probes never come here, and their keys leave
this file out (see `bench.stages.keys`).
"""

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.core import registry
from bench.core.errors import InputError
from bench.core.progress import say
from bench.method import Method
from bench.settings.specs import FinetuneSpec, RunSpec, TrainSpec
from bench.settings.traits import traits
from bench.stages import words
from bench.stages.embed.segments import embed
from bench.stages.parts import Cell, Parts, frontend_of
from bench.stages.pretrain.stage import train_method
from bench.stages.probe.classifier import classified
from bench.stages.probe.logits import Probed

_STATES = "learning_rate"
"""Begins the names of the folders with checkpoints, of which each learning rate has one."""


def finetune(cell: Cell, pretrained: Path, device: torch.device, folder: Path) -> Probed:
    """Trains the encoder on, once for each learning rate of the grid, and scores the best.

    Args:
        cell: the cell.
        pretrained: folder of the pretrained encoder.
        device: where to train.
        folder: of the product; holds the checkpoints of an earlier attempt.

    Raises:
        InputError: training diverged at every learning rate.
    """
    started = time.monotonic()
    supervised = _supervised(cell.parts)
    best: tuple[float, dict[str, Any], Method] | None = None
    sweep = []
    for number, rate in enumerate(cell.spec.finetune.learning_rates):
        checkpoints = folder / f"{_STATES}_{number}"
        row, method = _at_rate(cell, supervised, rate, pretrained, device, checkpoints)
        sweep.append(row)
        if method is not None and (best is None or row["valid_map"] > best[0]):
            best = row["valid_map"], row, method
    if best is None:
        raise InputError(
            "fine-tuning diverged at every learning rate: give lower --finetune.learning_rates"
        )
    _, chosen, method = best
    seconds, test = cell.parts.encoder_settings.seconds, cell.data.rows("test")
    frontend = frontend_of(method).to(device)
    encoder, audio = method.eval().encoder, cell.data.audio
    embedded = embed(encoder, frontend, audio, test, seconds, cell.spec.embed, device)
    logits = classified(method, cell.data, embedded, np.arange(len(test)), device)
    return Probed(logits, "finetune", chosen, sweep, time.monotonic() - started)


def remove_checkpoints(folder: Path) -> None:
    """Removes the checkpoints once the logits are written: before, a kill would cost the tuning."""
    for checkpoints in folder.glob(f"{_STATES}_*"):
        shutil.rmtree(checkpoints)


def _supervised(parts: Parts) -> Parts:
    """The method that learns from labels, on the cell's encoder."""
    module = registry.load("methods", "supervised")
    settings, about = module.Settings(), traits("supervised")
    return replace(parts, method=module, method_settings=settings, traits=about)


def _at_rate(
    cell: Cell, supervised: Parts, rate: float, pretrained: Path, device: torch.device, folder: Path
) -> tuple[dict[str, Any], Method | None]:
    """Trains at one learning rate; returns its row of the grid, and the method if it converged."""
    spec, data, labels = _continued(cell.spec, cell.spec.finetune, rate), cell.data, cell.labels
    method = supervised.build(spec, len(data.tags), data.kind == "tags").to(device)
    method.encoder.load_state_dict(cell.load(pretrained, device).encoder.state_dict())
    folder.mkdir(exist_ok=True)
    title = words.finetune_title(rate)
    try:
        history, _ = train_method(
            supervised, spec, data, labels.rows, labels, method, device, folder, title
        )
    except InputError as error:
        # It diverged: as in the grids of the other probes, another learning rate may not.
        say(f"{title}: left out: {error}")
        return {"learning_rate": rate, "step": 0, "valid_map": -1.0}, None
    if "valid_map" not in history.best:
        raise InputError(
            f"fine-tuning at learning rate {rate:g} never had a score on the valid split"
        )
    best = history.best
    row = {"learning_rate": rate, "step": int(best["step"]), "valid_map": best["valid_map"]}
    return row, method


def _continued(spec: RunSpec, tuning: FinetuneSpec, learning_rate: float) -> RunSpec:
    """The cell with the budget of fine-tuning, and the probe's seed, in place of pretraining's."""
    shared = tuning.model_dump(exclude={"learning_rates"})
    names = ("betas", "clip_norm", "precision", "checkpoint_seconds")
    kept = {name: getattr(spec.train, name) for name in names}
    train = TrainSpec(**kept, **shared, learning_rate=learning_rate)
    return spec.model_copy(update={"train": train, "seed": spec.probe_seed})
