"""Training of a stack: each subset is what it would be alone, and points stop when they should."""

import numpy as np
import pytest
import torch

from bench.settings.specs import ProbeSpec
from bench.stages.probe.batches import Labelled
from bench.stages.probe.inputs import Pieces, Rows, scaling
from bench.stages.probe.stacked import train
from bench.stages.probe.valid_map import ValidMap
from bench.statistics.metrics import mean_average_precision
from tests.stages.probe.problems import MLP, SMALL, Split, problem, with_

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("spec", [SMALL, with_(MLP, dropout=0.2)], ids=["linear", "mlp"])
def test_stacked_subsets_are_the_subsets_alone(spec: ProbeSpec) -> None:
    """Subsets are stacked on a GPU; here they are on the CPU.

    Products round alike or nearly, and 40 steps do not move a score by more than 2e-3.
    """
    data, spec = problem(200), with_(spec, patience=2)
    grid = [(rate, decay) for rate in spec.learning_rates for decay in spec.weight_decays]
    judge = ValidMap(data.targets[data.valid], "tags")

    def labelled(rows: np.ndarray, seed: int) -> Labelled:
        by = scaling(data.embeddings, rows, "tracks")
        targets = torch.from_numpy(data.targets[rows].T.astype(np.float32))
        inputs = Rows(data.embeddings, rows, "tracks", by, "cpu", 1e9)
        valid = Pieces(data.embeddings, data.valid, "tracks", by, "cpu", 1e9)
        return Labelled(seed, inputs, targets, valid)

    subsets = [
        labelled(data.train[start : start + 100], seed) for seed, start in enumerate((0, 50, 100))
    ]
    stacked = train(subsets, grid, spec, "tags", judge)
    for subset, trained in zip(subsets, stacked, strict=True):
        alone = train([subset], grid, spec, "tags", judge)[0]
        looks = min(len(alone.curve), len(trained.curve))
        np.testing.assert_array_equal(alone.stopped, trained.stopped)
        np.testing.assert_allclose(alone.curve[:looks], trained.curve[:looks], atol=2e-3)
        assert trained.weights is not None
        assert alone.weights is not None
        if alone.best == trained.best:
            for name, weight in alone.weights.items():
                torch.testing.assert_close(trained.weights[name], weight, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_points_that_stop_leave_the_others_as_they_were(kind: str) -> None:
    """Scores of the others stay within 2e-3: products of fewer points may round otherwise."""
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


def test_a_probe_that_overfits_is_stopped_early() -> None:
    data = problem(40, width=120, tags=4, noise=0.6)
    spec = ProbeSpec(
        learning_rates=(0.02,), weight_decays=(1e-4,), steps=400, evaluate_every=5, patience=0
    )
    data = Split(data.embeddings, data.targets, data.train, data.valid, data.valid)
    fitted = data.fit(spec)
    assert fitted.chosen["step"] < 200
    assert fitted.chosen["valid_map"] > fitted.sweep[0]["last_valid_map"]
    assert fitted.chosen["valid_map"] == fitted.curve.max()
    # The kept weights are those of the chosen step, not of the last one.
    logits = torch.from_numpy(fitted.logits["mean_embedding"])
    labels = torch.from_numpy(data.targets[data.valid])
    assert mean_average_precision(logits, labels).item() == pytest.approx(
        fitted.chosen["valid_map"], abs=1e-4
    )
    short = data.fit(with_(spec, steps=fitted.chosen["step"]))
    np.testing.assert_array_equal(short.logits["mean_embedding"], fitted.logits["mean_embedding"])
    patient = data.fit(with_(spec, patience=80))
    assert patient.sweep[0]["stopped"] == 400
    cut = data.fit(with_(spec, patience=20))
    assert cut.sweep[0]["stopped"] < 400
    np.testing.assert_array_equal(cut.logits["mean_embedding"], fitted.logits["mean_embedding"])


def test_the_valid_split_is_looked_at_after_the_last_step_too() -> None:
    fitted = problem(30).fit(with_(SMALL, steps=19))
    assert fitted.steps.tolist() == [8, 16, 19]
    assert fitted.curve.shape == (3, 4)
    assert problem(30).fit(with_(SMALL, steps=5)).steps.tolist() == [5]
