"""Audio made worse in a known way: white noise, another pitch, a lossy codec, a lower sample rate.

What an encoder has not been trained on, and what its users' files have: robustness is the score of
clean tracks' probes on such audio (as in MIREX's evaluations of identification, and the
deformations of McFee, Humphrey and Bello, "A software framework for musical data augmentation",
ISMIR 2015).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import soundfile
import soxr
import torch
from numpy.typing import NDArray

from bench.core.errors import InputError, unknown
from bench.data.augment import level, pitch
from bench.data.pcm import PcmStore

Samples = NDArray[np.float32]

_FULL_SCALE = 32767.0  # of the store's samples
# Of layer III, in kbit/s: ISO 11172-3 (MPEG-1) and 13818-3 (MPEG-2), the table of bit rates.
_HIGH_RATES = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_LOW_RATES = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_BIT_RATES = {
    **dict.fromkeys((32_000, 44_100, 48_000), _HIGH_RATES),
    **dict.fromkeys((16_000, 22_050, 24_000), _LOW_RATES),
}
_MP3_DELAY = (
    1105  # samples: 576 of the encoder and 529 of the decoder, where the file has no room to say so
)


@dataclass(frozen=True)
class Kind:
    """A way to make audio worse.

    Attributes:
        unit: of its levels.
        levels: that are computed where none are given, from the mildest.
        change: (samples, level, sample rate in Hz, key of the track) -> as many samples.
        fault: (level, sample rate) -> why that cannot be done; "" where it can.
    """

    unit: str
    levels: tuple[float, ...]
    change: Callable[[Samples, float, int, int], Samples]
    fault: Callable[[float, int], str]


@dataclass(frozen=True)
class Degradation:
    """One way at one level.

    Attributes:
        kind: of `KINDS`.
        level: in the kind's unit.
    """

    kind: str
    level: float

    @property
    def words(self) -> str:
        """Such as "noise 20 dB"."""
        return f"{self.kind} {self.level:g} {KINDS[self.kind].unit}"

    def check(self, sample_rate: int) -> None:
        """Makes sure that it can be done.

        Raises:
            InputError: an unknown kind, or a level that it does not have at this sample rate.
        """
        if self.kind not in KINDS:
            raise unknown("way to make audio worse", self.kind, KINDS)
        if not np.isfinite(self.level) or (why := KINDS[self.kind].fault(self.level, sample_rate)):
            raise InputError(
                f"--{self.kind} {self.level:g}: {why if np.isfinite(self.level) else 'give a number'}"
            )


def usual(kind: str, sample_rate: int) -> list[Degradation]:
    """The levels of a kind that are computed where none are given, and that there are at a sample rate."""
    about = KINDS[kind]
    return [Degradation(kind, one) for one in about.levels if not about.fault(one, sample_rate)]


class DegradedAudio(PcmStore):
    """The audio of some tracks of a store, each made worse as a whole before anything is read from it.

    Tracks are numbered as they were given. Samples are not rounded to 16 bits, nor cut where noise
    lifts them above full scale: that would be another degradation.
    """

    def __init__(
        self,
        store: PcmStore,
        rows: NDArray[np.int64],
        keys: Sequence[int],
        degradation: Degradation,
    ) -> None:
        """Changes nothing yet; the track that is read is kept until the next one is.

        Args:
            store: the clean audio.
            rows: its tracks.
            keys: a whole number below 2^32 for each of them, from which its noise is made.
            degradation: what happens to them.
        """
        self.frames, self.sample_rate = store.frames[rows], store.sample_rate
        self._store, self._rows, self._keys, self._degradation = store, rows, keys, degradation
        self._last: tuple[int, Samples] | None = None

    def read(self, track: int, start: int, length: int) -> NDArray[np.int16]:
        """As of a `PcmStore`, but (length,) float32 in its units."""
        if self._last is None or self._last[0] != track:
            whole = self._store.read(int(self._rows[track]), 0, int(self.frames[track]))
            about = KINDS[self._degradation.kind]
            scaled = np.asarray(whole, np.float32) / np.float32(_FULL_SCALE)
            changed = about.change(
                scaled, self._degradation.level, self.sample_rate, self._keys[track]
            )
            self._last = track, changed * np.float32(_FULL_SCALE)
        samples = self._last[1]
        index = np.arange(start, start + length) % len(samples)
        return samples[index]  # type: ignore[return-value]  # of the type that `to_waveform` takes all the same


def _noise(samples: Samples, snr_db: float, _: int, key: int) -> Samples:
    """White Gaussian noise, `snr_db` below the track's mean power."""
    return _batched(
        samples, lambda one: level.level_noise(one, np.array([snr_db]), np.array([float(key)]))
    )


def _pitch(samples: Samples, semitones: float, sample_rate: int, _: int) -> Samples:
    """Moved by some semitones at the same tempo."""
    return _batched(
        samples, lambda one: pitch.pitch_shift(one, np.array([100.0 * semitones]), sample_rate)
    )


def _mp3(samples: Samples, kbit_per_second: float, sample_rate: int, _: int) -> Samples:
    """Through LAME, mono, at a constant bit rate, and back."""
    rates = _BIT_RATES[sample_rate]
    # libsndfile's way to name a bit rate (src/mpeg_l3_encode.c); it refuses 1.0, which is the
    # lowest.
    compression = min(0.999, (rates[-1] - kbit_per_second) / (rates[-1] - rates[0]))
    file = BytesIO()
    soundfile.write(
        file, samples, sample_rate, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode="CONSTANT",
        compression_level=compression,
    )  # fmt: skip
    file.seek(0)
    decoded: Samples = soundfile.read(file, dtype="float32")[0]
    if len(decoded) > len(
        samples
    ):  # a frame too small for LAME's tag, which says what was put before
        decoded = decoded[_MP3_DELAY:]
    return _as_long(decoded, len(samples))


def _rate(samples: Samples, hz: float, sample_rate: int, _: int) -> Samples:
    """Resampled to a lower rate and back (soxr, HQ): nothing is left above half of it."""
    lower = soxr.resample(samples, sample_rate, hz)
    return _as_long(np.asarray(soxr.resample(lower, hz, sample_rate), np.float32), len(samples))


def _batched(samples: Samples, change: Callable[[torch.Tensor], torch.Tensor]) -> Samples:
    changed: Samples = change(torch.from_numpy(samples)[None])[0].numpy()
    return changed


def _as_long(samples: Samples, length: int) -> Samples:
    return np.pad(samples, (0, max(0, length - len(samples))))[:length]


def _no_bit_rate(kbit_per_second: float, sample_rate: int) -> str:
    rates = _BIT_RATES.get(sample_rate)
    if rates is None:
        return f"there is no mp3 at {sample_rate} Hz, the encoder's sample rate"
    known = ", ".join(map(str, rates))
    return (
        "" if kbit_per_second in rates else f"an mp3 at {sample_rate} Hz has one of {known} kbit/s"
    )


KINDS = {
    "noise": Kind("dB", (40.0, 30.0, 20.0, 10.0, 0.0), _noise,
                  lambda one, _: "" if -60 <= one <= 120 else "give a signal-to-noise ratio from -60 to 120 dB"),
    "pitch": Kind("semitones", (-4.0, -2.0, -1.0, 1.0, 2.0, 4.0), _pitch,
                  lambda one, _: "" if 0 < abs(one) <= 12 else "give semitones from -12 to 12, but not 0"),
    "mp3": Kind("kbit/s", (64.0, 32.0, 16.0, 8.0), _mp3, _no_bit_rate),
    "rate": Kind("Hz", (11025.0, 8000.0, 4000.0), _rate,
                 lambda one, rate: "" if 1000 <= one < rate else f"give 1000 Hz or more, and less than {rate} Hz"),
}  # fmt: skip
"""Ways to make audio worse."""
