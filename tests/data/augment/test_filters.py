"""Filters against their frequency response and against a convolution."""

import numpy as np
import pytest
import torch

from bench.data.augment import filters
from tests.data.augment.signals import RATE, SAMPLES, music

pytestmark = pytest.mark.usefixtures("one_thread")


def decibels(impulse_response: torch.Tensor, frequency: float) -> float:
    """Gain at a frequency, in dB."""
    place = np.arange(len(impulse_response))
    gain = np.abs(
        (impulse_response.double().numpy() * np.exp(-2j * np.pi * frequency / RATE * place)).sum()
    )
    return 20 * np.log10(max(gain, 1e-9))


def test_filters_pass_stop_and_are_half_way_at_the_cutoff():
    impulse = torch.zeros(3, SAMPLES)
    impulse[:, SAMPLES // 2] = 1
    cutoffs, low_pass = np.array([3_000.0, 600.0, 200.0]), np.array([1.0, 0.0, 0.0])
    low, high, lowest = filters.high_low_pass(impulse, low_pass, cutoffs, 200.0, RATE)
    for response, cutoff, sign in ((low, 3_000.0, 1), (high, 600.0, -1), (lowest, 200.0, -1)):
        assert decibels(response, cutoff) == pytest.approx(-6.02, abs=0.1)
        passing, stopping = cutoff * 2.0 ** (-sign), cutoff * 2.0**sign
        assert decibels(response, passing) == pytest.approx(0, abs=0.1)
        assert decibels(response, stopping) < -40
    assert decibels(low, 0.0) == pytest.approx(0, abs=1e-4)
    assert decibels(high, 0.0) < -100
    assert low.argmax() == SAMPLES // 2, "no delay"
    torch.testing.assert_close(low, low.flip(0), rtol=0, atol=1e-7)


def test_filters_equal_a_convolution_with_the_windowed_sinc():
    waveform, cutoff = music(2, 5_000), np.array([2_500.0, 900.0])
    filtered = filters.high_low_pass(waveform, np.array([1.0, 0.0]), cutoff, 200.0, RATE)
    for item, (result, hertz) in enumerate(zip(filtered, cutoff, strict=True)):
        half = int(8 / (hertz / RATE) / 2)
        place = np.arange(-half, half + 1)
        kernel = np.hanning(2 * half + 1) * np.sinc(2 * hertz / RATE * place)
        low = np.convolve(waveform[item].double().numpy(), kernel / kernel.sum(), mode="same")
        expected = low if item == 0 else waveform[item].double().numpy() - low
        np.testing.assert_allclose(result.numpy(), expected, atol=2e-6)
