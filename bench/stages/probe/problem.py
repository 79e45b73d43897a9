"""What all probes of one encoder have in common, and what one of them takes in memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bench.core.errors import InputError
from bench.settings.specs import ProbeSpec
from bench.stages.embed.segments import Embeddings
from bench.stages.probe.aggregate import Kind
from bench.stages.probe.batches import Labelled
from bench.stages.probe.inputs import PIECE_ROWS, SCORED, Pieces, Rows, Scaling, scaling
from bench.stages.probe.valid_map import ValidMap


@dataclass(frozen=True)
class Problem:
    """The embeddings and targets of a data set, its splits, and how probes are trained on them.

    Attributes:
        embeddings: of all tracks.
        hot: (tracks, outputs) bool, one-hot for classes.
        kind: of the targets.
        valid: places of the valid tracks.
        test: places of the test tracks.
        spec: kind of probe, grid and budget.
        device: such as "cpu" or "cuda".
        judge: scores logits of the valid split.
    """

    embeddings: Embeddings
    hot: NDArray[np.bool_]
    kind: Kind
    valid: NDArray[np.int64]
    test: NDArray[np.int64]
    spec: ProbeSpec
    device: str
    judge: ValidMap

    @property
    def grid(self) -> list[tuple[float, float]]:
        """Learning rate and weight decay of each grid point."""
        return [
            (rate, decay) for rate in self.spec.learning_rates for decay in self.spec.weight_decays
        ]


def labelled_inputs(
    problem: Problem, rows: NDArray[np.int64], seed: int, hold_bytes: float
) -> tuple[Labelled, Scaling]:
    """Standardises the inputs of one labelled subset.

    Args:
        problem: what all subsets have in common.
        rows: places of the labelled tracks.
        seed: of the probe.
        hold_bytes: the inputs of a split are kept in memory where they take no more than this.

    Returns:
        What training reads, and how inputs are standardised, for the test split.
    """
    embeddings, spec, device = problem.embeddings, problem.spec, problem.device
    by = scaling(embeddings, rows, spec.train_on)
    inputs = Rows(embeddings, rows, spec.train_on, by, device, hold_bytes)
    hot = np.ascontiguousarray(problem.hot[rows].T, dtype=np.float32)
    targets = torch.from_numpy(hot).to(device)
    valid = Pieces(embeddings, problem.valid, SCORED[spec.aggregation], by, device, hold_bytes)
    return Labelled(seed, inputs, targets, valid), by


def bytes_a_point(problem: Problem) -> int:
    """Estimates what a grid point of one subset takes in memory.

    That is its weights with their moments, gradient and copies, and the outputs of its layers.
    """
    spec, outputs = problem.spec, int(problem.hot.shape[1])
    width = int(problem.embeddings.tracks.shape[1])
    valid = len(problem.valid)
    if spec.aggregation == "mean_probability":
        valid = int(problem.embeddings.counts[problem.valid].sum())
    hidden = spec.hidden if spec.kind == "mlp" else 0
    weights = hidden * (width + 3 + outputs) if hidden else width * outputs
    layers = (4 * spec.batch_size + 2 * PIECE_ROWS) * (hidden or outputs) + 8 * outputs * valid
    return 4 * (6 * weights + layers)


def bytes_a_batch(problem: Problem) -> int:
    """Estimates what a subset takes beside its points: a batch, and a piece of the valid split."""
    width = int(problem.embeddings.tracks.shape[1])
    return 4 * width * (2 * problem.spec.batch_size + 2 * PIECE_ROWS)


def check(
    embeddings: Embeddings,
    targets: NDArray[np.bool_] | NDArray[np.int64],
    kind: Kind,
    valid: NDArray[np.int64],
    test: NDArray[np.int64],
    labelled: Sequence[NDArray[np.int64]],
) -> None:
    """Refuses what no probe can be trained on, chosen by or tested on.

    Args:
        embeddings: of all tracks of the data set.
        targets: (tracks, tags) bool for tags, (tracks,) int for classes.
        kind: of the targets.
        valid: places of the valid tracks.
        test: places of the test tracks.
        labelled: places of the labelled tracks of each subset.

    Raises:
        InputError: embeddings that are not finite or not as many as targets, a subset or a valid
            split without tracks or without a positive.
    """
    if len(embeddings.tracks) != len(targets):
        raise InputError(
            f"{len(embeddings.tracks)} embeddings for {len(targets)} tracks; they must be as many"
        )
    known = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *labelled]))
    for split, rows in (("train", known), ("valid", valid), ("test", test)):
        broken = int((~np.isfinite(embeddings.tracks[rows]).all(1)).sum())
        if broken:
            raise InputError(
                f"embeddings of {broken} of {len(rows)} {split} tracks are not finite; "
                "the encoder diverged"
            )
    if not len(valid):
        raise InputError("the valid split has no tracks: the probe needs at least one")
    for rows in labelled:
        if not len(rows):
            raise InputError("the train split has no tracks: the probe needs at least one")
        if kind == "tags" and not targets[rows].any():
            raise InputError(
                f"the labelled subset of {len(rows)} tracks has no positive of any tag"
            )
    if kind == "tags" and not targets[valid].any():
        raise InputError("no tag has a positive in the valid split: the probe cannot be chosen")
