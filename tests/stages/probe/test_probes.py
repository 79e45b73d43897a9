"""Probes: all in one program are the probes one by one, the valid split chooses, small subsets do not break it."""

import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import NearestNeighbors
from torch import nn
from torch.nn import functional

from bench.core.errors import InputError
from bench.core.randomness import generator, seed_for
from bench.settings.specs import ProbeSpec
from bench.stages.embed.segments import Embeddings, open_embeddings
from bench.stages.probe import inputs as rows_read
from bench.stages.probe import probes
from bench.stages.probe.inputs import Pieces, Rows, rows_of, scaling
from bench.stages.probe.probes import Fitted, Subset, fit_all
from bench.stages.probe.products import product
from bench.stages.probe.stacked import Labelled, _batches, train
from bench.stages.probe.valid_map import ValidMap, average_precision
from bench.statistics.metrics import mean_average_precision

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


pytestmark = pytest.mark.usefixtures("one_thread")


def with_(spec: ProbeSpec, **values: object) -> ProbeSpec:
    """The spec with some other values."""
    return ProbeSpec(**(spec.model_dump() | values))


@dataclass(frozen=True)
class Split:
    """Tracks of a data set: embeddings, targets, and places of its splits."""

    embeddings: Embeddings
    targets: np.ndarray
    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray

    @property
    def kind(self) -> Any:
        return "tags" if self.targets.ndim == 2 else "classes"

    def fit_all(self, spec: ProbeSpec, subsets: Sequence[Subset], **options: Any) -> list[Fitted]:
        """Fits of several subsets, in their order."""
        outputs = options.pop("outputs", None)
        if outputs is None:
            outputs = self.targets.shape[1] if self.kind == "tags" else int(self.targets.max()) + 1
        found = fit_all(
            self.embeddings,
            self.targets,
            self.kind,
            outputs,
            self.valid,
            self.test,
            subsets,
            spec,
            "cpu",
            **options,
        )
        return [fitted for _, fitted in sorted(found, key=lambda pair: pair[0])]

    def fit(self, spec: ProbeSpec, seed: int = 0, **options: Any) -> Fitted:
        """A fit of the whole train split."""
        return self.fit_all(spec, [Subset(self.train, seed)], **options)[0]

    def test_map(self, fitted: Fitted, aggregation: str = "mean_embedding") -> float:
        """Macro average precision of the test split."""
        return float(average_precision_score(self.targets[self.test], fitted.logits[aggregation]))

    def standardised(self, rows: np.ndarray) -> torch.Tensor:
        """Mean embeddings by the mean and deviation of the train split."""
        known = self.embeddings.tracks[self.train].astype(np.float64)
        deviation = np.where(known.std(0) > 1e-6 * abs(known.mean(0)), known.std(0), 1)
        return torch.from_numpy(
            ((self.embeddings.tracks[rows] - known.mean(0)) / deviation).astype(np.float32)
        )


def of_tracks(tracks: np.ndarray) -> Embeddings:
    """Embeddings of tracks with one segment each."""
    tracks = tracks.astype(np.float32)
    return Embeddings(tracks, np.arange(len(tracks) + 1), tracks)


def split(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> Split:
    """A data set of (inputs, targets) of the train, valid and test split."""
    places = np.split(
        np.arange(sum(len(part[0]) for part in parts)),
        np.cumsum([len(part[0]) for part in parts])[:-1],
    )
    return Split(
        of_tracks(np.concatenate([x for x, _ in parts])),
        np.concatenate([y for _, y in parts]),
        *places,
    )


def problem(
    tracks: int,
    width: int = 20,
    tags: int = 5,
    noise: float = 0.3,
    seed: int = 0,
    segments: int = 0,
) -> Split:
    """Tags that are noisy linear functions of a few directions of the inputs.

    The inputs have uneven scales. With `segments` each track has from 1 to that many of them,
    scattered about it.
    """
    random = np.random.default_rng(seed)
    directions, scales = (
        random.normal(size=(width, tags)) / width**0.5,
        np.geomspace(0.01, 10, width),
    )

    def draw(number: int) -> tuple[np.ndarray, np.ndarray]:
        inputs = random.normal(size=(number, width))
        logits = inputs @ directions + noise * random.logistic(size=(number, tags))
        return (inputs * scales + 5).astype(np.float32), logits > 0.8

    found = split([draw(tracks), draw(200), draw(400)])
    if not segments:
        return found
    counts = random.integers(1, segments + 1, size=len(found.targets))
    first = np.concatenate([[0], counts.cumsum()])
    scattered = (
        np.repeat(found.embeddings.tracks, counts, axis=0)
        + random.normal(size=(first[-1], width)) * scales
    )
    means = np.add.reduceat(scattered, first[:-1], axis=0) / counts[:, None]
    embeddings = Embeddings(scattered.astype(np.float32), first, means.astype(np.float32))
    return Split(embeddings, found.targets, found.train, found.valid, found.test)


def assert_same(found: Fitted, expected: Fitted) -> None:
    """To the last bit."""
    assert found.chosen == expected.chosen
    assert found.sweep == expected.sweep
    np.testing.assert_array_equal(found.curve, expected.curve)
    for name, logits in expected.logits.items():
        np.testing.assert_array_equal(found.logits[name], logits)


# The probes learn what there is to learn.


def test_linear_probe_recovers_a_separable_problem() -> None:
    data = problem(2000, noise=0)
    found = data.fit(ProbeSpec())
    assert data.test_map(found) > 0.97
    logits = found.logits["mean_embedding"]
    assert logits.shape == (400, 5)
    assert (
        (logits > 0) == data.targets[data.test]
    ).mean() > 0.95  # the bias is right too, not only the order


def test_linear_probe_is_as_good_as_tuned_logistic_regression() -> None:
    """On inputs whose directions are correlated, as those of embeddings are (isotropic ones cost AdamW about 0.015)."""
    random = np.random.default_rng(0)
    mixing, directions = random.normal(size=(12, 60)), random.normal(size=(12, 6)) * 0.6
    latent = random.normal(size=(1200, 12))
    inputs = (latent @ mixing + 2 * random.normal(size=(1200, 60))).astype(np.float32)
    labels = latent @ directions + random.logistic(size=(1200, 6)) > 1.5
    inputs = (inputs - inputs[:150].mean(0)) / inputs[:150].std(0)
    known, valid, test = slice(0, 150), slice(150, 350), slice(350, None)
    best = (-1.0, -1.0)
    for strength in (1e-3, 1e-2, 1e-1):
        models = [
            LogisticRegression(C=strength).fit(inputs[known], column) for column in labels[known].T
        ]
        logits = np.stack([model.decision_function(inputs) for model in models], 1)
        scores = [average_precision_score(labels[part], logits[part]) for part in (valid, test)]
        best = max(best, (scores[0], scores[1]))
    data = split([(inputs[part], labels[part]) for part in (known, valid, test)])
    assert data.test_map(data.fit(ProbeSpec())) > best[1] - 0.015


@pytest.mark.parametrize("kind", ["linear", "mlp", "knn"])
def test_embeddings_that_are_the_labels_are_scored_one_and_random_labels_one_half(
    kind: str,
) -> None:
    random = np.random.default_rng(0)
    labels = random.random((900, 4)) < 0.3
    parts = slice(0, 400), slice(400, 600), slice(600, None)
    perfect = split([(labels[part].astype(np.float32), labels[part]) for part in parts])
    found = perfect.fit(with_(SMALL, kind=kind, steps=100, neighbours=(1, 5)))
    assert roc_auc_score(labels[600:], found.logits["mean_embedding"]) == 1
    inputs = random.normal(size=(900, 20)).astype(np.float32)
    chance = split([(inputs[part], labels[part]) for part in parts])
    found = chance.fit(with_(SMALL, kind=kind))
    assert abs(roc_auc_score(labels[600:], found.logits["mean_embedding"]) - 0.5) < 0.06


def test_mlp_learns_what_a_linear_probe_cannot() -> None:
    random = np.random.default_rng(0)
    inputs = random.normal(size=(1500, 4)).astype(np.float32)
    labels = (inputs[:, :1] * inputs[:, 1:2]) > 0
    data = split(
        [
            (inputs[part], labels[part])
            for part in (slice(0, 1000), slice(1000, 1200), slice(1200, None))
        ]
    )
    scores = {
        kind: data.test_map(data.fit(ProbeSpec(kind=kind, hidden=32, steps=300)))
        for kind in ("linear", "mlp")
    }
    assert scores["linear"] < 0.7
    assert scores["mlp"] > 0.95


def test_classes_by_cross_entropy() -> None:
    random = np.random.default_rng(0)
    centres = random.normal(size=(6, 10)) * 2
    labels = random.integers(5, size=600)  # the sixth class is never seen
    inputs = (centres[labels] + random.normal(size=(600, 10))).astype(np.float32)
    data = split(
        [
            (inputs[part], labels[part])
            for part in (slice(0, 200), slice(200, 300), slice(300, None))
        ]
    )
    for kind in ("linear", "mlp", "knn"):
        found = data.fit(with_(SMALL, kind=kind, neighbours=(5, 500)), outputs=6)
        for logits in found.logits.values():
            assert logits.shape == (300, 6)
            assert np.isfinite(logits).all()
            assert (logits.argmax(1) == labels[300:]).mean() > 0.9


# Each is what it would be alone, and what PyTorch's own parts make of it.


@pytest.mark.parametrize("train_on", ["tracks", "segments"])
@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_alone_or_beside_others_and_with_any_memory_the_bits_are_the_same(
    kind: str, train_on: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On two threads, with grids in two pieces.

    Wide enough that products take both of their kernels.
    """
    monkeypatch.setattr(probes, "_ELEMENTS", 2 * 120 * (200 if kind == "mlp" else 5))
    data = problem(300, width=120, segments=5)
    spec = with_(
        SMALL, kind=kind, hidden=200, train_on=train_on, dropout=0.3, patience=2, batch_size=64
    )
    subsets = [
        Subset(data.train[start : start + 90 + start], seed)
        for seed, start in enumerate((0, 0, 50, 100))
    ]
    subsets += [Subset(data.train[:40], 0), Subset(data.train, 0)]
    torch.set_num_threads(2)
    together = data.fit_all(spec, subsets)
    for memory in (0.01, 3.0):
        for found, expected in zip(
            data.fit_all(with_(spec, memory_mb=memory), subsets), together, strict=True
        ):
            assert_same(found, expected)
    torch.set_num_threads(1)
    for subset, expected in zip(subsets, together, strict=True):
        assert_same(data.fit_all(spec, [subset])[0], expected)
    assert (together[0].curve[0] != together[1].curve[0]).any()  # two seeds of one subset


class Reference:
    """A probe in torch.nn, trained by torch.optim, with the start, batches and masks that ours has."""

    def __init__(self, data: Split, spec: ProbeSpec, seed: int, rate: float, decay: float) -> None:
        self.data, self.spec, self.seed = data, spec, seed
        targets = torch.from_numpy(data.targets[data.train])
        self.targets = targets.float() if data.kind == "tags" else targets
        hot = self.targets if data.kind == "tags" else functional.one_hot(targets).float()
        self.output = nn.Linear(data.embeddings.tracks.shape[1], hot.shape[1])
        share = (hot.sum(0) + 0.5) / (len(hot) + 1)
        self.hidden: nn.Module = nn.Identity()
        if spec.kind == "mlp":
            width = self.output.in_features
            first = nn.Linear(width, spec.hidden, bias=not spec.batch_norm)
            random = torch.Generator().manual_seed(seed_for(seed, "probe/weights"))
            drawn = torch.empty(spec.hidden, width + 1).uniform_(
                -(width**-0.5), width**-0.5, generator=random
            )
            first.weight.data.copy_(drawn[:, :-1])
            if not spec.batch_norm:
                first.bias.data.copy_(drawn[:, -1])
            self.hidden = nn.Sequential(
                first, *[nn.BatchNorm1d(spec.hidden)] * spec.batch_norm, nn.ReLU()
            )
            self.output = nn.Linear(spec.hidden, hot.shape[1])
        nn.init.zeros_(self.output.weight)
        self.output.bias.data.copy_(torch.logit(share) if data.kind == "tags" else share.log())
        values = [*self.hidden.parameters(), *self.output.parameters()]
        groups = [{"params": [value for value in values if value.ndim == 2]}]
        groups += [{"params": [value for value in values if value.ndim == 1], "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=rate, weight_decay=decay)
        self.step = 0

    def train(self, steps: int) -> None:
        """Some more steps."""
        inputs = self.data.standardised(self.data.train)
        waiting = [
            generator(self.seed, "probe/batches", epoch).permutation(len(inputs))
            for epoch in range(1 + (self.step + steps) * self.spec.batch_size // len(inputs))
        ]
        order, size = np.concatenate(waiting), min(self.spec.batch_size, len(inputs))
        self.hidden.train()
        for _ in range(steps):
            batch = torch.from_numpy(order[self.step * size : (self.step + 1) * size])
            self.step += 1
            active = self.hidden(inputs[batch])
            if self.spec.kind == "mlp" and self.spec.dropout:
                shape = (1, self.spec.hidden, size)
                drawn = (
                    generator(self.seed, "probe/dropout", self.step)
                    .random(shape, dtype=np.float32)[0]
                    .T
                )
                active = (
                    active
                    * (torch.from_numpy(drawn) >= self.spec.dropout)
                    / (1 - self.spec.dropout)
                )
            logits, targets = self.output(active), self.targets[batch]
            if self.data.kind == "tags":
                loss = functional.binary_cross_entropy_with_logits(logits, targets)
            else:
                loss = functional.cross_entropy(logits, targets)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()

    @torch.no_grad()
    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Of some tracks, in evaluation mode."""
        self.hidden.eval()
        result: np.ndarray = self.output(self.hidden(self.data.standardised(rows))).numpy()
        return result


@pytest.mark.parametrize("target", ["tags", "classes"])
@pytest.mark.parametrize(
    "spec",
    [SMALL, MLP, with_(MLP, batch_norm=False), with_(MLP, dropout=0.4)],
    ids=["linear", "mlp", "plain", "dropout"],
)
def test_each_grid_point_is_a_probe_of_torch(spec: ProbeSpec, target: str) -> None:
    """torch.nn.Linear, BatchNorm1d and torch.optim.AdamW: the same scores all along, and logits to 1e-4."""
    data = problem(150)
    if target == "classes":
        data = Split(
            data.embeddings, data.targets @ np.arange(1, 6) % 3, data.train, data.valid, data.test
        )
    whole, judge = data.fit(spec), ValidMap(hot(data)[data.valid], data.kind)
    grid = [(rate, decay) for rate in spec.learning_rates for decay in spec.weight_decays]
    assert [(row["learning_rate"], row["weight_decay"]) for row in whole.sweep] == grid
    for point, (rate, decay) in enumerate(grid):
        reference = Reference(data, spec, 0, rate, decay)
        curve = []
        for _ in whole.steps:
            reference.train(spec.evaluate_every)
            curve.append(float(judge(torch.from_numpy(reference.logits(data.valid).T.copy()))))
        np.testing.assert_allclose(whole.curve[:, point], curve, atol=2e-3)
        # With as many looks as one the last step is the chosen one.
        alone = data.fit(
            with_(spec, learning_rates=(rate,), weight_decays=(decay,), evaluate_every=spec.steps)
        )
        np.testing.assert_allclose(
            alone.logits["mean_embedding"], reference.logits(data.test), atol=1e-4, rtol=1e-4
        )
    assert (
        len({tuple(column) for column in whole.curve.T.round(6)}) > 1
    )  # the points are not all the same


def hot(data: Split) -> np.ndarray:
    """(tracks, outputs) bool targets."""
    return (
        data.targets
        if data.kind == "tags"
        else data.targets[:, None] == np.arange(data.targets.max() + 1)
    )


@pytest.mark.parametrize("spec", [SMALL, with_(MLP, dropout=0.2)], ids=["linear", "mlp"])
def test_stacked_subsets_are_the_subsets_alone(spec: ProbeSpec) -> None:
    """As on a GPU.

    Here products round alike or nearly, and 40 steps do not move a score by more than 2e-3.
    """
    data, spec = problem(200), with_(spec, patience=2)
    grid = [(rate, decay) for rate in spec.learning_rates for decay in spec.weight_decays]
    judge = ValidMap(data.targets[data.valid], "tags")

    def labelled(rows: np.ndarray, seed: int) -> Labelled:
        by = scaling(data.embeddings, rows, "tracks")
        targets = torch.from_numpy(data.targets[rows].T.astype(np.float32))
        read = [
            kind(data.embeddings, part, "tracks", by, "cpu", 1e9)
            for kind, part in ((Rows, rows), (Pieces, data.valid))
        ]
        return Labelled(seed, read[0], targets, read[1])

    subsets = [
        labelled(data.train[start : start + 100], seed) for seed, start in enumerate((0, 50, 100))
    ]
    together = train(subsets, grid, spec, "tags", judge)
    for subset, found in zip(subsets, together, strict=True):
        alone = train([subset], grid, spec, "tags", judge)[0]
        looks = min(len(alone.curve), len(found.curve))
        np.testing.assert_array_equal(alone.stopped, found.stopped)
        np.testing.assert_allclose(alone.curve[:looks], found.curve[:looks], atol=2e-3)
        assert found.weights is not None
        assert alone.weights is not None
        if alone.best == found.best:
            for name, weight in alone.weights.items():
                torch.testing.assert_close(found.weights[name], weight, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
@pytest.mark.parametrize("memory", [0.3, 2.0, 1000.0])
def test_the_program_for_gpus_finds_what_that_for_cpus_finds(memory: float, kind: str) -> None:
    """Run on the CPU, with stacks of every size: rounding may differ, which is 1e-3 of a logit of order 1."""
    data, spec = problem(200, segments=3), with_(SMALL, kind=kind, memory_mb=memory)
    subsets = [Subset(data.train[start:], start) for start in (0, 100, 190, 50)]
    alike = probes._Problem(
        data.embeddings, data.targets, "tags", data.valid, data.test, spec, "cpu",
        ValidMap(data.targets[data.valid], "tags"),
    )  # fmt: skip
    seen: list[tuple[int, int]] = []
    found = dict(probes._on_gpu(alike, subsets, lambda *now: seen.append(now)))
    assert seen[-1] == (4 * 4 * 40, 4 * 4 * 40)
    for place, expected in enumerate(data.fit_all(spec, subsets)):
        np.testing.assert_allclose(found[place].curve, expected.curve, atol=2e-3)
        if found[place].chosen["step"] == expected.chosen["step"]:
            for name, logits in expected.logits.items():
                np.testing.assert_allclose(found[place].logits[name], logits, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_points_that_stop_leave_the_others_as_they_were(kind: str) -> None:
    """Fewer points are other products, which may round otherwise: scores of the others stay within 2e-3."""
    data = problem(60, width=40, noise=1.0)
    spec = with_(SMALL, kind=kind, learning_rates=(1e-4, 1e-2, 0.1), steps=120, evaluate_every=4)
    whole, cut = data.fit(spec), data.fit(with_(spec, patience=3))
    stopped = [int(row["stopped"]) for row in cut.sweep]
    assert min(stopped) < 60
    assert max(stopped) > min(stopped)
    for point, last in enumerate(stopped):
        column, expected = cut.curve[:, point], whole.curve[: len(cut.curve), point]
        trained = cut.steps <= last
        np.testing.assert_array_equal(np.isnan(column), ~trained)
        np.testing.assert_allclose(column[trained], expected[trained], atol=2e-3)
        best = int(np.nanargmax(column))
        assert cut.sweep[point]["step"] == cut.steps[best]
        if last < spec.steps:
            assert last - cut.steps[best] == 3 * spec.evaluate_every
    assert cut.chosen["valid_map"] == np.nanmax(cut.curve)


def test_the_same_seed_gives_the_same_bits_and_another_seed_other_batches() -> None:
    data = problem(100)
    first, again, other = (data.fit(SMALL, seed).logits["mean_embedding"] for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_step_takes_one_random_segment_of_each_track() -> None:
    data = problem(50, segments=6)
    rows, first = rows_of(data.embeddings, data.train, "segments")
    by = scaling(data.embeddings, data.train, "segments")
    inputs = Rows(data.embeddings, data.train, "segments", by, "cpu", 0)
    seen = set()
    for tracks, places in _batches(
        Labelled(0, inputs, torch.zeros(5, 50), ()), with_(SMALL, steps=200)
    ):  # type: ignore[arg-type]
        assert len(tracks) == 32
        assert (first[tracks] <= places).all()
        assert (places < first[tracks + 1]).all()
        seen |= set(places.tolist())
    assert seen == set(range(len(rows)))
    known = data.embeddings.segments[rows]
    taken = torch.empty(len(rows), 20)
    inputs.take(np.arange(len(rows)), taken)
    np.testing.assert_allclose(taken, (known - known.mean(0)) / known.std(0), atol=2e-4)


@pytest.mark.parametrize("shape", [(3, 20, 30, 40), (1, 200, 300, 120), (2, 200, 300, 120)])
def test_products(shape: tuple[int, int, int, int]) -> None:
    stack, rows, columns, inner = shape
    left, right = torch.randn(stack, rows, inner), torch.randn(stack, inner, columns)
    expected = left.double() @ right.double()
    torch.testing.assert_close(
        product(left, right.transpose(1, 2)).double(), expected, atol=1e-4, rtol=1e-4
    )
    torch.testing.assert_close(
        product(left, right.mT.contiguous()).double(), expected, atol=1e-4, rtol=1e-4
    )


# What is chosen, and by what.


def test_a_probe_that_overfits_is_stopped_early() -> None:
    data = problem(40, width=120, tags=4, noise=0.6)
    spec = ProbeSpec(
        learning_rates=(0.02,), weight_decays=(1e-4,), steps=400, evaluate_every=5, patience=0
    )
    data = Split(data.embeddings, data.targets, data.train, data.valid, data.valid)
    found = data.fit(spec)
    assert found.chosen["step"] < 200
    assert found.chosen["valid_map"] > found.sweep[0]["last_valid_map"]
    assert found.chosen["valid_map"] == found.curve.max()
    # The kept weights are those of the chosen step, not of the last one.
    logits, labels = (
        torch.from_numpy(found.logits["mean_embedding"]),
        torch.from_numpy(data.targets[data.valid]),
    )
    assert mean_average_precision(logits, labels).item() == pytest.approx(
        found.chosen["valid_map"], abs=1e-4
    )
    short = data.fit(with_(spec, steps=found.chosen["step"]))
    np.testing.assert_array_equal(short.logits["mean_embedding"], found.logits["mean_embedding"])
    patient = data.fit(with_(spec, patience=80))
    assert patient.sweep[0]["stopped"] == 400
    cut = data.fit(with_(spec, patience=20))
    assert cut.sweep[0]["stopped"] < 400
    np.testing.assert_array_equal(cut.logits["mean_embedding"], found.logits["mean_embedding"])


def test_ties_go_to_the_earlier_step_and_the_first_point(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = np.repeat([[0.0], [1.0]], 20, axis=0).astype(np.float32)
    data = split([(inputs, inputs > 0.5)] * 3)
    for spec, elements in (
        (SMALL, 1),
        (SMALL, 1000),
        (MLP, 1),
    ):  # with 1 each point is a piece of its own
        monkeypatch.setattr(probes, "_ELEMENTS", elements)
        found = data.fit(spec)
        assert found.curve.min() == 1  # every point is right from the first look on
        assert found.chosen == {
            "learning_rate": 1e-3,
            "weight_decay": 1e-3,
            "step": 8,
            "valid_map": 1.0,
        }
        short = data.fit(with_(spec, steps=8))
        np.testing.assert_array_equal(
            found.logits["mean_embedding"], short.logits["mean_embedding"]
        )


def test_the_valid_split_is_looked_at_after_the_last_step_too() -> None:
    found = problem(30).fit(with_(SMALL, steps=19))
    assert found.steps.tolist() == [8, 16, 19]
    assert found.curve.shape == (3, 4)
    assert problem(30).fit(with_(SMALL, steps=5)).steps.tolist() == [5]


def test_a_point_that_diverges_is_not_chosen() -> None:
    data = problem(60)
    found = data.fit(with_(SMALL, learning_rates=(1e-2, 1e38)))
    assert found.chosen["learning_rate"] == 1e-2
    assert found.sweep[2]["last_valid_map"] == -1
    with pytest.raises(InputError, match="every point of the probe's grid diverged"):
        data.fit(with_(SMALL, learning_rates=(1e38,)))


def test_the_valid_score_is_that_of_scikit_learn_with_ties() -> None:
    random = np.random.default_rng(0)
    labels = random.random((6, 150)) < 0.2
    for scores in (
        random.normal(size=(3, 6, 150)),
        random.integers(-3, 4, (3, 6, 150)) / 2,
        np.zeros((3, 6, 150)),
    ):
        found = average_precision(scores.astype(np.float32) * np.float32(-1e-3), labels)
        for point in range(3):
            expected = average_precision_score(labels.T, -scores[point].T, average=None)
            np.testing.assert_allclose(found[point], expected, rtol=1e-12)


# Segments.


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_both_aggregations_come_from_the_same_probe(kind: str) -> None:
    """The mean over segments of the probability, computed directly from the logits of a test split of segments."""
    data = problem(100, segments=5)
    found = data.fit(with_(SMALL, kind=kind))
    rows, first = rows_of(data.embeddings, data.test, "segments")
    apart = Embeddings(
        np.concatenate([data.embeddings.tracks, data.embeddings.segments[rows]]),
        np.arange(len(data.targets) + len(rows) + 1),
        np.concatenate([data.embeddings.tracks, data.embeddings.segments[rows]]),
    )
    targets = np.concatenate([data.targets, np.zeros((len(rows), 5), dtype=bool)])
    alone = Split(apart, targets, data.train, data.valid, len(data.targets) + np.arange(len(rows)))
    logits = alone.fit(with_(SMALL, kind=kind)).logits["mean_embedding"].astype(np.float64)
    mean = [(1 / (1 + np.exp(-logits[start:stop]))).mean(0) for start, stop in pairwise(first)]
    mean = np.array(mean)
    np.testing.assert_allclose(
        found.logits["mean_probability"], np.log(mean / (1 - mean)), atol=1e-5, rtol=1e-5
    )


def test_the_valid_split_is_scored_as_the_spec_aggregates() -> None:
    data = problem(100, segments=5)
    data = Split(data.embeddings, data.targets, data.train, data.valid, data.valid)
    for spec in (SMALL, with_(SMALL, kind="knn", neighbours=(3, 9))):
        for name in ("mean_embedding", "mean_probability"):
            found = data.fit(with_(spec, aggregation=name))
            assert data.test_map(found, name) == pytest.approx(found.chosen["valid_map"], abs=1e-5)


def test_mean_probabilities_do_not_saturate() -> None:
    from bench.stages.probe.aggregate import mean_probability

    logits = torch.tensor([[300.0, -5000.0], [310.0, 90.0], [2.0, 4000.0]])
    found = mean_probability(logits, np.array([0, 2, 3]), "tags")
    # (1 - p) of the first is (e^-300 + e^-310) / 2; of the second p is one half.
    expected = [[300 + np.log(2) - np.log1p(np.exp(-10)), 0.0], [2.0, 4000.0]]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float32))
    found = mean_probability(logits.double(), np.array([0, 2, 3]), "classes")
    expected = [[np.log(1 / 2 + 1 / 2), -220 - np.log(2)], [-3998.0, 0.0]]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


# Small subsets, unusable inputs.


@pytest.mark.parametrize(
    "spec", [SMALL, MLP, with_(MLP, batch_norm=False), with_(SMALL, kind="knn")]
)
@pytest.mark.parametrize("tracks", [1, 2, 3, 4])
def test_tiny_subsets_and_tags_without_positives(tracks: int, spec: ProbeSpec) -> None:
    data = problem(tracks)
    data.targets[data.train, 0] = False
    data.targets[data.train, 1] = True
    data.targets[data.valid, 2] = False
    found = data.fit(spec)
    for logits in found.logits.values():
        assert np.isfinite(logits).all()
        assert abs(logits).max() < 1000
    assert 0 < found.chosen["valid_map"] <= 1


def test_only_training_tracks_set_the_scale_and_constants_are_harmless() -> None:
    data = problem(60)
    data.embeddings.tracks[data.train, 3] = 1234.567  # constant in training, not in the others
    by = scaling(data.embeddings, data.train, "tracks")
    np.testing.assert_allclose(by.mean, data.embeddings.tracks[data.train].mean(0), rtol=1e-4)
    assert by.deviation[3] == 1
    changed = Embeddings(
        data.embeddings.segments, data.embeddings.first, data.embeddings.tracks.copy()
    )
    changed.tracks[data.test, 3] += 1
    found, moved = (
        Split(part, data.targets, data.train, data.valid, data.test).fit(SMALL)
        for part in (data.embeddings, changed)
    )
    np.testing.assert_allclose(
        found.logits["mean_embedding"], moved.logits["mean_embedding"], atol=1e-2
    )
    # What the other splits hold changes neither the scale nor the training.
    changed.tracks[data.test] += 3
    assert (
        Split(changed, data.targets, data.train, data.valid, data.test).fit(SMALL).sweep
        == found.sweep
    )


def test_unusable_inputs_are_said_in_one_line() -> None:
    data = problem(10)
    broken = data.embeddings.tracks.copy()
    broken[[3, 12, 13, -1], 1] = np.nan
    nan = Embeddings(data.embeddings.segments, data.embeddings.first, broken)
    nothing = data.targets.copy()
    nothing[data.valid] = False
    untagged = data.targets.copy()
    untagged[:4] = False
    none = np.empty(0, dtype=np.int64)
    cases = [
        (
            nan,
            data.targets,
            data.train,
            data.valid,
            "1 of 10 train tracks are not finite; the encoder diverged",
        ),
        (nan, data.targets, data.train[:2], data.valid, "2 of 200 valid tracks are not finite"),
        (nan, data.targets, data.train[:2], data.valid[5:], "1 of 400 test tracks are not finite"),
        (data.embeddings, data.targets, none, data.valid, "train split has no tracks"),
        (data.embeddings, data.targets, data.train, none, "valid split has no tracks"),
        (
            data.embeddings,
            nothing,
            data.train,
            data.valid,
            "no tag has a positive in the valid split",
        ),
        (
            data.embeddings,
            untagged,
            data.train[:4],
            data.valid,
            "subset of 4 tracks has no positive of any tag",
        ),
        (data.embeddings, data.targets[:5], data.train, data.valid, "610 embeddings for 5 tracks"),
    ]
    for embeddings, targets, rows, valid, words in cases:
        with pytest.raises(InputError, match=words):  # before anything is asked of the iterator
            fit_all(
                embeddings, targets, "tags", 5, valid, data.test, [Subset(rows, 0)], SMALL, "cpu"
            )


# Nearest neighbours.


@pytest.mark.parametrize("aggregation", ["mean_embedding", "mean_probability"])
def test_neighbours_are_those_of_scikit_learn(aggregation: str) -> None:
    data = problem(80, segments=4)
    spec = with_(SMALL, kind="knn", neighbours=(7,), aggregation=aggregation)
    found = data.fit(spec)
    known = data.standardised(data.train).numpy()
    model = NearestNeighbors(n_neighbors=7, metric="cosine").fit(known)
    mean, deviation = (
        getattr(data.embeddings.tracks[data.train].astype(np.float64), name)(0)
        for name in ("mean", "std")
    )
    rows, first = rows_of(
        data.embeddings, data.test, "segments" if aggregation == "mean_probability" else "tracks"
    )
    source = (
        data.embeddings.segments if aggregation == "mean_probability" else data.embeddings.tracks
    )
    nearest = model.kneighbors((source[rows] - mean) / deviation, return_distance=False)
    labels = data.targets[data.train]
    frequency = (labels.sum(0) + 1) / (len(labels) + 2)
    share = (labels[nearest].sum(1) + frequency) / 8
    mean = np.add.reduceat(share, first[:-1], axis=0) / np.diff(first)[:, None]
    np.testing.assert_allclose(found.logits[aggregation], np.log(mean / (1 - mean)), atol=1e-5)


def test_the_number_of_neighbours_is_chosen_and_never_more_than_there_are() -> None:
    data = problem(30)
    found = data.fit(with_(SMALL, kind="knn", neighbours=(100, 1, 40, 5)))
    assert [row["neighbours"] for row in found.sweep] == [1, 5, 30]
    assert found.chosen == max(found.sweep, key=lambda row: row["valid_map"])
    # All alike: the first labelled tracks are the neighbours, and scores are finite.
    same = split([(np.ones((9, 3)), np.arange(9)[:, None] < 3)] * 3)
    logits = same.fit(with_(SMALL, kind="knn", neighbours=(3,))).logits["mean_embedding"]
    np.testing.assert_allclose(logits, np.log((3 + 4 / 11) / (1 - 4 / 11)), rtol=1e-6)


# Time and memory.


@pytest.mark.parametrize("kind", ["linear", "mlp", "knn"])
def test_the_number_of_threads_is_left_as_it_was(kind: str) -> None:
    data = problem(30)
    torch.set_num_threads(2)
    for _ in fit_all(
        data.embeddings, data.targets, "tags", 5, data.valid, data.test, [Subset(data.train, 0)] * 40,
        with_(SMALL, kind=kind, steps=2), "cpu",
    ):  # fmt: skip
        assert torch.get_num_threads() == 2  # while results are handed over, too
    assert torch.get_num_threads() == 2


def test_progress_counts_probe_steps() -> None:
    data, seen = problem(60, noise=1.0), []
    spec = with_(SMALL, steps=100, patience=2)
    data.fit_all(
        spec,
        [Subset(data.train, 0), Subset(data.train[:20], 1)],
        progress=lambda *now: seen.append(now),
    )
    assert seen == sorted(seen)
    assert seen[-1] == (2 * 4 * 100, 2 * 4 * 100)


def test_results_come_while_others_wait() -> None:
    data = problem(20)
    done = []
    found = fit_all(
        data.embeddings, data.targets, "tags", 5, data.valid, data.test, [Subset(data.train, 0)] * 100,
        SMALL, "cpu", progress=lambda now, total: done.append(now / total),
    )  # fmt: skip
    assert next(found)[0] == 0
    assert done[-1] < 0.5


def test_memory_does_not_grow_with_the_number_of_probes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Segments are read from the disk in pieces.

    What is held is the same for 64 and for 384 probes.
    """
    data = problem(40, width=64, segments=40)
    for name in ("segments", "first", "tracks"):
        np.save(tmp_path / f"{name}.npy", getattr(data.embeddings, name))
    data = Split(open_embeddings(tmp_path), data.targets, data.train, data.valid, data.test)
    largest = 0
    whole = rows_read._read

    def read(source: np.ndarray, rows: np.ndarray, *others: Any) -> torch.Tensor:
        nonlocal largest
        largest = max(largest, len(rows))
        return whole(source, rows, *others)

    monkeypatch.setattr(rows_read, "_read", read)
    spec = with_(
        SMALL,
        steps=4,
        evaluate_every=4,
        train_on="segments",
        aggregation="mean_probability",
        memory_mb=0.1,
    )
    peaks = []
    for subsets in (16, 96):
        tracemalloc.start()
        labelled = [Subset(data.train, 0)] * subsets
        for _ in fit_all(
            data.embeddings, data.targets, "tags", 5, data.valid, data.test, labelled, spec, "cpu"
        ):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert largest <= 1024 < data.embeddings.first[-1]
    assert peaks[1] < 1.5 * peaks[0] + 500_000
    # One MLP of the paper's size at a time takes less than 64 MiB beside its inputs.
    paper = probes._Problem(
        Embeddings(np.empty((1, 1024), np.float32), np.arange(1), np.empty((1, 1024), np.float32)),
        np.empty((1, 50), bool), "tags", np.arange(1529), np.arange(4332), ProbeSpec(kind="mlp"), "cpu",
        ValidMap(np.ones((1, 50), bool), "tags"),
    )  # fmt: skip
    assert probes._bytes_a_point(paper) + probes._bytes_a_batch(paper) < 64 * 2**20


def test_the_default_grid_is_fast() -> None:
    data = problem(360, width=256, tags=30)
    start = time.process_time()
    data.fit(ProbeSpec(steps=300, patience=0))
    assert time.process_time() - start < 3  # seconds of processor time
