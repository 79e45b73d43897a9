"""Pitch shift: a tone moves by its interval, the tempo stays, and nothing aliases."""

import numpy as np
import pytest
import torch

from bench.data.augment import pitch
from tests.data.augment.signals import RATE, SAMPLES, tone

pytestmark = pytest.mark.usefixtures("one_thread")


def frequency_of(waveform: torch.Tensor, rate: int = RATE) -> float:
    """Frequency of a tone, from the peak of its spectrum and its two neighbours, in Hz."""
    size = 2**18
    levels = np.log(
        np.abs(np.fft.rfft(waveform.double().numpy() * np.hanning(len(waveform)), size)) + 1e-30
    )
    peak = int(levels.argmax())
    before, at, after = levels[peak - 1 : peak + 2]
    return (peak + 0.5 * (before - after) / (before - 2 * at + after)) * rate / size


@pytest.mark.parametrize("semitones", [*range(-7, 8), -6.93, -3.37, -0.05, 0.41, 2.5, 6.61])
def test_a_tone_is_shifted_by_that_interval(semitones):
    shifted = pitch.pitch_shift(tone(440.0), np.array([100.0 * semitones]), RATE)
    assert shifted.shape == (1, SAMPLES)
    cents = 1200 * np.log2(frequency_of(shifted[0]) / 440.0)
    assert cents == pytest.approx(100 * semitones, abs=1)  # the issue asks for 5
    assert shifted[0, 1000:-1000].square().mean().sqrt() == pytest.approx(
        0.5 / np.sqrt(2), rel=0.02
    )


@pytest.mark.parametrize(("rate", "samples"), [(16_000, 64_000), (44_100, 30_000), (8_000, 500)])
def test_pitch_shift_at_other_rates_and_lengths(rate, samples):
    shifted = pitch.pitch_shift(
        tone(440.0, samples, rate).expand(2, -1), np.array([300.0, -500.0]), rate
    )
    assert shifted.shape == (2, samples)
    for item, cents in zip(shifted, (300, -500), strict=True):
        assert 1200 * np.log2(frequency_of(item, rate) / 440.0) == pytest.approx(
            cents, abs=5 if samples > 500 else 80
        )


def test_pitch_shift_by_nothing_changes_nothing_but_the_highest_frequencies():
    noise = torch.randn(2, SAMPLES, generator=torch.Generator().manual_seed(0)) * 0.1
    shifted = pitch.pitch_shift(noise, np.zeros(2), RATE)
    assert (
        shifted - noise
    ).abs().max() < 0.003  # to the last segment: images of what lies at the Nyquist frequency


def test_pitch_shift_keeps_the_tempo_and_what_passes_the_nyquist_frequency_is_gone():
    clicks = torch.zeros(1, SAMPLES)
    clicks[0, 5_000::10_000] = 1.0
    shifted = pitch.pitch_shift(clicks, np.array([400.0]), RATE)[0].abs()
    for place in range(
        5_000, SAMPLES, 10_000
    ):  # a segment is moved by up to the search length, 14.7 ms
        assert shifted[place - 400 : place + 400].max() > 0.3
    assert (shifted > 0.3).sum() < 30
    high = pitch.pitch_shift(
        tone(9_000.0), np.array([700.0]), RATE
    )  # to 13 485 Hz, which is above 11 025 Hz
    assert high.square().mean() < 1e-6
    # A tone of 3 kHz comes without images of it.
    middle = pitch.pitch_shift(tone(3_000.0), np.array([0.0]), RATE)[0].numpy()
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(SAMPLES)))
    peak = int(spectrum.argmax())
    assert (
        20 * np.log10(np.delete(spectrum, np.arange(peak - 50, peak + 50)).max() / spectrum[peak])
        < -60
    )
