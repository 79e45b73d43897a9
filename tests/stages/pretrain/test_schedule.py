"""The schedule of the learning rate."""

import itertools

import pytest

from bench.settings.specs import TrainSpec
from bench.stages.pretrain.schedule import learning_rate


def test_schedule_warms_up_and_ends_near_zero():
    spec = TrainSpec(steps=100, warmup=0.1, learning_rate=1.0)
    rates = [learning_rate(step, spec) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert max(rates) == pytest.approx(1.0)
    assert all(later <= earlier for earlier, later in itertools.pairwise(rates[10:]))
    assert rates[55] == pytest.approx(0.5, abs=0.02)
    assert rates[-1] < 1e-3
    assert learning_rate(0, TrainSpec(steps=1, warmup=0.0, learning_rate=1.0)) == 1.0
