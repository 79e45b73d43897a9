"""Augmentations against known answers: tones, responses, impulses, levels, and the numbers that were drawn."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import stats

from bench.core.errors import InputError
from bench.data.augment import Chain, filters, level, log_mel, pitch, reverb, spectrogram
from bench.settings.augmentations import SPECTROGRAM, WAVEFORM, AugmentSpec, preset, presets

RATE = 22_050
SAMPLES = 59_049
FROZEN = ["0x1.765f0c0000000p-5", "0x1.33f2180000000p-1", "0x1.1e2b8a0000000p-1"]

pytestmark = pytest.mark.usefixtures("one_thread")


def tone(frequency: float, samples: int = SAMPLES, rate: int = RATE) -> torch.Tensor:
    """(1, samples) sine of amplitude 0.5."""
    return (
        0.5 * torch.sin(2 * np.pi * frequency * torch.arange(samples, dtype=torch.float64) / rate)
    ).float()[None]


def music(batch: int, samples: int = SAMPLES, seed: int = 0) -> torch.Tensor:
    """(batch, samples) noise of uneven level and colour, which no two items share."""
    noise = 0.1 * torch.randn(batch, samples, generator=torch.Generator().manual_seed(seed))
    return noise.cumsum(1).sub(noise.cumsum(1).roll(50, 1)) * torch.linspace(0.2, 1, batch)[:, None]


def frequency_of(waveform: torch.Tensor, rate: int = RATE) -> float:
    """Frequency of a tone, from the peak of its spectrum and its two neighbours, in Hz."""
    size = 2**18
    levels = np.log(
        np.abs(np.fft.rfft(waveform.double().numpy() * np.hanning(len(waveform)), size)) + 1e-30
    )
    peak = int(levels.argmax())
    before, at, after = levels[peak - 1 : peak + 2]
    return (peak + 0.5 * (before - after) / (before - 2 * at + after)) * rate / size


def only(name: str, probability: float = 1.0, **settings: object) -> AugmentSpec:
    """A chain of one transform."""
    return AugmentSpec.model_validate({name: {"probability": probability, **settings}})


def always() -> AugmentSpec:
    """CLMR's chain with every transform on every item."""
    tree = preset("clmr")
    return AugmentSpec.model_validate(
        {name: {**tree[name], "probability": 1.0} for name in WAVEFORM}
    )


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
        result = reverb.reverb(
            torch.from_numpy(signal).float()[None], *(np.array([one]) for one in settings), RATE
        )
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


@pytest.mark.parametrize("samples", [SAMPLES, 8_000, 777])
def test_silence_stays_silent_and_lengths_stay(samples):
    silence = torch.zeros(2, samples)
    for spec in (always(), *(only(name) for name in WAVEFORM), only("noise", kind="level")):
        changed = Chain(spec, RATE).waveform(silence, step=3, view=1)
        assert changed.shape == silence.shape
        assert torch.isfinite(changed).all()
        assert changed.abs().max() < 1e-6
    still = torch.full((3, 1, 64, 50), -5.0)  # the log-mel of silence
    for name in SPECTROGRAM:
        changed = Chain(only(name), RATE, scale_db=20.0).log_mel(still, step=3, view=1)
        assert changed.shape == still.shape
        assert torch.isfinite(changed).all()


@pytest.mark.parametrize("name", ["all", *WAVEFORM])
def test_an_item_is_the_same_in_any_batch(name):
    chain = Chain(always() if name == "all" else only(name), RATE, seed=5)
    waveforms = music(64, 12_000)
    together = chain.waveform(waveforms, step=9, view=1)
    for size in (1, 2, 7):
        assert torch.equal(chain.waveform(waveforms[:size], step=9, view=1), together[:size])


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_an_item_is_the_same_in_a_batch_of_one_or_64_at_full_length(threads):
    torch.set_num_threads(threads)  # `one_thread` sets it back
    chain = Chain(AugmentSpec.model_validate(preset("clmr")), RATE, seed=1)
    waveforms = music(64)
    given = waveforms.clone()
    together = chain.waveform(waveforms, step=2, view=0)
    for size in (1, 3, 30):
        assert torch.equal(chain.waveform(waveforms[:size], step=2, view=0), together[:size])
    assert torch.equal(waveforms, given), "what was given is left as it was"


def test_numbers_depend_on_seed_step_view_and_index_alone():
    waveforms = music(1, 6_000).expand(8, -1).contiguous()
    chain = Chain(AugmentSpec.model_validate(preset("clmr")), RATE, seed=1)
    for step in range(3):
        chain.waveform(waveforms, step, 0)
    first = chain.waveform(waveforms, 100, 0)
    assert torch.equal(first, Chain(chain.spec, RATE, seed=1).waveform(waveforms, 100, 0)), (
        "after a restart"
    )
    others = [chain.waveform(waveforms, 101, 0), chain.waveform(waveforms, 100, 1)]
    others.append(Chain(chain.spec, RATE, seed=2).waveform(waveforms, 100, 0))
    for other in others:
        assert not torch.allclose(first, other)
    assert len({tuple(item[:50].tolist()) for item in first}) > 5, (
        "every item has its own parameters"
    )


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


def test_presets():
    assert presets()[:3] == ["none", "log_mel", "clmr"]
    specs = {name: AugmentSpec.model_validate(preset(name)) for name in presets()}
    assert not specs["none"].on_waveform
    assert not specs["none"].on_spectrogram
    assert specs["clmr_v1"].delay.factor == 0.2
    assert (specs["clmr_v1"].reverb.low_room, specs["clmr_v1"].reverb.high_room) == (1, 100)
    assert (specs["clmr_thesis"].gain.low_db, specs["clmr_thesis"].gain.high_db) == (-6, 0)
    with pytest.raises(InputError, match="did you mean 'clmr'"):
        preset("clrm")
    with pytest.raises(ValidationError, match="low_db -1 lies above high_db -2"):
        only("gain", low_db=-1, high_db=-2)
    waveforms = music(2, 500)
    assert Chain(specs["none"], RATE).waveform(waveforms, 0, 0) is waveforms


def test_log_mel_is_bit_for_bit_what_it_was():
    views = (torch.arange(3 * 16 * 20).view(3, 1, 16, 20) % 37 - 18) / 8
    changed = Chain(
        AugmentSpec.model_validate(preset("log_mel")), RATE, scale_db=20.0, seed=7
    ).log_mel(views, 11, 1)
    assert torch.equal(changed, log_mel(views, 20.0, seed=7, step=11, view=1))
    assert [number.hex() for number in changed[:, 0, 3, 5].tolist()] == FROZEN
    part = Chain(only("log_mel", 0.5), RATE, scale_db=20.0, seed=7).log_mel(views, 2, 1)
    assert 0 < sum(torch.equal(one, other) for one, other in zip(part, views, strict=True)) < 3


def test_log_mel_masks_cover_what_the_settings_allow():
    views = torch.randn(200, 1, 40, 60, generator=torch.Generator().manual_seed(0))
    still = {
        "gain_db": 0,
        "equaliser_db": 0,
        "noise_db": 0,
        "floor_db": 0,
        "band_mask": 0.5,
        "frame_mask": 0.0,
    }
    changed = Chain(only("log_mel", **still), RATE, scale_db=20.0).log_mel(views, 0, 0)
    hidden = (changed != views)[:, 0]
    bands = hidden.all(2).sum(1)
    assert torch.equal(hidden.sum((1, 2)), bands * 60), "whole bands and nothing else"
    assert bands.max() in range(19, 22)
    assert bands.double().mean() == pytest.approx(10, abs=1)
    means = views.mean((2, 3))
    for item in range(10):
        torch.testing.assert_close(
            changed[item, 0][hidden[item]], means[item].expand(int(hidden[item].sum()))
        )


def test_mixup_mixes_powers():
    views, share = torch.randn(4, 1, 8, 10), np.array([0.1, 0.4, 0.0, 0.25])
    mixed = spectrogram.mixup(views, views.roll(1, 0), share, scale_db=20.0)
    power = 10 ** (views.double() * 20 / 10)
    shares = torch.from_numpy(share)[:, None, None, None]
    expected = torch.log10((1 - shares) * power + shares * power.roll(1, 0)) * 10 / 20
    torch.testing.assert_close(mixed.double(), expected, rtol=1e-5, atol=1e-6)
    rows = np.arange(5)
    for uniform in (0.0, 0.5, 0.999):
        assert (spectrogram.partners_of(rows, np.full(5, uniform), 5) != rows).all()
    alone = Chain(only("mixup"), RATE, scale_db=20.0).log_mel(views[:1], 0, 0)
    torch.testing.assert_close(alone, views[:1])


def test_resize_crop_is_a_part_of_the_canvas_resized():
    views = torch.randn(4, 1, 16, 21, generator=torch.Generator().manual_seed(0))
    bands, frames = np.array([0.7, 1.0, 1.5, 0.01]), np.array([0.6, 1.0, 1.49, 2.0])
    places = np.array([0.0, 0.99, 0.5, 0.2]), np.array([0.3, 0.5, 0.99, 0.0])
    changed = spectrogram.resize_crop(views, bands, frames, *places)
    for item in range(4):
        canvas = views[item].mean().expand(1, 1, 16, 31).clone()
        canvas[..., 5:26] = views[item]
        height, width = min(max(int(bands[item] * 16), 1), 16), min(int(frames[item] * 21), 31)
        top, left = int(places[0][item] * (17 - height)), int(places[1][item] * (32 - width))
        part = canvas[..., top : top + height, left : left + width]
        expected = torch.nn.functional.interpolate(
            part, size=(16, 21), mode="bicubic", align_corners=True
        )
        torch.testing.assert_close(changed[item], expected[0], rtol=1e-4, atol=1e-5)


def test_items_of_spectrograms_do_not_depend_on_the_batch_but_in_mixup():
    views = torch.randn(32, 1, 64, 50)
    for name in ("log_mel", "resize_crop"):
        chain = Chain(only(name, 0.7), RATE, scale_db=20.0, seed=2)
        together = chain.log_mel(views, 4, 0)
        torch.testing.assert_close(
            chain.log_mel(views[:1], 4, 0), together[:1], rtol=1e-6, atol=1e-6
        )
        assert not torch.equal(together, chain.log_mel(views, 4, 1))
    with pytest.raises(ValueError, match="no log-mels"):
        Chain(only("mixup"), RATE).log_mel(views, 0, 0)
