"""The sound of an album: equaliser, room, saturation, noise, vinyl and level.

A nuisance factor on which no tag depends: it is drawn from (seed, artist, album) alone and never
looks at the style. Two excerpts of a track share it, and so do the tracks of an album. A model that
tells tracks apart by it has learnt nothing about music; the manifest's columns make that
measurable.
"""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.manifest import generator

Audio = NDArray[np.float32]

NAMES = ("studio", "live", "lofi", "vinyl", "radio", "demo")
PEAKS = 3
PEAK_OCTAVES = 0.6
"""Width (standard deviation) of an equaliser's peak, in octaves."""
LOUDEST_PEAK = 0.97
"""Largest absolute sample of a produced clip."""


@dataclass(frozen=True)
class Production:
    """How an album sounds.

    Attributes:
        name: the kind of production, one of NAMES.
        tilt_db: slope of the equaliser in dB an octave, 0 dB at 1 kHz.
        low_cut_hz: lower end of the band that passes.
        high_cut_hz: upper end of the band that passes.
        peak_hz: centres of the equaliser's peaks.
        peak_db: gains of the peaks.
        reverb_seconds: time in which the reverberation falls by 60 dB.
        reverb_share: share of the reverberation in the sound, 0 to 1 (of amplitude).
        drive_db: gain before the soft clipping.
        noise_db: level of the noise floor relative to the music.
        noise_tilt_db: slope of the noise's spectrum in dB an octave.
        crackles_a_second: mean number of clicks, as of dust on vinyl.
        level_db: root mean square of the result relative to full scale.
    """

    name: str
    tilt_db: float
    low_cut_hz: float
    high_cut_hz: float
    peak_hz: tuple[float, ...]
    peak_db: tuple[float, ...]
    reverb_seconds: float
    reverb_share: float
    drive_db: float
    noise_db: float
    noise_tilt_db: float
    crackles_a_second: float
    level_db: float

    def columns(self) -> dict[str, object]:
        """The parameters as columns of the manifest: `production`, `production_tilt_db`, ..."""
        values: dict[str, object] = {"production": self.name}
        for key, value in asdict(self).items():
            if isinstance(value, tuple):
                values |= {f"production_{key}_{place}": each for place, each in enumerate(value)}
            elif key != "name":
                values[f"production_{key}"] = value
        return values


def draw_production(seed: int, artist: int, album: int) -> Production:
    """The production of an artist's album."""
    random = generator(seed, f"midiband/production/{artist}", album)
    name = NAMES[int(random.integers(len(NAMES)))]
    low_cut, high_cut = _log_uniform(random, 25, 160), _log_uniform(random, 4_500, 10_500)
    reverb_share = float(random.uniform(0.0, 0.25))
    noise_db, crackles = float(random.uniform(-65, -40)), 0.0
    if name == "live":
        reverb_share = float(random.uniform(0.3, 0.5))
    elif name == "lofi":
        high_cut = _log_uniform(random, 2_200, 4_000)
    elif name == "vinyl":
        crackles, noise_db = float(random.uniform(4, 25)), float(random.uniform(-42, -30))
    elif name == "radio":
        low_cut, high_cut = _log_uniform(random, 250, 500), _log_uniform(random, 3_000, 4_500)
    elif name == "demo":
        noise_db = float(random.uniform(-34, -24))
    return Production(
        name=name,
        tilt_db=float(random.uniform(-3.5, 3.5)),
        low_cut_hz=low_cut,
        high_cut_hz=high_cut,
        peak_hz=tuple(_log_uniform(random, 120, 6_000) for _ in range(PEAKS)),
        peak_db=tuple(float(random.uniform(-10, 10)) for _ in range(PEAKS)),
        reverb_seconds=_log_uniform(random, 0.25, 2.5),
        reverb_share=reverb_share,
        drive_db=float(random.uniform(-12, 9)),
        noise_db=noise_db,
        noise_tilt_db=float(random.uniform(-5, 0)),
        crackles_a_second=crackles,
        level_db=float(random.uniform(-32, -15)),
    )


def _log_uniform(random: np.random.Generator, low: float, high: float) -> float:
    """Draws a number from `low` to `high` whose logarithm is uniform, for frequencies and times."""
    return float(low * (high / low) ** random.random())


def produce(audio: Audio, sample_rate: int, production: Production, seed: int, index: int) -> Audio:
    """Applies a production to a track.

    Args:
        audio: the mix, (samples,).
        sample_rate: in Hz.
        production: of the track's album.
        seed: of the data set; the noise is drawn from it and `index`.
        index: number of the track.

    Returns:
        (samples,) float32, within -LOUDEST_PEAK and LOUDEST_PEAK.
    """
    random = generator(seed, "midiband/noise", index)
    music = _saturate(audio / _root_mean_square(audio), production.drive_db)
    music = _colour(music, sample_rate, production)
    music /= _root_mean_square(music)
    noise = _make_noise(random, len(music), sample_rate, production.noise_tilt_db)
    music += noise * np.float32(10 ** (production.noise_db / 20))
    music += _make_crackles(random, len(music), sample_rate, production.crackles_a_second)
    music *= np.float32(10 ** (production.level_db / 20))
    gain = np.float32(min(1.0, LOUDEST_PEAK / float(np.abs(music).max())))
    return np.asarray(music * gain, dtype=np.float32)


def _root_mean_square(audio: Audio) -> np.float32:
    """Root mean square of the whole; 1 for silence, so that nothing is divided by zero."""
    return np.float32(np.sqrt(np.mean(np.square(audio, dtype=np.float64))) or 1.0)


def _saturate(audio: Audio, drive_db: float) -> Audio:
    """Soft clipping of audio of unit root mean square."""
    drive = np.float32(10 ** (drive_db / 20) / 4)
    return np.asarray(np.tanh(audio * drive) / drive, dtype=np.float32)


def _colour(audio: Audio, sample_rate: int, production: Production) -> Audio:
    """Applies the equaliser and the room, in one multiplication of spectra.

    Zeros are appended for as long as the room sounds, so that the end does not wrap round into the
    beginning.
    """
    tail = round(production.reverb_seconds * sample_rate)
    size = _transform_size(len(audio) + tail)
    response = _gain(size, sample_rate, production) * np.fft.rfft(_room(tail, production), size)
    return np.asarray(
        np.fft.irfft(np.fft.rfft(audio, size) * response, size)[: len(audio)], dtype=np.float32
    )


def _transform_size(samples: int) -> int:
    """A length of at least so many samples that is fast to transform: 16 to 32 blocks of 2^n."""
    block = 1 << max(0, samples.bit_length() - 5)
    return -(-samples // block) * block


def _gain(size: int, sample_rate: int, production: Production) -> Audio:
    """The equaliser's gain (a factor) at a transform's frequencies, (size // 2 + 1,)."""
    frequency = np.geomspace(10, sample_rate / 2, 512)
    octaves = np.log2(frequency / 1_000)
    gain_db = production.tilt_db * np.clip(octaves, -3, 3)
    for hertz, gain in zip(production.peak_hz, production.peak_db, strict=True):
        gain_db += gain * np.exp(-0.5 * (np.log2(frequency / hertz) / PEAK_OCTAVES) ** 2)
    # Butterworth responses: 12 dB an octave below the band, 24 above it.
    low = 1 / np.sqrt(1 + (production.low_cut_hz / frequency) ** 4)
    high = 1 / np.sqrt(1 + (frequency / production.high_cut_hz) ** 8)
    # The curve is smooth: 512 points, interpolated, are enough. Computing it at every frequency
    # would take longer than the transform.
    amplitude = np.interp(
        np.fft.rfftfreq(size, 1 / sample_rate), frequency, 10 ** (gain_db / 20) * low * high
    )
    return np.asarray(amplitude, dtype=np.float32)


def _room(tail: int, production: Production) -> Audio:
    """The room's impulse response, (tail,): direct sound, and noise that falls by 60 dB."""
    # The noise is drawn from the length alone, so that all tracks of an album are in the same room.
    random = generator(tail, "midiband/room")
    decay = random.standard_normal(tail, dtype=np.float32) * 10 ** (
        -3 * np.arange(tail, dtype=np.float32) / tail
    )
    response = production.reverb_share * decay / np.sqrt(np.sum(decay**2))
    response[0] += 1 - production.reverb_share
    return np.asarray(response, dtype=np.float32)


def _make_noise(
    random: np.random.Generator, samples: int, sample_rate: int, tilt_db: float
) -> Audio:
    """Noise of unit root mean square, with a spectrum of that slope in dB an octave, (samples,)."""
    size = _transform_size(samples)
    spectrum = np.fft.rfft(random.standard_normal(size, dtype=np.float32))
    # A slope of so many dB an octave is a power of the frequency. Below 50 Hz the spectrum stays
    # flat: a power would grow without bound there.
    exponent = tilt_db / (20 * np.log10(2))
    frequency = np.maximum(np.fft.rfftfreq(size, 1 / sample_rate), 50.0).astype(np.float32) / 1_000
    noise = np.asarray(
        np.fft.irfft(spectrum * frequency ** np.float32(exponent), size)[:samples], dtype=np.float32
    )
    return noise / _root_mean_square(noise)


def _make_crackles(
    random: np.random.Generator, samples: int, sample_rate: int, rate: float
) -> Audio:
    """Clicks of five samples at random times, `rate` a second on average, most of them soft.

    Returns:
        (samples,) float32.
    """
    crackles = np.zeros(samples, dtype=np.float32)
    count = int(random.poisson(rate * samples / sample_rate))
    places, sizes = random.integers(0, samples, count), random.exponential(0.8, count)
    for delay, share in enumerate((1.0, -0.7, 0.45, -0.25, 0.1)):
        np.add.at(
            crackles, np.minimum(places + delay, samples - 1), (sizes * share).astype(np.float32)
        )
    return crackles
