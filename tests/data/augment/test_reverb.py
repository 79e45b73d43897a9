"""Reverberation against SoX's recursion, sample by sample."""

import numpy as np
import pytest
import torch

from bench.data.augment import reverb
from tests.data.augment.signals import RATE, SAMPLES

pytestmark = pytest.mark.usefixtures("one_thread")


def recursive_reverb(
    signal: np.ndarray, reverberance: float, damping: float, room: float
) -> np.ndarray:
    """SoX's reverb sample by sample, from its description; the mean of its two channels."""
    slope = -1 / np.log(0.7)
    end = 100 / (np.log(0.02) * slope + 1)
    feedback = 1 - np.exp((reverberance - end) / (slope * end))
    damped, scale, ratio = damping / 100 * 0.3 + 0.2, room / 100 * 0.9 + 0.1, RATE / 44_100
    mixed = np.zeros(len(signal))
    for spread in (0, 12):
        wet = np.zeros(len(signal))
        for number, length in enumerate((1116, 1188, 1277, 1356, 1422, 1491, 1557, 1617)):
            size = int(scale * ratio * (length + spread * (-1) ** number) + 0.5)
            line, kept = np.zeros(size), 0.0
            for place, sample in enumerate(signal):
                out = line[place % size]
                kept = out + (kept - out) * damped
                line[place % size] = sample + kept * feedback
                wet[place] += out
        for number, length in enumerate((225, 341, 441, 556)):
            size = int(ratio * (length + spread * (-1) ** number) + 0.5)
            line = np.zeros(size)
            for place, sample in enumerate(wet):
                out = line[place % size]
                line[place % size] = sample + out * 0.5
                wet[place] = out - sample
        mixed += signal + 0.015 * wet
    return mixed / 2


@pytest.mark.parametrize(
    "settings", [(50.0, 50.0, 100.0), (99.0, 0.0, 99.0), (0.0, 99.0, 0.0), (80.0, 30.0, 20.0)]
)
def test_reverb_equals_the_recursion(settings):
    impulse = np.zeros(4_000)
    impulse[0] = 1
    noise = np.random.default_rng(0).normal(size=4_000)
    for signal, tolerance in ((impulse, 1e-5), (noise, 5e-4)):
        expected = recursive_reverb(signal, *settings)
        reverberance, damping, room = (np.array([value]) for value in settings)
        waveforms = torch.from_numpy(signal).float()[None]
        result = reverb.reverb(waveforms, reverberance, damping, room, RATE)
        np.testing.assert_allclose(result[0].numpy(), expected, atol=tolerance)
        assert np.abs(expected - signal).max() > 20 * tolerance


def test_reverb_of_an_impulse_decays_with_the_feedback():
    impulse = torch.zeros(2, SAMPLES)
    impulse[:, 0] = 1
    heard = reverb.reverb(
        impulse, np.array([20.0, 95.0]), np.array([50.0, 50.0]), np.array([100.0, 100.0]), RATE
    )
    late = heard[:, 30_000:].square().sum(1).sqrt() / heard[:, 1:5_000].square().sum(1).sqrt()
    assert late[0] < 1e-3
    assert 0.05 < late[1] < 1
    first = heard[0, 1:].abs().gt(1e-4).nonzero()[0] + 1
    assert (
        first == 558
    )  # the shortest comb, the left channel's: 1116 of 44 100 Hz; the all-pass filters pass at once
