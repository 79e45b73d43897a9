"""Small data sets for the tests of probes, whose tags are functions of the embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.metrics import average_precision_score

from bench.settings.specs import ProbeSpec
from bench.stages.embed.segments import Embeddings
from bench.stages.probe.aggregate import Kind
from bench.stages.probe.probes import Fitted, Subset, fit_all

SMALL = ProbeSpec(
    learning_rates=(1e-3, 1e-2),
    weight_decays=(1e-3, 1.0),
    steps=40,
    batch_size=32,
    evaluate_every=8,
    hidden=16,
    patience=0,
)


MLP = SMALL.model_copy(update={"kind": "mlp"})


def with_(spec: ProbeSpec, **values: object) -> ProbeSpec:
    """Copies a spec with some values changed."""
    return ProbeSpec(**(spec.model_dump() | values))


@dataclass(frozen=True)
class Split:
    """A data set: embeddings and targets of its tracks, and the places of its splits."""

    embeddings: Embeddings
    targets: np.ndarray
    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray

    @property
    def kind(self) -> Kind:
        """Whether the targets are tags or classes."""
        return "tags" if self.targets.ndim == 2 else "classes"

    @property
    def hot(self) -> np.ndarray:
        """(tracks, outputs) bool targets, one-hot for classes."""
        if self.kind == "tags":
            return self.targets
        return np.asarray(self.targets[:, None] == np.arange(self.targets.max() + 1))

    def fit_all(self, spec: ProbeSpec, subsets: Sequence[Subset], **options: Any) -> list[Fitted]:
        """Fits the grid to several subsets, and gives the chosen probes in their order."""
        outputs = options.pop("outputs", None)
        if outputs is None:
            outputs = self.targets.shape[1] if self.kind == "tags" else int(self.targets.max()) + 1
        results = fit_all(
            self.embeddings, self.targets, self.kind, outputs, self.valid, self.test, subsets, spec,
            "cpu", **options,
        )  # fmt: skip
        return [fitted for _, fitted in sorted(results, key=lambda pair: pair[0])]

    def fit(self, spec: ProbeSpec, seed: int = 0, **options: Any) -> Fitted:
        """Fits the grid to the whole train split."""
        return self.fit_all(spec, [Subset(self.train, seed)], **options)[0]

    def test_map(self, fitted: Fitted, aggregation: str = "mean_embedding") -> float:
        """Macro average precision of the test split."""
        return float(average_precision_score(self.targets[self.test], fitted.logits[aggregation]))

    def standardised(self, rows: np.ndarray) -> torch.Tensor:
        """Mean embeddings of some tracks, standardised by those of the train split."""
        known = self.embeddings.tracks[self.train].astype(np.float64)
        deviation = np.where(known.std(0) > 1e-6 * abs(known.mean(0)), known.std(0), 1)
        return torch.from_numpy(
            ((self.embeddings.tracks[rows] - known.mean(0)) / deviation).astype(np.float32)
        )


def of_tracks(tracks: np.ndarray) -> Embeddings:
    """Makes embeddings of tracks that have one segment each."""
    tracks = tracks.astype(np.float32)
    return Embeddings(tracks, np.arange(len(tracks) + 1), tracks)


def split(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> Split:
    """Makes a data set from the (inputs, targets) of its train, valid and test split."""
    inputs = np.concatenate([inputs for inputs, _ in parts])
    targets = np.concatenate([targets for _, targets in parts])
    train, valid, test = np.split(
        np.arange(len(inputs)), np.cumsum([len(inputs) for inputs, _ in parts])[:-1]
    )
    return Split(of_tracks(inputs), targets, train, valid, test)


def problem(
    tracks: int,
    width: int = 20,
    tags: int = 5,
    noise: float = 0.3,
    seed: int = 0,
    segments: int = 0,
) -> Split:
    """Makes a data set whose tags are noisy linear functions of a few directions of the inputs.

    The inputs have uneven scales. With `segments` each track has from 1 to that many of them,
    scattered about it.
    """
    random = np.random.default_rng(seed)
    directions = random.normal(size=(width, tags)) / width**0.5
    scales = np.geomspace(0.01, 10, width)

    def draw(number: int) -> tuple[np.ndarray, np.ndarray]:
        inputs = random.normal(size=(number, width))
        logits = inputs @ directions + noise * random.logistic(size=(number, tags))
        return (inputs * scales + 5).astype(np.float32), logits > 0.8

    data = split([draw(tracks), draw(200), draw(400)])
    if not segments:
        return data
    counts = random.integers(1, segments + 1, size=len(data.targets))
    first = np.concatenate([[0], counts.cumsum()])
    scattered = (
        np.repeat(data.embeddings.tracks, counts, axis=0)
        + random.normal(size=(first[-1], width)) * scales
    )
    means = np.add.reduceat(scattered, first[:-1], axis=0) / counts[:, None]
    embeddings = Embeddings(scattered.astype(np.float32), first, means.astype(np.float32))
    return Split(embeddings, data.targets, data.train, data.valid, data.test)


def assert_same(fitted: Fitted, expected: Fitted) -> None:
    """Two probes are the same to the last bit."""
    assert fitted.chosen == expected.chosen
    assert fitted.sweep == expected.sweep
    np.testing.assert_array_equal(fitted.curve, expected.curve)
    for name, logits in expected.logits.items():
        np.testing.assert_array_equal(fitted.logits[name], logits)
