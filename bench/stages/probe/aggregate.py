"""From the logits of segments to the score of a track, the mean of the segments' probabilities."""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Kind = Literal["tags", "classes"]
"""What the outputs of a probe are: tags, of which a track has any number, or classes, with one."""

AGGREGATIONS = ("mean_embedding", "mean_probability")
"""Ways from segments to a track: score the mean of its embeddings, or average the probabilities."""

_SAFE = 80.0
"""Logits up to which e to their power is a normal float32."""


def mean_probability(logits: Tensor, first: NDArray[np.int64], kind: Kind) -> Tensor:
    """Averages the probabilities of each track's segments (as CLMR does; ISMIR 2021).

    For tags the result is the log-odds log(p / (1 - p)) of the mean p of the sigmoids; for classes
    the log of the mean softmax, whose softmax is that mean. Both are sums of exponentials in log
    space: neither p nor 1 - p is rounded to 0 or 1.

    Args:
        logits: (segments, ...) for tags; (segments, classes) or (segments, ..., classes) for
            classes.
        first: (tracks + 1,): the segments of track t are `first[t]` to `first[t + 1]`, at least
            one.
        kind: of the targets.

    Returns:
        (tracks, ...) of the dtype of the logits; finite where the logits are.
    """
    if not len(logits):
        return logits
    offsets = torch.from_numpy(first).to(logits.device)
    if kind == "classes":
        counts = (offsets[1:] - offsets[:-1]).view(-1, *[1] * (logits.ndim - 1))
        return _log_sum(logits.log_softmax(-1), offsets) - counts.log()
    # log(p / (1 - p)) is the log of the sum of sigmoids less that of the sum of their complements.
    # Where no sigmoid is too small for float32, the sums themselves will do, and are faster.
    if logits.abs().max() <= _SAFE:  # false for NaN too
        yes, no = (_sums(part.sigmoid(), offsets) for part in (logits, -logits))
        return yes.log_().sub_(no.log_())
    return _log_sum(functional.logsigmoid(logits), offsets) - _log_sum(
        functional.logsigmoid(-logits), offsets
    )


def track_scores(scores: Tensor, first: NDArray[np.int64], kind: Kind) -> Tensor:
    """Averages the probabilities of segments for a stack of probes.

    Args:
        scores: (subsets, points, outputs, segments) logits.
        first: (tracks + 1,): the segments of track t are `first[t]` to `first[t + 1]`.
        kind: of the targets.

    Returns:
        (subsets, points, outputs, tracks), see `mean_probability`.
    """
    if kind == "tags":
        return mean_probability(scores.movedim(-1, 0).contiguous(), first, kind).movedim(0, -1)
    return mean_probability(scores.permute(3, 0, 1, 2), first, kind).permute(1, 2, 3, 0)


def _log_sum(values: Tensor, offsets: Tensor) -> Tensor:
    """Logarithm of the sum of exponentials over the segments of each track."""
    top = torch.segment_reduce(values, "max", offsets=offsets, axis=0)
    shifted = values - top.repeat_interleave(offsets.diff(), 0)
    return _sums(shifted.exp(), offsets).log_().add_(top)


def _sums(values: Tensor, offsets: Tensor) -> Tensor:
    """Sum over the segments of each track: (segments, ...) to (tracks, ...)."""
    flat = values.flatten(1)
    bags = functional.embedding_bag(
        torch.arange(len(flat), device=flat.device), flat, offsets[:-1], mode="sum"
    )
    return bags.view(-1, *values.shape[1:])
