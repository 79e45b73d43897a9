"""The batches that a probe is trained on: which tracks each step sees, and the mask of dropout.

All of it follows from the seed of a labelled subset and the number of the step, so every point of a
grid reads the same batches, alone or beside others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.core.randomness import generator
from bench.settings.specs import ProbeSpec
from bench.stages.probe.inputs import Pieces, Rows

Drawn = tuple[NDArray[np.int64], NDArray[np.int64]]
"""The tracks of a batch and, for each, the row of the inputs that stands for it in this step."""


@dataclass(frozen=True)
class Labelled:
    """One labelled subset, as the training of a probe reads it.

    Attributes:
        seed: decides the starting weights, the order of tracks, the segments and the dropout.
        train: standardised inputs of the labelled tracks; where a track has several rows, its
            segments, each step takes one of them at random.
        targets: (outputs, tracks) float32, one-hot for classes.
        valid: inputs of the valid split, standardised as the training inputs are.
    """

    seed: int
    train: Rows
    targets: Tensor
    valid: Pieces


def draw_batches(subset: Labelled, spec: ProbeSpec) -> Iterator[Drawn]:
    """Yields the batch of every step of a training.

    The tracks are consecutive parts of one random permutation after another. All batches have the
    same size, so one may hold the end of a permutation and the beginning of the next.

    Args:
        subset: the labelled tracks, and the seed.
        spec: the number of steps, and the size of a batch where there are tracks enough.
    """
    first = subset.train.first
    tracks, counts = len(first) - 1, np.diff(first)
    size, several = min(spec.batch_size, tracks), bool((counts > 1).any())
    waiting, epoch = np.empty(0, dtype=np.int64), 0
    for step in range(1, spec.steps + 1):
        while len(waiting) < size:
            order = generator(subset.seed, "probe/batches", epoch).permutation(tracks)
            waiting, epoch = np.concatenate([waiting, order]), epoch + 1
        chosen, waiting = waiting[:size], waiting[size:]
        rows = first[chosen]
        if several:
            share = generator(subset.seed, "probe/segments", step).random(size)
            rows = rows + (share * counts[chosen]).astype(np.int64)
        yield chosen, rows


def gather(
    subsets: Sequence[Labelled], batches: Sequence[Drawn], into: Tensor
) -> tuple[Tensor, Tensor]:
    """Reads the batches of one step, one of each subset.

    Args:
        subsets: the labelled subsets.
        batches: what was drawn for each of them, all of the same size.
        into: (at least as many subsets, batch, width) memory that is used again in every step.

    Returns:
        Inputs (subsets, batch, width), a view of `into`, and targets (subsets, 1, outputs, batch).
    """
    for place, (subset, (_, rows)) in enumerate(zip(subsets, batches, strict=True)):
        subset.train.take(rows, into[place])
    targets = [
        subset.targets.index_select(1, torch.from_numpy(tracks).to(subset.targets.device))
        for subset, (tracks, _) in zip(subsets, batches, strict=True)
    ]
    return into[: len(subsets)], stack(targets).unsqueeze(1)


def dropout_mask(
    seeds: Sequence[int], step: int, tracks: int, spec: ProbeSpec, device: torch.device
) -> Tensor | None:
    """Draws the mask of dropout (Srivastava et al., JMLR 15, 2014), the same for all points.

    Args:
        seeds: of the subsets.
        step: number of the step.
        tracks: size of the batch.
        spec: kind of probe, hidden units and share that is left out.
        device: where the mask goes.

    Returns:
        (subsets, 1, hidden, tracks) float32: 0 for a unit left out, 1 / (1 - dropout) for the
        others; None where the probe has no dropout.
    """
    if spec.kind != "mlp" or not spec.dropout:
        return None
    shape = (1, spec.hidden, tracks)
    drawn = [
        generator(seed, "probe/dropout", step).random(shape, dtype=np.float32) for seed in seeds
    ]
    kept = stack([torch.from_numpy(numbers) for numbers in drawn]).to(device) >= spec.dropout
    return kept.float().div_(1 - spec.dropout)


def stack(tensors: Sequence[Tensor]) -> Tensor:
    """Does what torch.stack does, without a copy where there is a single tensor."""
    return tensors[0].unsqueeze(0) if len(tensors) == 1 else torch.stack(list(tensors))
