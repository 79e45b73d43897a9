"""Training of a stack of probes: the points of a grid, and on a GPU several labelled subsets, as one program.

Every tensor of weights begins with two axes, (subsets, points). The points of a subset read the
same batches, so their first layers are one matrix product: with weights laid out (subsets, points *
hidden, width) and activations with tracks as the last axis, no layer needs a copy to be put in
order. Gradients are written out by hand, which leaves the program little but matrix products.

Points whose patience is at an end leave the stack. Leaving changes the shapes of the products of
those that stay, and so at most their rounding.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.core.randomness import generator, seed_for
from bench.settings.specs import ProbeSpec
from bench.stages.probe.aggregate import Kind, mean_probability
from bench.stages.probe.inputs import Pieces, Rows
from bench.stages.probe.products import product
from bench.stages.probe.valid_map import ValidMap

Weights = dict[str, Tensor]
"""By name, each (subsets, points, ...).

Linear: "output" (outputs, width) and "output_bias" (outputs, 1). An MLP has "hidden" (hidden,
width), "hidden_bias" (hidden, 1), and "output" is (outputs, hidden); with batch normalisation the
bias is that of the normalisation, beside "hidden_scale", "running_mean" and "running_variance"
(hidden, 1).
"""

_DECAYED = ("hidden", "output")
_STATISTICS = ("running_mean", "running_variance")
_MOMENTUM, _EPSILON = 0.1, 1e-5  # of torch.nn.BatchNorm1d
_BETAS, _ADAM_EPSILON = (0.9, 0.999), 1e-8  # of torch.optim.AdamW


@dataclass(frozen=True)
class Labelled:
    """One labelled subset, as training reads it.

    Attributes:
        seed: of everything random.
        train: inputs of the labelled tracks; where a track has several rows, each step takes one of
            them at random.
        targets: (outputs, tracks) float32, one-hot for classes.
        valid: inputs of the valid split, standardised as the training inputs are.
    """

    seed: int
    train: Rows
    targets: Tensor
    valid: Pieces


@dataclass(frozen=True)
class Trained:
    """What training found for one labelled subset.

    Attributes:
        weights: of the best point at its best step, with axes (1, 1) in front; None where every
            point diverged.
        best: (point, step) of these weights; ties went to the earlier step, then to the first
            point.
        steps: (looks,) steps at which the valid split was looked at.
        curve: (looks, points) macro average precision there, -1 where a point diverged, NaN after
            it stopped.
        stopped: (points,) the last step of each point.
    """

    weights: Weights | None
    best: tuple[int, int]
    steps: NDArray[np.int64]
    curve: NDArray[np.float64]
    stopped: NDArray[np.int64]


def train(
    subsets: Sequence[Labelled],
    points: Sequence[tuple[float, float]],
    spec: ProbeSpec,
    kind: Kind,
    judge: ValidMap,
    tick: Callable[[int], None] = lambda probe_steps: None,
) -> list[Trained]:
    """Trains every point on every subset.

    Args:
        subsets: with batches of the same size, that is as many tracks, or all at least
            `spec.batch_size`.
        points: learning rate and weight decay of each.
        spec: kind of probe and budget.
        kind: "tags" trains by binary cross-entropy, averaged over tags; "classes" by cross-entropy.
        judge: scores logits of the valid split.
        tick: called with the number of probe-steps done since the last call.
    """
    alive = np.ones((len(subsets), len(points)), dtype=bool)
    weights = initial(subsets, len(points), spec, kind)
    optimiser = _AdamW(weights, points)
    here, there = (
        np.arange(len(subsets)),
        np.arange(len(points)),
    )  # the subsets and points still in the stack
    looks = _look_steps(spec)
    curve = np.full((len(looks), len(subsets), len(points)), np.nan)
    stopped = np.full((len(subsets), len(points)), spec.steps)
    top, patience = (
        np.full((len(subsets), len(points)), -np.inf),
        np.zeros((len(subsets), len(points)), dtype=int),
    )
    best: list[tuple[float, int, int, Weights | None]] = [(-1.0, 0, 0, None)] * len(subsets)
    batches = [_batches(subset, spec) for subset in subsets]
    size = min(spec.batch_size, len(subsets[0].train.first) - 1)
    memory = weights["output"].new_empty(
        len(subsets), size, subsets[0].train.width
    )  # of every batch in turn
    look = before = 0
    for step in range(1, spec.steps + 1):
        present = [subsets[int(index)] for index in here]
        inputs, targets = _gather(present, [next(batches[int(index)]) for index in here], memory)
        mask = _mask(
            [subset.seed for subset in present], step, inputs.shape[1], spec, inputs.device
        )
        optimiser.step(gradients(weights, inputs, targets, kind, mask))
        if step != looks[look]:
            continue
        tick((step - before) * int(alive.sum()))
        scores = _look(weights, [subset.valid for subset in present], spec, kind, judge)
        for row, subset in enumerate(here):
            for column, point in enumerate(there):
                if not alive[subset, point]:
                    continue
                score = curve[look, subset, point] = scores[row, column]
                patience[subset, point] += 1
                if score > top[subset, point]:
                    top[subset, point], patience[subset, point] = score, 0
                if score > best[subset][0]:
                    kept = {
                        name: weight[row, column].clone()[None, None]
                        for name, weight in weights.items()
                    }
                    best[subset] = score, int(point), step, kept
        look, before = look + 1, step
        ended = alive & (patience >= (spec.patience or np.inf))
        if ended.any() and step < spec.steps:
            stopped[ended], alive[ended] = step, False
            tick((spec.steps - step) * int(ended.sum()))
            rows, columns = alive[np.ix_(here, there)].any(1), alive[np.ix_(here, there)].any(0)
            here, there = here[rows], there[columns]
            if not len(here):
                break
            if not (rows.all() and columns.all()):
                optimiser.keep(np.flatnonzero(rows), np.flatnonzero(columns))
                weights = optimiser.weights
    return [
        Trained(kept, (point, step), looks[:look], curve[:look, index], stopped[index])
        for index, (_, point, step, kept) in enumerate(best)
    ]


def initial(subsets: Sequence[Labelled], points: int, spec: ProbeSpec, kind: Kind) -> Weights:
    """Starting weights, the same for every point of a subset.

    The last layer starts at zero with the log-odds of the training labels as its bias, so that no
    step is spent on how frequent tags are, and a linear probe does not depend on a random start.
    The hidden layer of an MLP is drawn as torch.nn.Linear draws it.
    """
    parts = []
    for subset in subsets:
        outputs, tracks = subset.targets.shape
        device, width = subset.targets.device, subset.train.width
        start: Weights = {}
        if spec.kind == "mlp":
            random, bound = (
                torch.Generator().manual_seed(seed_for(subset.seed, "probe/weights")),
                width**-0.5,
            )
            drawn = (
                torch.empty(spec.hidden, width + 1)
                .uniform_(-bound, bound, generator=random)
                .to(device)
            )
            start["hidden"], start["hidden_bias"] = drawn[:, :-1], drawn[:, -1:]
            if spec.batch_norm:  # takes the mean away, so that a bias before it would do nothing
                start["hidden_bias"] = torch.zeros(spec.hidden, 1, device=device)
                start["hidden_scale"] = torch.ones(spec.hidden, 1, device=device)
                start["running_mean"] = torch.zeros(spec.hidden, 1, device=device)
                start["running_variance"] = torch.ones(spec.hidden, 1, device=device)
            width = spec.hidden
        share = (subset.targets.sum(1, keepdim=True) + 0.5) / (tracks + 1)
        start["output"] = torch.zeros(outputs, width, device=device)
        start["output_bias"] = torch.logit(share) if kind == "tags" else share.log()
        parts.append(start)
    stacked = {name: torch.stack([part[name] for part in parts]) for name in parts[0]}
    return {name: value.unsqueeze(1).repeat(1, points, 1, 1) for name, value in stacked.items()}


def logits(weights: Weights, inputs: Tensor) -> Tensor:
    """(subsets, points, outputs, tracks) of (subsets, tracks, width) inputs, in evaluation mode."""
    if "hidden" not in weights:
        return _first(weights["output"], inputs).add_(weights["output_bias"])
    hidden = _first(weights["hidden"], inputs)
    if "hidden_scale" in weights:
        scale = weights["hidden_scale"] * (weights["running_variance"] + _EPSILON).rsqrt()
        hidden.mul_(scale).add_(weights["hidden_bias"] - weights["running_mean"] * scale)
    else:
        hidden.add_(weights["hidden_bias"])
    return _second(weights["output"], hidden.relu_()).add_(weights["output_bias"])


def gradients(
    weights: Weights, inputs: Tensor, targets: Tensor, kind: Kind, mask: Tensor | None
) -> Weights:
    """Gradient of each point's own mean loss.

    Running statistics of batch normalisation are updated in place. A batch of one track has no
    variance: it is normalised by the running statistics, which it leaves as they are.

    Args:
        weights: of all points.
        inputs: (subsets, tracks, width).
        targets: (subsets, 1, outputs, tracks).
        kind: of the loss.
        mask: (subsets, 1, hidden, tracks), 0 for the hidden units left out and 1 / (1 - dropout)
            for the others.
    """
    found: Weights = {}
    tracks = inputs.shape[1]
    if "hidden" not in weights:
        slope = _slope(
            _first(weights["output"], inputs).add_(weights["output_bias"]), targets, kind
        )
        found["output_bias"] = slope.sum(-1, keepdim=True)
        found["output"] = _to_first(slope, inputs)
        return found
    hidden = _first(weights["hidden"], inputs)
    if "hidden_scale" in weights:
        # Ioffe and Szegedy, ICML 2015; `hidden` becomes the inputs of the normalisation without
        # their mean.
        running_mean, running_variance = weights["running_mean"], weights["running_variance"]
        mean, inverse = running_mean, (running_variance + _EPSILON).rsqrt()
        if tracks > 1:
            mean = hidden.mean(-1, keepdim=True)
        hidden.sub_(mean)
        if tracks > 1:
            variance = torch.linalg.vector_norm(hidden, dim=-1, keepdim=True).square_().div_(tracks)
            inverse = (variance + _EPSILON).rsqrt()
            running_mean.lerp_(mean, _MOMENTUM)
            running_variance.lerp_(variance.mul_(tracks / (tracks - 1)), _MOMENTUM)
        scale = weights["hidden_scale"] * inverse
        active = (hidden * scale).add_(weights["hidden_bias"]).relu_()
    else:
        active = hidden.add_(weights["hidden_bias"]).relu_()
    if mask is not None:
        active = active * mask
    slope = _slope(_second(weights["output"], active).add_(weights["output_bias"]), targets, kind)
    found["output_bias"] = slope.sum(-1, keepdim=True)
    found["output"] = _second(slope, active.transpose(-1, -2))
    back = _second(weights["output"].transpose(-1, -2), slope)
    back = torch.ops.aten.threshold_backward(back, active, 0)
    if mask is not None:
        back.mul_(mask)
    found["hidden_bias"] = back.sum(-1, keepdim=True)
    if "hidden_scale" in weights:
        along = (back * hidden).sum(-1, keepdim=True)
        found["hidden_scale"] = along * inverse
        if tracks > 1:
            back.sub_(hidden.mul_(along * inverse.square() / tracks)).sub_(
                found["hidden_bias"] / tracks
            )
        back.mul_(scale)
    found["hidden"] = _to_first(back, inputs)
    return found


def _first(matrix: Tensor, inputs: Tensor) -> Tensor:
    """First layer, one product for all points: (subsets, points, rows, width) by (subsets, tracks, width)."""
    return product(matrix.flatten(1, 2), inputs).view(*matrix.shape[:3], -1)


def _to_first(slope: Tensor, inputs: Tensor) -> Tensor:
    """Gradient of the first layer's matrix: (subsets, points, rows, tracks) by (subsets, tracks, width)."""
    return product(slope.flatten(1, 2), inputs.transpose(1, 2)).view(*slope.shape[:3], -1)


def _second(matrix: Tensor, active: Tensor) -> Tensor:
    """A product a point: (subsets, points, rows, inner) by (subsets, points, inner, columns)."""
    return product(matrix.flatten(0, 1), active.flatten(0, 1).transpose(1, 2)).view(
        *matrix.shape[:3], -1
    )


def _slope(scores: Tensor, targets: Tensor, kind: Kind) -> Tensor:
    """Gradient of the mean loss by the logits, (subsets, points, outputs, tracks)."""
    if kind == "tags":
        return scores.sigmoid_().sub_(targets).div_(scores.shape[-1] * scores.shape[-2])
    return scores.softmax(-2).sub_(targets).div_(scores.shape[-1])


class _AdamW:
    """AdamW (Loshchilov and Hutter, ICLR 2019, algorithm 2) with a learning rate and a weight decay a point.

    Equal to `torch.optim.AdamW` point by point; biases and batch normalisation are not decayed.
    """

    def __init__(self, weights: Weights, points: Sequence[tuple[float, float]]) -> None:
        """Takes the weights, and the learning rate and weight decay of each point."""
        self.weights = weights
        self.names = [name for name in weights if name not in _STATISTICS]
        self.means = {name: torch.zeros_like(weights[name]) for name in self.names}
        self.squares = {name: torch.zeros_like(weights[name]) for name in self.names}
        self.count, self.points = 0, list(points)
        self._arrange()

    def _arrange(self) -> None:
        """What depends on which points there are: rates, decays, and runs of neighbouring points of equal rate."""
        device = self.weights["output"].device
        rates = [rate for rate, _ in self.points]
        self.rates = torch.tensor(rates, device=device).view(1, -1, 1, 1)
        kept = [1 - rate * decay for rate, decay in self.points]  # in float64, as torch's
        self.kept = torch.tensor(kept, device=device).view(1, -1, 1, 1)
        starts = [
            place for place in range(len(rates)) if place == 0 or rates[place] != rates[place - 1]
        ]
        self.runs = [
            (
                start,
                stop,
                [
                    [tensors[name][0, start:stop] for name in self.names]
                    for tensors in self._state()
                ],
            )
            for start, stop in pairwise([*starts, len(rates)])
        ]

    def _state(self) -> tuple[Weights, Weights, Weights]:
        return self.weights, self.means, self.squares

    def keep(self, subsets: NDArray[np.int64], points: NDArray[np.int64]) -> None:
        """Drops all other subsets and points."""
        for tensors in self._state():
            for name in tensors:
                rows, columns = (
                    torch.from_numpy(kept).to(tensors[name].device) for kept in (subsets, points)
                )
                tensors[name] = tensors[name].index_select(0, rows).index_select(1, columns)
        self.points = [self.points[point] for point in points]
        self._arrange()

    def step(self, slopes: Weights) -> None:
        """Updates the weights in place."""
        self.count += 1
        for name in _DECAYED:
            if name in self.weights:
                self.weights[name].mul_(self.kept)
        if self.weights["output"].is_cpu and len(self.weights["output"]) == 1:
            self._fused(slopes)
            return
        first, second = _BETAS
        for name in self.names:
            mean, square = self.means[name].lerp_(slopes[name], 1 - first), self.squares[name]
            square.mul_(second).addcmul_(slopes[name], slopes[name], value=1 - second)
            scale = (square / (1 - second**self.count)).sqrt_().add_(_ADAM_EPSILON)
            self.weights[name].sub_(self.rates / (1 - first**self.count) * mean / scale)

    def _fused(self, slopes: Weights) -> None:
        """The same by the kernel of torch.optim.AdamW, which passes over memory once, but knows one rate a call."""
        steps = [torch.tensor(float(self.count))] * len(self.names)
        for start, stop, (weights, means, squares) in self.runs:
            gradients = [slopes[name][0, start:stop] for name in self.names]
            torch._fused_adamw_(
                weights, gradients, means, squares, [], steps, amsgrad=False, maximize=False,
                weight_decay=0.0, lr=self.points[start][0], beta1=_BETAS[0], beta2=_BETAS[1],
                eps=_ADAM_EPSILON,
            )  # fmt: skip


def _look_steps(spec: ProbeSpec) -> NDArray[np.int64]:
    """Steps after which the valid split is looked at: every so many, and the last."""
    return np.unique([*range(spec.evaluate_every, spec.steps + 1, spec.evaluate_every), spec.steps])


def _batches(
    subset: Labelled, spec: ProbeSpec
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Tracks of each step, and for each the row of the inputs that stands for it.

    Tracks are consecutive pieces of one permutation after another, all of the same size.
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


def _gather(
    subsets: Sequence[Labelled],
    batches: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
    into: Tensor,
) -> tuple[Tensor, Tensor]:
    """Inputs (subsets, tracks, width) and targets (subsets, 1, outputs, tracks) of a step."""
    for place, (subset, (_, rows)) in enumerate(zip(subsets, batches, strict=True)):
        subset.train.take(rows, into[place])
    targets = [
        subset.targets.index_select(1, torch.from_numpy(tracks).to(subset.targets.device))
        for subset, (tracks, _) in zip(subsets, batches, strict=True)
    ]
    return into[: len(subsets)], _stack(targets).unsqueeze(1)


def _mask(
    seeds: Sequence[int], step: int, tracks: int, spec: ProbeSpec, device: torch.device
) -> Tensor | None:
    """Dropout's mask (subsets, 1, hidden, tracks), the same for all points (Srivastava et al., JMLR 15, 2014)."""
    if spec.kind != "mlp" or not spec.dropout:
        return None
    shape = (1, spec.hidden, tracks)
    drawn = [
        generator(seed, "probe/dropout", step).random(shape, dtype=np.float32) for seed in seeds
    ]
    kept = _stack([torch.from_numpy(numbers) for numbers in drawn]).to(device) >= spec.dropout
    return kept.float().div_(1 - spec.dropout)


def _look(
    weights: Weights, valid: Sequence[Pieces], spec: ProbeSpec, kind: Kind, judge: ValidMap
) -> NDArray[np.float64]:
    """(subsets, points) macro average precision of the valid split, -1 where a point diverged."""
    parts = []
    for pieces in zip(*valid, strict=True):
        scores = logits(weights, _stack([rows for rows, _ in pieces]))
        if spec.aggregation == "mean_probability":
            scores = track_scores(scores, pieces[0][1], kind)
        parts.append(scores)
    return judge(torch.cat(parts, -1) if len(parts) > 1 else parts[0])


def track_scores(scores: Tensor, first: NDArray[np.int64], kind: Kind) -> Tensor:
    """Mean probabilities of (subsets, points, outputs, segments) logits: (subsets, points, outputs, tracks)."""
    if kind == "tags":
        return mean_probability(scores.movedim(-1, 0).contiguous(), first, kind).movedim(0, -1)
    return mean_probability(scores.permute(3, 0, 1, 2), first, kind).permute(1, 2, 3, 0)


def _stack(tensors: Sequence[Tensor]) -> Tensor:
    """torch.stack, without a copy of a single tensor."""
    return tensors[0].unsqueeze(0) if len(tensors) == 1 else torch.stack(list(tensors))
