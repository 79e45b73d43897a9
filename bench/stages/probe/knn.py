"""Nearest neighbours: what the labelled tracks that sound most alike are tagged with."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from bench.settings.specs import ProbeSpec
from bench.stages.embed.segments import Embeddings
from bench.stages.probe.aggregate import Kind, mean_probability
from bench.stages.probe.inputs import SCORED, Pieces, Scaling
from bench.stages.probe.products import product
from bench.stages.probe.valid_map import ValidMap, sortable

Found = tuple[dict[str, NDArray[np.float32]], dict[str, float | int], list[dict[str, float | int]]]


def nearest_neighbours(
    embeddings: Embeddings,
    hot: NDArray[np.bool_],
    kind: Kind,
    labelled: NDArray[np.int64],
    valid: NDArray[np.int64],
    test: NDArray[np.int64],
    by: Scaling,
    spec: ProbeSpec,
    device: str,
    judge: ValidMap,
) -> Found:
    """Scores the test split by k nearest neighbours (Cover and Hart, IEEE Trans.

    Inf. Theory 13, 1967). Neighbours are labelled tracks by the cosine similarity of standardised
    mean embeddings; of equals the first. The probability of a tag is the share of the k neighbours
    that have it, drawn towards the tag's frequency f among the labelled tracks as if one more
    neighbour had it with that probability: (neighbours with it + f) / (k + 1), where f = (tracks
    with it + 1) / (tracks + 2) is never 0 or 1 (Laplace's rule, as the smoothing of ML-kNN; Zhang
    and Zhou, Pattern Recognition 40, 2007; for classes f = (tracks + 1) / (all tracks + classes)).
    Neighbours count alike.

    Args:
        embeddings: of all tracks.
        hot: (tracks, outputs) bool.
        kind: of the targets.
        labelled: places of the labelled tracks.
        valid: places of the valid tracks, which choose k by their macro average precision under
            `spec.aggregation`.
        test: places of the test tracks.
        by: of the labelled tracks' mean embeddings.
        spec: grid of k; more than there are labelled tracks means all of them.
        device: such as "cpu" or "cuda".
        judge: scores the valid split.

    Returns:
        By aggregation the (test tracks, outputs) float32 log-odds (classes: log probabilities);
        what was chosen; and a row a k, ascending.
    """
    known = _Known(
        embeddings, labelled, hot[labelled], kind, by, device, spec.memory_mb * 2**20 / 4
    )
    grid = sorted({min(neighbours, len(labelled)) for neighbours in spec.neighbours})
    rows: list[dict[str, float | int]] = []
    pieces = {name: Pieces(embeddings, valid, of, by, device, 0) for name, of in SCORED.items()}
    for neighbours, values in zip(grid, known.scores(pieces[spec.aggregation], grid), strict=True):
        rows.append({"neighbours": neighbours, "valid_map": float(judge(values.T))})
    chosen = max(rows, key=lambda row: row["valid_map"])  # the first of equals
    found = {}
    for name, of in SCORED.items():
        tested = Pieces(embeddings, test, of, by, device, 0)
        found[name] = known.scores(tested, [int(chosen["neighbours"])])[0].cpu().numpy()
    return found, dict(chosen), rows


class _Known:
    """The labelled tracks."""

    def __init__(
        self,
        embeddings: Embeddings,
        labelled: NDArray[np.int64],
        hot: NDArray[np.bool_],
        kind: Kind,
        by: Scaling,
        device: str,
        hold_bytes: float,
    ) -> None:
        """Takes (tracks, outputs) labels of the labelled tracks."""
        self._kind = kind
        self._pieces = Pieces(embeddings, labelled, "tracks", by, device, hold_bytes)
        self._hot = torch.from_numpy(hot).to(device).float()
        others = 2 if kind == "tags" else hot.shape[1]
        self._frequency = (self._hot.double().sum(0) + 1) / (len(hot) + others)

    def scores(self, pieces: Pieces, grid: list[int]) -> list[Tensor]:
        """(tracks, outputs) float32 for each number of neighbours.

        The mean over a track's rows of the probability.
        """
        found: list[list[Tensor]] = [[self._hot.new_empty(0, self._hot.shape[1])] for _ in grid]
        for rows, first in pieces:
            nearest = self._nearest(rows, max(grid))
            for place, neighbours in enumerate(grid):
                tagged = functional.embedding_bag(nearest[:, :neighbours], self._hot, mode="sum")
                probability = (tagged.double() + self._frequency) / (neighbours + 1)
                scores = torch.logit(probability) if self._kind == "tags" else probability.log()
                found[place].append(mean_probability(scores, first, self._kind).float())
        return [torch.cat(parts) for parts in found]

    def _nearest(self, rows: Tensor, most: int) -> Tensor:
        """(rows, most) places of the nearest labelled tracks, the nearest first, of equals the first.

        Similarity and place are packed into one integer, so that numpy's vectorised partition finds
        them.
        """
        ours = functional.normalize(rows, dim=1)
        parts = [
            product(ours[None], functional.normalize(theirs, dim=1)[None])[0]
            for theirs, _ in self._pieces
        ]
        keys = np.left_shift(sortable(torch.cat(parts, 1).cpu().numpy()), 32, dtype=np.int64)
        keys |= np.arange(keys.shape[1])[::-1]
        last = keys.shape[1] - 1
        if most <= last:
            keys = np.partition(keys, last + 1 - most, axis=1)[:, last + 1 - most :]
        keys.sort(axis=1)
        return torch.from_numpy(last - (keys[:, ::-1] & 0xFFFFFFFF)).to(rows.device)
