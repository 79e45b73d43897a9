"""Nearest neighbours: a track is scored by the tags of the labelled tracks most similar to it."""

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

Scored = tuple[dict[str, NDArray[np.float32]], dict[str, float | int], list[dict[str, float | int]]]


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
) -> Scored:
    """Scores the test split by k nearest neighbours.

    The rule is that of Cover and Hart (IEEE Transactions on Information Theory 13, 1967).
    Neighbours are labelled tracks by the cosine similarity of standardised mean embeddings; of
    equals the first. The probability of a tag is the share of the k neighbours that have it, drawn
    towards the tag's frequency f among the labelled tracks as if one more neighbour had it with
    that probability: (neighbours with it + f) / (k + 1), where f = (tracks with it + 1) / (tracks +
    2) is never 0 or 1 (Laplace's rule, as the smoothing of ML-kNN; Zhang and Zhou, Pattern
    Recognition 40, 2007; for classes f = (tracks + 1) / (all tracks + classes)). All k neighbours
    have the same weight.

    Args:
        embeddings: of all tracks.
        hot: (tracks, outputs) bool.
        kind: of the targets.
        labelled: places of the labelled tracks.
        valid: places of the valid tracks, which choose k by their macro average precision under
            `spec.aggregation`.
        test: places of the test tracks.
        by: how embeddings are standardised: by the labelled tracks' mean embeddings.
        spec: grid of k; more than there are labelled tracks means all of them.
        device: such as "cpu" or "cuda".
        judge: scores the valid split.

    Returns:
        By aggregation the (test tracks, outputs) float32 log-odds (classes: log probabilities);
        the chosen row; and a row a k, ascending, with "neighbours" and "valid_map".
    """
    hold_bytes = spec.memory_mb * 2**20 / 4
    known = _Known(embeddings, labelled, hot[labelled], kind, by, device, hold_bytes)
    grid = sorted({min(neighbours, len(labelled)) for neighbours in spec.neighbours})
    rows: list[dict[str, float | int]] = []
    pieces = {name: Pieces(embeddings, valid, of, by, device, 0) for name, of in SCORED.items()}
    for neighbours, values in zip(grid, known.scores(pieces[spec.aggregation], grid), strict=True):
        rows.append({"neighbours": neighbours, "valid_map": float(judge(values.T))})
    chosen = max(rows, key=lambda row: row["valid_map"])  # the first of equals
    logits = {}
    for name, of in SCORED.items():
        tested = Pieces(embeddings, test, of, by, device, 0)
        logits[name] = known.scores(tested, [int(chosen["neighbours"])])[0].cpu().numpy()
    return logits, dict(chosen), rows


class _Known:
    """The labelled tracks, among which neighbours are searched."""

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
        """Counts the tags; `hot` is (labelled tracks, outputs) bool."""
        self._kind = kind
        self._pieces = Pieces(embeddings, labelled, "tracks", by, device, hold_bytes)
        self._hot = torch.from_numpy(hot).to(device).float()
        others = 2 if kind == "tags" else hot.shape[1]
        self._frequency = (self._hot.double().sum(0) + 1) / (len(hot) + others)

    def scores(self, pieces: Pieces, grid: list[int]) -> list[Tensor]:
        """Scores tracks, for each of some numbers of neighbours.

        Args:
            pieces: the rows of the tracks; a track of several rows gets the mean of their
                probabilities.
            grid: the numbers of neighbours.

        Returns:
            (tracks, outputs) float32 for each number.
        """
        parts: list[list[Tensor]] = [[self._hot.new_empty(0, self._hot.shape[1])] for _ in grid]
        for rows, first in pieces:
            nearest = self._nearest(rows, max(grid))
            for place, neighbours in enumerate(grid):
                tagged = functional.embedding_bag(nearest[:, :neighbours], self._hot, mode="sum")
                probability = (tagged.double() + self._frequency) / (neighbours + 1)
                scores = torch.logit(probability) if self._kind == "tags" else probability.log()
                parts[place].append(mean_probability(scores, first, self._kind).float())
        return [torch.cat(part) for part in parts]

    def _nearest(self, rows: Tensor, most: int) -> Tensor:
        """Places of the labelled tracks nearest to each row, (rows, most), the nearest first.

        Of equally near tracks the first comes first. Similarity and place are packed into one
        integer, so that numpy's vectorised partition finds them.
        """
        ours = functional.normalize(rows, dim=1)
        parts = [
            product(ours[None], functional.normalize(theirs, dim=1)[None])[0]
            for theirs, _ in self._pieces
        ]
        # The upper half is the similarity, the lower one the place counted from the end: of equal
        # similarities the largest integer is that of the first track.
        keys = np.left_shift(sortable(torch.cat(parts, 1).cpu().numpy()), 32, dtype=np.int64)
        keys |= np.arange(keys.shape[1])[::-1]
        last = keys.shape[1] - 1
        if most <= last:
            keys = np.partition(keys, last + 1 - most, axis=1)[:, last + 1 - most :]
        keys.sort(axis=1)
        return torch.from_numpy(last - (keys[:, ::-1] & 0xFFFFFFFF)).to(rows.device)
