"""The look at the valid split while a method learns from labels: training stops and chooses by it.

Methods without labels never come here, and their keys leave this file out (see
`bench.stages.keys`).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bench.data.prepared import Prepared
from bench.method import Method
from bench.settings.specs import EmbedSpec
from bench.stages.embed.segments import embed
from bench.stages.parts import Labelled
from bench.statistics.metrics import mean_average_precision, one_vs_rest


def valid_score(
    audio: Prepared, labels: Labelled, frontend: nn.Module, seconds: float, spec: EmbedSpec,
    device: torch.device,
) -> Callable[[nn.Module], float]:  # fmt: skip
    """A function that scores a method on the valid split: macro average precision.

    Args:
        audio: the data set.
        labels: its targets.
        frontend: of the method's encoder, on the device.
        seconds: length of a segment.
        spec: how tracks are embedded.
        device: where the method is.
    """
    valid = audio.rows("valid")

    def score(method: nn.Module) -> float:
        assert isinstance(method, Method)
        embedded = embed(method.encoder, frontend, audio.audio, valid, seconds, spec, device)
        logits = classify(method, embedded.tracks, device)
        return valid_map(logits, labels.targets[valid], audio.kind)

    return score


@torch.no_grad()
def classify(
    method: Method, embedded: NDArray[np.float32], device: torch.device
) -> NDArray[np.float32]:
    """Logits (tracks, outputs) of a method's own classifier on track embeddings (tracks, width)."""
    assert method.classifier is not None
    logits = method.classifier.float()(torch.from_numpy(embedded).to(device))
    return np.asarray(logits.cpu().numpy(), np.float32)


def valid_map(logits: NDArray[np.float32], targets: NDArray[Any], kind: str) -> float:
    """Macro average precision over the tags that have a positive among the tracks.

    Args:
        logits: (tracks, outputs).
        targets: (tracks, tags) bool, or (tracks,) int for classes, which are scored one against
            the rest.
        kind: "tags" or "classes".
    """
    scores, truth = torch.from_numpy(logits), torch.from_numpy(targets)
    if kind == "classes":
        scores = one_vs_rest(scores)
        truth = torch.nn.functional.one_hot(truth, logits.shape[1]).bool()
    return float(mean_average_precision(scores, truth))
