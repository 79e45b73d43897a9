"""What is drawn for a batch: the distributions that the settings ask for."""

import numpy as np
import pytest
from scipy import stats

from bench.data.augment import Chain
from bench.settings.augmentations import WAVEFORM, AugmentSpec, preset
from tests.data.augment.signals import RATE

pytestmark = pytest.mark.usefixtures("one_thread")


def test_what_is_drawn_follows_the_settings():
    spec = AugmentSpec.model_validate({**preset("clmr"), "noise": {"probability": 0.5}})
    chain = Chain(spec, RATE, seed=3)
    found = {
        name: [chain.draws(1_000, step, view)[name] for step in range(4) for view in (0, 1)]
        for name in WAVEFORM
    }
    for name, draws in found.items():
        share = sum(len(one.rows) for one in draws) / 8_000
        probability = getattr(spec, name).probability
        assert share == pytest.approx(
            probability, abs=4 * np.sqrt(probability * (1 - probability) / 8_000)
        ), name
    values = {
        f"{name}.{key}": np.concatenate([one.values[key] for one in draws])
        for name, draws in found.items()
        for key in draws[0].values
    }
    uniform = {
        "noise.ratio": (1e-4, 1e-2),
        "gain.gain_db": (-20, -1),
        "pitch_shift.cents": (-700, 700),
        "noise.key": (0, 2**32),
    }
    for key, (low, high) in uniform.items():
        assert stats.kstest(values[key], stats.uniform(low, high - low).cdf).pvalue > 1e-3, key
    low_pass = values["filter.low_pass"] == 1
    assert low_pass.mean() == pytest.approx(0.5, abs=0.03)
    cutoffs = values["filter.cutoff_hz"]
    assert stats.kstest(cutoffs[low_pass], stats.uniform(2_200, 1_800).cdf).pvalue > 1e-3
    assert stats.kstest(cutoffs[~low_pass], stats.uniform(200, 1_000).cdf).pvalue > 1e-3
    numbers = [
        *((values[f"reverb.{key}"], range(100)) for key in ("reverberance", "damping", "room"))
    ]
    for drawn, whole in [*numbers, (values["delay.delay_ms"], range(200, 451, 50))]:
        assert set(drawn) == set(whole)
        assert stats.chisquare(np.unique(drawn, return_counts=True)[1]).pvalue > 1e-3
    assert abs(np.corrcoef(values["reverb.damping"], values["reverb.room"])[0, 1]) < 0.05
    both = [set(found["polarity"][view].rows) for view in (0, 1)]
    assert both[0] != both[1], "views draw on their own"
