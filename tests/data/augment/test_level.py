"""Delay, noise, gain and polarity against known answers."""

import numpy as np
import pytest
import torch
from scipy import stats

from bench.data.augment import level
from tests.data.augment.signals import RATE, SAMPLES, music

pytestmark = pytest.mark.usefixtures("one_thread")


def test_delay_of_an_impulse():
    impulse = torch.zeros(2, SAMPLES)
    impulse[:, 100] = 1
    delayed = level.delay(impulse, np.array([200.0, 450.0]), factor=0.5, sample_rate=RATE)
    for item, offset in zip(delayed, (4_410, 9_922), strict=True):
        assert item.nonzero().flatten().tolist() == [100, 100 + offset]
        assert item[[100, 100 + offset]].tolist() == [0.5, 0.25]
    beyond = level.delay(impulse, np.array([0.0, 5_000.0]), factor=0.2, sample_rate=RATE)
    assert beyond[0, 100] == pytest.approx(0.6)
    assert beyond[1].sum() == pytest.approx(0.5)


def test_noise_has_the_level_that_was_asked_for():
    waveforms = music(3) + 0.3  # a constant is no part of the deviation
    ratio, key = np.array([0.01, 0.1, 1.0]), np.array([0.0, 5.0, 2**32 - 1])
    added = level.relative_noise(waveforms, ratio, key) - waveforms
    np.testing.assert_allclose(added.std(1) / waveforms.std(1), ratio, rtol=0.02)
    added = level.level_noise(waveforms, np.array([20.0, 40.0, 0.0]), key) - waveforms
    snr = 10 * torch.log10(waveforms.square().mean(1) / added.square().mean(1))
    np.testing.assert_allclose(snr, [20, 40, 0], atol=0.1)


def test_noise_is_white_and_normal_and_no_two_are_alike():
    noise = level.gaussian(np.array([0.0, 1.0, 2.0, 123456789.0]), torch.empty(4, SAMPLES))
    for item in noise:
        assert stats.kstest(item[::10].numpy(), "norm").pvalue > 1e-3
        spectrum = np.abs(np.fft.rfft(item.numpy())) ** 2 / SAMPLES
        assert [part.mean() for part in np.array_split(spectrum, 10)] == pytest.approx(
            [1] * 10, abs=0.1
        )
    correlations = torch.corrcoef(noise) - torch.eye(4)
    assert correlations.abs().max() < 0.02


def test_gain_and_polarity():
    waveforms = music(3)
    louder = level.gain(waveforms, np.array([-20.0, 0.0, 6.0]))
    np.testing.assert_allclose(louder.std(1) / waveforms.std(1), [0.1, 1, 10**0.3], rtol=1e-5)
    assert torch.equal(level.polarity(waveforms), -waveforms)
