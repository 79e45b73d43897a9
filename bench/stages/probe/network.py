"""The probe itself, linear or an MLP, for many subsets and grid points at once.

Every tensor of weights begins with two axes, (subsets, points). The points of a subset read the
same batches, so their first layers are one matrix product: with weights laid out (subsets, points *
hidden, width) and activations with tracks as the last axis, no layer needs a copy to be put in
order. Gradients are written out by hand, which leaves the program little but matrix products.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from bench.core.randomness import seed_for
from bench.settings.specs import ProbeSpec
from bench.stages.probe.aggregate import Kind
from bench.stages.probe.batches import Labelled
from bench.stages.probe.products import product

Weights = dict[str, Tensor]
"""The weights by name, each of shape (subsets, points, ...).

Linear: "output" (outputs, width) and "output_bias" (outputs, 1). An MLP has "hidden" (hidden,
width), "hidden_bias" (hidden, 1), and "output" is (outputs, hidden); with batch normalisation the
bias is that of the normalisation, beside "hidden_scale", "running_mean" and "running_variance"
(hidden, 1).
"""

STATISTICS = ("running_mean", "running_variance")
"""Names of weights that are measured and not trained."""

_MOMENTUM, _EPSILON = 0.1, 1e-5  # those of torch.nn.BatchNorm1d


def initial(subsets: Sequence[Labelled], points: int, spec: ProbeSpec, kind: Kind) -> Weights:
    """Makes the starting weights, the same for every point of a subset.

    The last layer starts at zero with the log-odds of the training labels as its bias, so that no
    step is spent on how frequent tags are, and a linear probe does not depend on a random start.
    The hidden layer of an MLP is drawn as torch.nn.Linear draws it.

    Args:
        subsets: the labelled subsets.
        points: number of grid points.
        spec: kind of probe and its hidden layer.
        kind: of the targets: biases are log-odds for tags, log frequencies for classes.
    """
    parts = [_initial_of(subset, spec, kind) for subset in subsets]
    stacked = {name: torch.stack([part[name] for part in parts]) for name in parts[0]}
    return {name: value.unsqueeze(1).repeat(1, points, 1, 1) for name, value in stacked.items()}


def _initial_of(subset: Labelled, spec: ProbeSpec, kind: Kind) -> Weights:
    """The starting weights of one subset, without the axes of subsets and points."""
    outputs, tracks = subset.targets.shape
    device, width = subset.targets.device, subset.train.width
    start: Weights = {}
    if spec.kind == "mlp":
        random = torch.Generator().manual_seed(seed_for(subset.seed, "probe/weights"))
        bound = width**-0.5
        # Drawn on the CPU, whose generator gives the same numbers for every device.
        drawn = torch.empty(spec.hidden, width + 1).uniform_(-bound, bound, generator=random)
        drawn = drawn.to(device)
        start["hidden"], start["hidden_bias"] = drawn[:, :-1], drawn[:, -1:]
        if spec.batch_norm:  # takes the mean away, so that a bias before it would do nothing
            start["hidden_bias"] = torch.zeros(spec.hidden, 1, device=device)
            start["hidden_scale"] = torch.ones(spec.hidden, 1, device=device)
            start["running_mean"] = torch.zeros(spec.hidden, 1, device=device)
            start["running_variance"] = torch.ones(spec.hidden, 1, device=device)
        width = spec.hidden
    # Half a positive and half a negative more than there are: no log-odds is infinite.
    share = (subset.targets.sum(1, keepdim=True) + 0.5) / (tracks + 1)
    start["output"] = torch.zeros(outputs, width, device=device)
    start["output_bias"] = torch.logit(share) if kind == "tags" else share.log()
    return start


def logits(weights: Weights, inputs: Tensor) -> Tensor:
    """Computes the logits in evaluation mode.

    Args:
        weights: of all points.
        inputs: (subsets, tracks, width).

    Returns:
        (subsets, points, outputs, tracks).
    """
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
    """Computes the gradient of each point's own mean loss, in training mode.

    Running statistics of batch normalisation are updated in place. A batch of one track has no
    variance: it is normalised by the running statistics, which it leaves as they are.

    Args:
        weights: of all points.
        inputs: (subsets, tracks, width).
        targets: (subsets, 1, outputs, tracks).
        kind: of the loss.
        mask: (subsets, 1, hidden, tracks), 0 for the hidden units left out and 1 / (1 - dropout)
            for the others.

    Returns:
        By the name of each trained weight, of its shape.
    """
    if "hidden" in weights:
        return _mlp_gradients(weights, inputs, targets, kind, mask)
    scores = _first(weights["output"], inputs).add_(weights["output_bias"])
    slope = _slope(scores, targets, kind)
    return {"output_bias": slope.sum(-1, keepdim=True), "output": _to_first(slope, inputs)}


def _mlp_gradients(
    weights: Weights, inputs: Tensor, targets: Tensor, kind: Kind, mask: Tensor | None
) -> Weights:
    """Does what `gradients` does for an MLP, forwards and then backwards."""
    slopes: Weights = {}
    tracks = inputs.shape[1]
    hidden = _first(weights["hidden"], inputs)
    if "hidden_scale" in weights:
        inverse = _centre(hidden, weights)
        scale = weights["hidden_scale"] * inverse
        # Not in place: the backward pass needs the centred inputs again.
        active = (hidden * scale).add_(weights["hidden_bias"]).relu_()
    else:
        active = hidden.add_(weights["hidden_bias"]).relu_()
    if mask is not None:
        active = active * mask
    slope = _slope(_second(weights["output"], active).add_(weights["output_bias"]), targets, kind)
    slopes["output_bias"] = slope.sum(-1, keepdim=True)
    slopes["output"] = _second(slope, active.transpose(-1, -2))
    back = _second(weights["output"].transpose(-1, -2), slope)
    # ReLU's backward pass, told from its output: a unit that dropout took is 0 there too.
    back = torch.ops.aten.threshold_backward(back, active, 0)
    if mask is not None:
        back.mul_(mask)
    slopes["hidden_bias"] = back.sum(-1, keepdim=True)
    if "hidden_scale" in weights:
        along = (back * hidden).sum(-1, keepdim=True)
        slopes["hidden_scale"] = along * inverse
        # scale * (back - mean(back) - x * mean(back * x)), where x = hidden * inverse is the
        # normalised input; the two means flow back through the batch's mean and variance.
        if tracks > 1:
            through_variance = hidden.mul_(along * inverse.square() / tracks)
            back.sub_(through_variance).sub_(slopes["hidden_bias"] / tracks)
        back.mul_(scale)
    slopes["hidden"] = _to_first(back, inputs)
    return slopes


def _centre(hidden: Tensor, weights: Weights) -> Tensor:
    """Begins batch normalisation (Ioffe and Szegedy, ICML 2015, arXiv 1502.03167).

    Takes the mean of each unit from `hidden` in place, and updates the running statistics.

    Args:
        hidden: (subsets, points, hidden, tracks), its inputs.
        weights: of all points, for the running statistics.

    Returns:
        (subsets, points, hidden, 1), one over the standard deviation of each unit.
    """
    tracks = hidden.shape[-1]
    running_mean, running_variance = weights["running_mean"], weights["running_variance"]
    if tracks == 1:
        hidden.sub_(running_mean)
        return (running_variance + _EPSILON).rsqrt()
    mean = hidden.mean(-1, keepdim=True)
    hidden.sub_(mean)
    variance = torch.linalg.vector_norm(hidden, dim=-1, keepdim=True).square_().div_(tracks)
    inverse: Tensor = (variance + _EPSILON).rsqrt()
    running_mean.lerp_(mean, _MOMENTUM)
    # The batch is normalised by the biased variance, and the unbiased one is remembered, as torch
    # does it.
    running_variance.lerp_(variance.mul_(tracks / (tracks - 1)), _MOMENTUM)
    return inverse


def _slope(scores: Tensor, targets: Tensor, kind: Kind) -> Tensor:
    """Gradient of each point's mean loss by its logits, (subsets, points, outputs, tracks).

    Binary cross-entropy is a mean over tracks and tags, cross-entropy a mean over tracks.
    """
    if kind == "tags":
        return scores.sigmoid_().sub_(targets).div_(scores.shape[-1] * scores.shape[-2])
    return scores.softmax(-2).sub_(targets).div_(scores.shape[-1])


def _first(matrix: Tensor, inputs: Tensor) -> Tensor:
    """The first layer, one product for all points of a subset.

    (subsets, points, rows, width) by (subsets, tracks, width) -> (subsets, points, rows, tracks).
    """
    return product(matrix.flatten(1, 2), inputs).view(*matrix.shape[:3], -1)


def _to_first(slope: Tensor, inputs: Tensor) -> Tensor:
    """The gradient of the first layer's matrix.

    (subsets, points, rows, tracks) by (subsets, tracks, width) -> (subsets, points, rows, width).
    """
    return product(slope.flatten(1, 2), inputs.transpose(1, 2)).view(*slope.shape[:3], -1)


def _second(matrix: Tensor, active: Tensor) -> Tensor:
    """A matrix product for each point, as the points differ in both factors.

    (subsets, points, rows, inner) by (subsets, points, inner, columns) -> (subsets, points, rows,
    columns).
    """
    result = product(matrix.flatten(0, 1), active.flatten(0, 1).transpose(1, 2))
    return result.view(*matrix.shape[:3], -1)
