"""Standardised inputs of a probe."""

import numpy as np
import pytest

from bench.stages.embed.segments import Embeddings
from bench.stages.probe.inputs import scaling
from tests.stages.probe.problems import SMALL, Split, problem

pytestmark = pytest.mark.usefixtures("one_thread")


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
    fitted, moved = (
        Split(part, data.targets, data.train, data.valid, data.test).fit(SMALL)
        for part in (data.embeddings, changed)
    )
    np.testing.assert_allclose(
        fitted.logits["mean_embedding"], moved.logits["mean_embedding"], atol=1e-2
    )
    # What the other splits hold changes neither the scale nor the training.
    changed.tracks[data.test] += 3
    assert (
        Split(changed, data.targets, data.train, data.valid, data.test).fit(SMALL).sweep
        == fitted.sweep
    )
