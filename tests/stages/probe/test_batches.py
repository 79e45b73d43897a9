"""The batches of a probe."""

import numpy as np
import pytest
import torch

from bench.stages.probe.batches import Labelled, draw_batches
from bench.stages.probe.inputs import Pieces, Rows, rows_of, scaling
from tests.stages.probe.problems import SMALL, problem, with_

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_step_takes_one_random_segment_of_each_track() -> None:
    data = problem(50, segments=6)
    rows, first = rows_of(data.embeddings, data.train, "segments")
    by = scaling(data.embeddings, data.train, "segments")
    inputs = Rows(data.embeddings, data.train, "segments", by, "cpu", 0)
    seen = set()
    valid = Pieces(data.embeddings, data.valid, "tracks", by, "cpu", 0)
    subset = Labelled(0, inputs, torch.zeros(5, 50), valid)
    for tracks, places in draw_batches(subset, with_(SMALL, steps=200)):
        assert len(tracks) == 32
        assert (first[tracks] <= places).all()
        assert (places < first[tracks + 1]).all()
        seen |= set(places.tolist())
    assert seen == set(range(len(rows)))
    known = data.embeddings.segments[rows]
    taken = torch.empty(len(rows), 20)
    inputs.take(np.arange(len(rows)), taken)
    np.testing.assert_allclose(taken, (known - known.mean(0)) / known.std(0), atol=2e-4)
