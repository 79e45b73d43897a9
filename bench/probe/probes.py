"""Probes on frozen embeddings: the whole grid of learning rates and weight decays is trained as one program.

The weights of all grid points are stacked along a first axis and trained on the same batches, so a grid costs little
more than one probe. Losses of grid points are added, which leaves each point's gradient its own. The learning rate, the
weight decay and the step at which to stop are chosen by the macro average precision of the valid split.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bench.config import ProbeSpec
from bench.errors import InputError
from bench.probe.metrics import mean_average_precision, one_thread, one_vs_rest
from bench.randomness import generator, seed_for

Kind = Literal["tags", "classes"]
Weights = list[Tensor]
"""Matrix (points, inputs, outputs) and bias (points, 1, outputs) of each layer in turn."""

_ROWS = 8192
"""Tracks whose logits are computed at a time."""

_SMALL = 100_000_000
"""Products a step below which the grid is trained on one thread."""

_CHOSEN = ("learning_rate", "weight_decay", "step", "valid_map")


@dataclass(frozen=True)
class Fit:
    """A trained probe: the grid point and step that were best on the valid split.

    Attributes:
        mean: (width,) of the training inputs.
        deviation: (width,) standard deviation of the training inputs, 1 where they are constant.
        weights: of the chosen point, with a first axis of length 1.
        chosen: "learning_rate", "weight_decay", "step", "valid_map".
        sweep: one such row a grid point, in the order of the grid, with its own best step, and "last_valid_map".
        steps: (evaluations,) steps at which the valid split was looked at.
        curve: (evaluations, points) valid macro average precision.
    """

    mean: Tensor
    deviation: Tensor
    weights: Weights
    chosen: dict[str, float | int]
    sweep: list[dict[str, float | int]]
    steps: np.ndarray
    curve: np.ndarray

    def logits(self, inputs: np.ndarray) -> np.ndarray:
        """(tracks, outputs) float32 logits of (tracks, width) inputs."""
        raw = torch.tensor(inputs, dtype=torch.float32, device=self.mean.device)
        result: np.ndarray = _all_logits(self.weights, (raw - self.mean) / self.deviation)[0].cpu().numpy()
        return result


@dataclass(frozen=True)
class _Split:
    """Standardised inputs (tracks, width) and float targets (tracks, outputs), one-hot for classes."""

    inputs: Tensor
    targets: Tensor


class _AdamW:
    """AdamW (Loshchilov and Hutter, ICLR 2019, algorithm 2) with a learning rate and a weight decay a grid point.

    Equal to `torch.optim.AdamW` point by point; biases are not decayed.
    """

    def __init__(self, weights: Weights, rates: Tensor, decays: Tensor) -> None:
        """Takes the weights, and rates and decays of (points, 1, 1)."""
        self.weights, self.rates, self.decays = weights, rates, decays
        self.means = [torch.zeros_like(weight) for weight in weights]
        self.squares = [torch.zeros_like(weight) for weight in weights]
        self.betas, self.epsilon, self.count = (0.9, 0.999), 1e-8, 0

    def step(self, gradients: tuple[Tensor, ...]) -> None:
        """Updates the weights in place."""
        self.count += 1
        first, second = self.betas
        for index, (weight, gradient) in enumerate(zip(self.weights, gradients, strict=True)):
            mean, square = self.means[index].lerp_(gradient, 1 - first), self.squares[index]
            square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
            if index % 2 == 0:
                weight.mul_(1 - self.rates * self.decays)
            scale = (square / (1 - second**self.count)).sqrt_().add_(self.epsilon)
            weight.sub_(self.rates / (1 - first**self.count) * mean / scale)


def fit(
    train_inputs: np.ndarray,
    train_labels: np.ndarray,
    valid_inputs: np.ndarray,
    valid_labels: np.ndarray,
    kind: Kind,
    spec: ProbeSpec,
    seed: int,
    device: str,
    classes: int | None = None,
) -> Fit:
    """Trains the grid and keeps the best point at its best step; ties go to the earlier step, then to the first point.

    Args:
        train_inputs: (tracks, width) embeddings of the labelled training tracks.
        train_labels: (tracks, tags) bool for tags, (tracks,) int for classes.
        valid_inputs: (valid tracks, width).
        valid_labels: as `train_labels`.
        kind: "tags" trains by binary cross-entropy, averaged over tags; "classes" by cross-entropy.
        spec: kind of probe, grid and budget.
        seed: of the weights and the order of tracks.
        device: such as "cpu" or "cuda".
        classes: number of classes; the largest label plus one where not given, which misses classes seen in test only.

    Raises:
        InputError: where inputs are not finite, there is no training track, or the valid split has no positive at all.
    """
    outputs = _outputs(train_labels, valid_labels, kind, classes)
    _check(train_inputs, train_labels, "train")
    _check(valid_inputs, valid_labels, "valid")
    raw, raw_valid = (torch.tensor(x, dtype=torch.float32, device=device) for x in (train_inputs, valid_inputs))
    mean, deviation = _standardiser(raw)
    train = _Split((raw - mean) / deviation, _targets(train_labels, outputs, kind, device))
    valid = _Split((raw_valid - mean) / deviation, _targets(valid_labels, outputs, kind, device))
    grid = [(rate, decay) for rate in spec.learning_rates for decay in spec.weight_decays]
    with one_thread(needed=_products(spec, len(grid), raw.shape[1], outputs) < _SMALL):
        best, steps, curve = _train(train, valid, kind, spec, grid, seed)
    rows = _sweep(grid, steps, curve)
    point = int(curve.argmax()) % len(grid)  # argmax is the first of equals: the earliest step, then the first point
    weights = [weight[point : point + 1].clone() for weight in best]
    return Fit(mean, deviation, weights, {key: rows[point][key] for key in _CHOSEN}, rows, steps, curve)


def _sweep(grid: list[tuple[float, float]], steps: np.ndarray, curve: np.ndarray) -> list[dict[str, float | int]]:
    """One row a grid point, with its best step (the earliest of equals); curve (evaluations, points)."""
    rows: list[dict[str, float | int]] = []
    for point, (rate, decay) in enumerate(grid):
        top = int(curve[:, point].argmax())
        values = (rate, decay, int(steps[top]), float(curve[top, point]))
        rows.append(dict(zip(_CHOSEN, values, strict=True)) | {"last_valid_map": float(curve[-1, point])})
    return rows


def _train(
    train: _Split, valid: _Split, kind: Kind, spec: ProbeSpec, grid: list[tuple[float, float]], seed: int
) -> tuple[Weights, np.ndarray, np.ndarray]:
    """Best weights of each grid point, the steps of evaluation, and the valid scores (evaluations, points)."""
    device = train.inputs.device
    rates, decays = (torch.tensor(column, device=device).view(-1, 1, 1) for column in zip(*grid, strict=True))
    weights = _initial(spec, train, kind, len(grid), seed)
    optimiser = _AdamW(weights, rates, decays)
    best = [weight.clone() for weight in weights]
    top = torch.full((len(grid),), -torch.inf, dtype=torch.float64, device=device)
    steps, curve = [], []
    for step, rows in enumerate(_batches(len(train.inputs), spec, seed), start=1):
        chosen = torch.from_numpy(rows).to(device)
        with torch.enable_grad():
            leaves = [weight.requires_grad_() for weight in weights]
            loss = _loss(_forward(leaves, train.inputs[chosen]), train.targets[chosen], kind)
            gradients = torch.autograd.grad(loss, leaves)
        with torch.no_grad():
            optimiser.step(gradients)
            if step % spec.evaluate_every and step != spec.steps:
                continue
            scores = _valid_map(weights, valid, kind)
            better = scores > top
            top = torch.where(better, scores, top)
            best = [torch.where(better.view(-1, 1, 1), now, before) for now, before in zip(weights, best, strict=True)]
        steps.append(step)
        curve.append(scores.cpu().numpy())
    return best, np.array(steps), np.array(curve)


def _initial(spec: ProbeSpec, train: _Split, kind: Kind, points: int, seed: int) -> Weights:
    """Starting weights, the same for every grid point.

    The last layer starts at zero with the log-odds of the training labels as its bias, so that no step is spent on how
    frequent tags are, and a linear probe does not depend on a random start. The hidden layer of an MLP is drawn as
    torch.nn.Linear draws it and followed by ReLU, without batch normalisation (the MLP of CLMR; ISMIR 2021).
    """
    device, width, outputs = train.inputs.device, train.inputs.shape[1], train.targets.shape[1]
    layers: Weights = []
    if spec.kind == "mlp":
        random = torch.Generator().manual_seed(seed_for(seed, "probe/weights"))
        drawn = torch.empty(width + 1, spec.hidden).uniform_(-(width**-0.5), width**-0.5, generator=random).to(device)
        layers, width = [drawn[None, :-1], drawn[None, -1:]], spec.hidden
    share = (train.targets.sum(0) + 0.5) / (len(train.targets) + 1)
    bias = torch.logit(share) if kind == "tags" else torch.log(share)
    layers += [torch.zeros(1, width, outputs, device=device), bias[None, None]]
    return [layer.repeat(points, 1, 1) for layer in layers]


def _forward(weights: Weights, inputs: Tensor) -> Tensor:
    """(points, tracks, outputs) logits of (tracks, width) inputs."""
    hidden = inputs.expand(len(weights[0]), *inputs.shape)
    for index in range(0, len(weights), 2):
        if index:
            hidden = hidden.relu()
        hidden = torch.baddbmm(weights[index + 1], hidden, weights[index])
    return hidden


def _all_logits(weights: Weights, inputs: Tensor) -> Tensor:
    """(points, tracks, outputs) logits of any number of tracks, some at a time, so that hidden layers stay small."""
    starts = range(0, max(1, len(inputs)), _ROWS)
    return torch.cat([_forward(weights, inputs[start : start + _ROWS]) for start in starts], 1)


def _loss(logits: Tensor, targets: Tensor, kind: Kind) -> Tensor:
    """Sum over grid points of each point's mean loss; logits (points, tracks, outputs), targets (tracks, outputs)."""
    if kind == "tags":
        every = functional.binary_cross_entropy_with_logits(logits, targets.expand_as(logits), reduction="none")
        return every.mean((1, 2)).sum()
    return -(logits.log_softmax(-1) * targets).sum(-1).mean(1).sum()


def _valid_map(weights: Weights, valid: _Split, kind: Kind) -> Tensor:
    """(points,) macro average precision of the valid split; a point that diverged has -1, so it is never chosen."""
    logits = _all_logits(weights, valid.inputs)
    finite = logits.isfinite().all(-1).all(-1)
    scores = mean_average_precision(one_vs_rest(logits) if kind == "classes" else logits, valid.targets > 0)
    return torch.where(finite, scores, -1.0)


def _products(spec: ProbeSpec, points: int, width: int, outputs: int) -> int:
    """Products of numbers in the forward pass of a step."""
    hidden = spec.hidden if spec.kind == "mlp" else 0
    return points * spec.batch_size * (width * (hidden or outputs) + hidden * outputs)


def _batches(tracks: int, spec: ProbeSpec, seed: int) -> Iterator[np.ndarray]:
    """Track indices of each step: consecutive pieces of one permutation after another, all of the same size."""
    size = min(spec.batch_size, tracks)
    waiting, epoch = np.empty(0, dtype=np.int64), 0
    for _ in range(spec.steps):
        while len(waiting) < size:
            waiting = np.concatenate([waiting, generator(seed, "probe/batches", epoch).permutation(tracks)])
            epoch += 1
        yield waiting[:size]
        waiting = waiting[size:]


def _standardiser(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of (tracks, width) inputs; a constant dimension has deviation 1, not rounding noise."""
    exact = inputs.double()
    mean, deviation = exact.mean(0), exact.std(0, correction=0)
    constant = deviation <= 1e-6 * mean.abs().clamp_min(1e-30)
    return mean.float(), torch.where(constant, 1.0, deviation).float()


def _outputs(train_labels: np.ndarray, valid_labels: np.ndarray, kind: Kind, classes: int | None) -> int:
    """Number of outputs of the probe."""
    if kind == "tags":
        return int(train_labels.shape[1])
    return classes or int(max(train_labels.max(initial=0), valid_labels.max(initial=0))) + 1


def _targets(labels: np.ndarray, outputs: int, kind: Kind, device: str) -> Tensor:
    """(tracks, outputs) float32."""
    hot: Any = labels if kind == "tags" else labels[:, None] == np.arange(outputs)
    return torch.tensor(hot, dtype=torch.float32, device=device)


def _check(inputs: np.ndarray, labels: np.ndarray, split: str) -> None:
    """Raises InputError where a probe cannot be trained on, or chosen by, this split."""
    if len(inputs) != len(labels):
        raise InputError(f"{len(inputs)} embeddings for {len(labels)} {split} tracks; they must be as many")
    if not np.isfinite(inputs).all():
        rows = int((~np.isfinite(inputs).all(1)).sum())
        raise InputError(f"embeddings of {rows} of {len(inputs)} {split} tracks are not finite; the encoder diverged")
    if len(inputs) == 0:
        raise InputError(f"the {split} split has no tracks: the probe needs at least one")
    if split == "valid" and labels.ndim == 2 and not labels.any():
        raise InputError("no tag has a positive in the valid split: the probe cannot be chosen")
