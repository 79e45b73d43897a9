"""Probes: the grid in one program is the grid one by one, the valid split chooses, small subsets do not break it."""

import time

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from torch.nn import functional

from bench.config import ProbeSpec
from bench.errors import InputError
from bench.probe.metrics import mean_average_precision
from bench.probe.probes import Fit, fit

SMALL = ProbeSpec(learning_rates=(1e-3, 1e-2), weight_decays=(1e-3, 1.0), steps=40, batch_size=32, evaluate_every=8)


pytestmark = pytest.mark.usefixtures("one_thread")


class Problem:
    """Tags that are noisy linear functions of a few directions of the inputs; the inputs have uneven scales."""

    def __init__(self, tracks: int, width: int = 20, tags: int = 5, noise: float = 0.3, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.directions = self.random.normal(size=(width, tags)) / width**0.5
        self.scales, self.noise = np.geomspace(0.01, 10, width), noise
        self.train, self.valid, self.test = self.draw(tracks), self.draw(200), self.draw(800)

    def draw(self, tracks: int) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and bool labels."""
        inputs = self.random.normal(size=(tracks, len(self.scales)))
        logits = inputs @ self.directions + self.noise * self.random.logistic(size=(tracks, self.directions.shape[1]))
        return (inputs * self.scales + 5).astype(np.float32), logits > 0.8

    def fit(self, spec: ProbeSpec, seed: int = 0) -> Fit:
        """A fit of the train split, chosen on the valid split."""
        return fit(*self.train, *self.valid, "tags", spec, seed, "cpu")

    def test_map(self, found: Fit) -> float:
        """Macro average precision of the test split."""
        return float(average_precision_score(self.test[1], found.logits(self.test[0])))


def test_linear_probe_recovers_a_separable_problem() -> None:
    problem = Problem(2000, noise=0)
    found = problem.fit(ProbeSpec())
    assert problem.test_map(found) > 0.97
    logits = found.logits(problem.test[0])
    assert logits.shape == (800, 5)
    assert ((logits > 0) == problem.test[1]).mean() > 0.95  # the bias is right too, not only the order


def test_linear_probe_is_as_good_as_tuned_logistic_regression() -> None:
    """On inputs whose directions are correlated, as those of embeddings are (isotropic ones cost AdamW about 0.015)."""
    random = np.random.default_rng(0)
    mixing, directions = random.normal(size=(12, 60)), random.normal(size=(12, 6)) * 0.6
    latent = random.normal(size=(1200, 12))
    inputs = (latent @ mixing + 2 * random.normal(size=(1200, 60))).astype(np.float32)
    labels = latent @ directions + random.logistic(size=(1200, 6)) > 1.5
    inputs = (inputs - inputs[:150].mean(0)) / inputs[:150].std(0)
    train, valid, test = slice(0, 150), slice(150, 350), slice(350, None)
    best = (-1.0, -1.0)
    for strength in (1e-3, 1e-2, 1e-1):
        models = [LogisticRegression(C=strength).fit(inputs[train], column) for column in labels[train].T]
        logits = np.stack([model.decision_function(inputs) for model in models], 1)
        scores = [average_precision_score(labels[part], logits[part]) for part in (valid, test)]
        best = max(best, (scores[0], scores[1]))
    found = fit(inputs[train], labels[train], inputs[valid], labels[valid], "tags", ProbeSpec(), 0, "cpu")
    assert average_precision_score(labels[test], found.logits(inputs[test])) > best[1] - 0.015


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_a_grid_point_alone_is_the_grid_point_in_the_grid(kind: str) -> None:
    """Float32 products of different shapes may round differently: 1e-4 after 40 steps, on logits of order 1."""
    problem = Problem(100)
    base = SMALL.model_dump() | {"kind": kind, "hidden": 16}
    whole = problem.fit(ProbeSpec(**base))
    grid = [(rate, decay) for rate in SMALL.learning_rates for decay in SMALL.weight_decays]
    assert [(row["learning_rate"], row["weight_decay"]) for row in whole.sweep] == grid
    for point, (rate, decay) in enumerate(grid):
        alone = problem.fit(ProbeSpec(**(base | {"learning_rates": (rate,), "weight_decays": (decay,)})))
        np.testing.assert_allclose(alone.curve[:, 0], whole.curve[:, point], atol=2e-3)
        if whole.chosen["learning_rate"] == rate and whole.chosen["weight_decay"] == decay:
            assert alone.chosen["step"] == whole.chosen["step"]
            np.testing.assert_allclose(
                alone.logits(problem.test[0]), whole.logits(problem.test[0]), atol=1e-4, rtol=1e-4
            )
    assert len({tuple(column) for column in whole.curve.T.round(6)}) > 1  # the points are not all the same


def test_the_optimiser_is_that_of_torch() -> None:
    """Full batches, one grid point: the same weights as torch.optim.AdamW, with no decay on the bias."""
    problem = Problem(50)
    spec = ProbeSpec(learning_rates=(0.03,), weight_decays=(0.5,), steps=30, evaluate_every=30)
    found = problem.fit(spec)
    inputs = torch.from_numpy((problem.train[0] - problem.train[0].mean(0)) / problem.train[0].std(0))
    targets = torch.from_numpy(problem.train[1]).float()
    matrix = torch.zeros(20, 5, requires_grad=True)
    bias = torch.logit((targets.sum(0) + 0.5) / 51).requires_grad_()
    groups = [{"params": [matrix], "weight_decay": 0.5}, {"params": [bias], "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=0.03)
    for _ in range(30):
        optimiser.zero_grad()
        functional.binary_cross_entropy_with_logits(inputs @ matrix + bias, targets).backward()
        optimiser.step()
    torch.testing.assert_close(found.weights[0][0], matrix.detach(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.weights[1][0, 0], bias.detach(), atol=1e-4, rtol=1e-4)


def test_the_same_seed_gives_the_same_bits_and_another_seed_other_batches() -> None:
    problem = Problem(100)
    first, again, other = (problem.fit(SMALL, seed).logits(problem.test[0]) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_probe_that_overfits_is_stopped_early() -> None:
    problem = Problem(40, width=120, tags=4, noise=0.6)
    spec = ProbeSpec(learning_rates=(0.02,), weight_decays=(1e-4,), steps=400, evaluate_every=5)
    found = problem.fit(spec)
    assert found.chosen["step"] < 200
    assert found.chosen["valid_map"] > found.sweep[0]["last_valid_map"]
    assert found.chosen["valid_map"] == found.curve.max()
    # The kept weights are those of the chosen step, not of the last one.
    logits, labels = torch.from_numpy(found.logits(problem.valid[0])), torch.from_numpy(problem.valid[1])
    assert mean_average_precision(logits, labels).item() == pytest.approx(found.chosen["valid_map"], abs=1e-4)
    short = problem.fit(spec.model_copy(update={"steps": found.chosen["step"]}))
    np.testing.assert_array_equal(short.logits(problem.test[0]), found.logits(problem.test[0]))


def test_ties_go_to_the_earlier_step_and_the_first_point() -> None:
    inputs = np.repeat([[0.0], [1.0]], 20, axis=0).astype(np.float32)
    labels = inputs > 0.5
    found = fit(inputs, labels, inputs, labels, "tags", SMALL, 0, "cpu")
    assert found.curve.min() == 1  # every point is right from the first look on
    assert found.chosen == {"learning_rate": 1e-3, "weight_decay": 1e-3, "step": 8, "valid_map": 1.0}
    short = fit(inputs, labels, inputs, labels, "tags", SMALL.model_copy(update={"steps": 8}), 0, "cpu")
    np.testing.assert_array_equal(found.logits(inputs), short.logits(inputs))


def test_the_valid_split_is_looked_at_after_the_last_step_too() -> None:
    found = Problem(30).fit(SMALL.model_copy(update={"steps": 19}))
    assert found.steps.tolist() == [8, 16, 19]
    assert found.curve.shape == (3, 4)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
@pytest.mark.parametrize("tracks", [1, 2, 3, 4])
def test_tiny_subsets_and_tags_without_positives(tracks: int, kind: str) -> None:
    problem = Problem(tracks)
    problem.train[1][:, 0] = False
    problem.valid[1][:, 1] = False
    found = problem.fit(SMALL.model_copy(update={"kind": kind, "hidden": 8}))
    logits = found.logits(problem.test[0])
    assert np.isfinite(logits).all()
    assert 0 < found.chosen["valid_map"] <= 1


def test_only_training_tracks_set_the_scale_and_constants_are_harmless() -> None:
    problem = Problem(60)
    problem.train[0][:, 3] = 1234.567  # constant in training, not in the others
    found = problem.fit(SMALL)
    np.testing.assert_allclose(found.mean.numpy(), problem.train[0].mean(0), rtol=1e-4)
    assert found.deviation[3] == 1
    assert found.weights[0][0, 3].abs().max() < 1e-2
    shifted = fit(*problem.train, problem.valid[0] + 3, problem.valid[1], "tags", SMALL, 0, "cpu")
    torch.testing.assert_close(shifted.mean, found.mean)


def test_classes_by_cross_entropy() -> None:
    random = np.random.default_rng(0)
    centres = random.normal(size=(6, 10)) * 2
    labels = random.integers(5, size=600)  # the sixth class is never seen
    inputs = (centres[labels] + random.normal(size=(600, 10))).astype(np.float32)
    parts = inputs[:200], labels[:200], inputs[200:300], labels[200:300]
    found = fit(*parts, "classes", SMALL, 0, "cpu", classes=6)
    logits = found.logits(inputs[300:])
    assert logits.shape == (300, 6)
    assert (logits.argmax(1) == labels[300:]).mean() > 0.9
    assert fit(*parts, "classes", SMALL, 0, "cpu").logits(inputs).shape == (600, 5)


def test_mlp_learns_what_a_linear_probe_cannot() -> None:
    random = np.random.default_rng(0)
    inputs = random.normal(size=(1500, 4)).astype(np.float32)
    labels = (inputs[:, :1] * inputs[:, 1:2]) > 0
    parts = inputs[:1000], labels[:1000], inputs[1000:1200], labels[1000:1200], "tags"
    scores = {}
    for kind in ("linear", "mlp"):
        found = fit(*parts, ProbeSpec(kind=kind, hidden=32, steps=300), 0, "cpu")
        scores[kind] = average_precision_score(labels[1200:], found.logits(inputs[1200:]))
    assert scores["linear"] < 0.7
    assert scores["mlp"] > 0.95


def test_a_point_that_diverges_is_not_chosen() -> None:
    found = Problem(60).fit(SMALL.model_copy(update={"learning_rates": (1e-2, 1e38)}))
    assert found.chosen["learning_rate"] == 1e-2
    assert found.sweep[2]["last_valid_map"] == -1


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_the_number_of_threads_is_left_as_it_was(kind: str) -> None:
    torch.set_num_threads(2)
    Problem(30).fit(SMALL.model_copy(update={"kind": kind, "steps": 2}))
    assert torch.get_num_threads() == 2


def test_unusable_inputs_are_said_in_one_line() -> None:
    problem = Problem(10)
    (inputs, labels), (valid, targets) = problem.train, problem.valid
    broken = inputs.copy()
    broken[3, 1] = np.nan
    cases = [
        ((broken, labels, valid, targets), "1 of 10 train tracks are not finite"),
        ((inputs[:0], labels[:0], valid, targets), "train split has no tracks"),
        ((inputs, labels, valid, np.zeros_like(targets)), "no tag has a positive in the valid split"),
        ((inputs, labels[:5], valid, targets), "10 embeddings for 5 train tracks"),
    ]
    for parts, words in cases:
        with pytest.raises(InputError, match=words):
            fit(*parts, "tags", SMALL, 0, "cpu")


def test_the_default_grid_is_fast() -> None:
    problem = Problem(360, width=256, tags=30)
    start = time.process_time()
    problem.fit(ProbeSpec(steps=300))
    assert time.process_time() - start < 6  # seconds of processor time: 3 on each of two cores
