"""The schedules of learning rate and weight decay, and the budget of steps."""

import itertools

import pytest

from bench.settings.specs import TrainSpec
from bench.stages.pretrain.schedule import budget, learning_rate, weight_decay


def test_schedule_warms_up_and_ends_near_zero():
    spec = TrainSpec(steps=100, warmup=0.1, learning_rate=1.0)
    rates = [learning_rate(step, spec) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert max(rates) == pytest.approx(1.0)
    assert all(later <= earlier for earlier, later in itertools.pairwise(rates[10:]))
    assert rates[55] == pytest.approx(0.5, abs=0.02)
    assert rates[-1] < 1e-3
    assert learning_rate(0, TrainSpec(steps=1, warmup=0.0, learning_rate=1.0)) == 1.0


def test_a_budget_in_epochs():
    spec = TrainSpec(epochs=10, batch_size=96)
    assert budget(spec, 360) == 30
    assert budget(spec, 40) == 10  # fewer tracks than a batch are one batch an epoch
    assert budget(TrainSpec(steps=7), 360) == 7
    assert budget(TrainSpec(epochs=1e-9), 360) == 1


def test_schedules():
    constant = TrainSpec(schedule="constant", warmup=0.1, steps=100, learning_rate=2.0)
    assert [learning_rate(step, constant) for step in (0, 9, 10, 99)] == [0.2, 2.0, 2.0, 2.0]
    cosine = TrainSpec(warmup=0.0, steps=100, learning_rate=2.0, final_learning_rate=1.0)
    assert learning_rate(0, cosine) == 2.0
    assert learning_rate(50, cosine) == pytest.approx(1.5)
    assert learning_rate(99, cosine) == pytest.approx(1.0, abs=1e-3)
    rising = TrainSpec(steps=100, weight_decay=0.04, final_weight_decay=0.4)
    assert [weight_decay(step, rising) for step in (0, 50)] == pytest.approx([0.04, 0.22])
    assert weight_decay(99, TrainSpec()) == TrainSpec().weight_decay
