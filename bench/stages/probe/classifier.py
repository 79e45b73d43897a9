"""Logits of a method that has learned from labels, by its own classifier."""

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data.prepared import Prepared
from bench.method import Method
from bench.stages.embed.segments import Embeddings
from bench.stages.probe.aggregate import mean_probability
from bench.stages.probe.inputs import rows_of

_TRACKS = 512  # whose segments are classified at a time


def classified(
    method: Method, data: Prepared, embedded: Embeddings, rows: NDArray[np.int64],
    device: torch.device,
) -> dict[str, NDArray[np.float32]]:  # fmt: skip
    """Logits of a method's own classifier under each aggregation.

    Args:
        method: one that has learned from labels.
        data: the probed data set.
        embedded: embeddings of tracks.
        rows: places of some of these tracks.
        device: where the method is.

    Returns:
        Aggregation -> (rows, outputs).
    """
    assert method.classifier is not None
    classifier = method.classifier.float()

    @torch.no_grad()
    def forward(inputs: NDArray[np.float32]) -> torch.Tensor:
        logits: torch.Tensor = classifier(torch.from_numpy(np.ascontiguousarray(inputs)).to(device))
        return logits.cpu()

    means = []
    for start in range(0, len(rows), _TRACKS):
        places, first = rows_of(embedded, rows[start : start + _TRACKS], "segments")
        means.append(mean_probability(forward(embedded.segments[places]), first, data.kind))
    logits = {
        "mean_embedding": forward(embedded.tracks[rows]),
        "mean_probability": torch.cat(means),
    }
    return {name: values.numpy() for name, values in logits.items()}
