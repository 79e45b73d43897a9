"""The choice of a probe from its grid."""

import numpy as np
import pytest

from bench.core.errors import InputError
from bench.stages.probe import probes
from tests.stages.probe.problems import MLP, SMALL, problem, split, with_

pytestmark = pytest.mark.usefixtures("one_thread")


def test_ties_go_to_the_earlier_step_and_the_first_point(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = np.repeat([[0.0], [1.0]], 20, axis=0).astype(np.float32)
    data = split([(inputs, inputs > 0.5)] * 3)
    # With 1 element each point is a piece of its own.
    for spec, elements in ((SMALL, 1), (SMALL, 1000), (MLP, 1)):
        monkeypatch.setattr(probes, "_ELEMENTS", elements)
        fitted = data.fit(spec)
        assert fitted.curve.min() == 1  # every point is right from the first look on
        assert fitted.chosen == {
            "learning_rate": 1e-3,
            "weight_decay": 1e-3,
            "step": 8,
            "valid_map": 1.0,
        }
        short = data.fit(with_(spec, steps=8))
        np.testing.assert_array_equal(
            fitted.logits["mean_embedding"], short.logits["mean_embedding"]
        )


def test_a_point_that_diverges_is_not_chosen() -> None:
    data = problem(60)
    fitted = data.fit(with_(SMALL, learning_rates=(1e-2, 1e38)))
    assert fitted.chosen["learning_rate"] == 1e-2
    assert fitted.sweep[2]["last_valid_map"] == -1
    with pytest.raises(InputError, match="every point of the probe's grid diverged"):
        data.fit(with_(SMALL, learning_rates=(1e38,)))
