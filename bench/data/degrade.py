"""Degrades audio in a known way: white noise, another pitch, a lossy codec, a lower sample rate.

Real files differ in such ways from those that an encoder was trained on. Robustness is the score,
on such audio, of probes that were trained on clean tracks (as in MIREX's evaluations of
identification, and with the deformations of McFee, Humphrey and Bello, "A software framework for
musical data augmentation", ISMIR 2015).
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
# Bit rates of layer III in kbit/s, by the tables of ISO 11172-3 (MPEG-1) and 13818-3 (MPEG-2).
_HIGH_RATES = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_LOW_RATES = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_BIT_RATES = {
    **dict.fromkeys((32_000, 44_100, 48_000), _HIGH_RATES),
    **dict.fromkeys((16_000, 22_050, 24_000), _LOW_RATES),
}
# Samples that encoder (576) and decoder (529) put before the audio. The decoder removes them if the
# file has room for the tag that says so.
_MP3_DELAY = 1105


@dataclass(frozen=True)
class Kind:
    """A way to degrade audio.

    Attributes:
        unit: of its levels.
        levels: the usual ones, which are computed where none are given.
        change: (samples, level, sample rate in Hz, key of the track) -> as many samples.
        fault: (level, sample rate in Hz) -> why that cannot be done; "" where it can.
    """

    unit: str
    levels: tuple[float, ...]
    change: Callable[[Samples, float, int, int], Samples]
    fault: Callable[[float, int], str]


@dataclass(frozen=True)
class Degradation:
    """A way to degrade audio, at one level.

    Attributes:
        kind: name in `KINDS`.
        level: in the kind's unit.
    """

    kind: str
    level: float

    @property
    def words(self) -> str:
        """Its name for users, such as "noise 20 dB"."""
        return f"{self.kind} {self.level:g} {KINDS[self.kind].unit}"

    def check(self, sample_rate: int) -> None:
        """Makes sure that it can be computed.

        Raises:
            InputError: the kind is unknown, or has no such level at this sample rate (in Hz).
        """
        if self.kind not in KINDS:
            raise unknown("way to make audio worse", self.kind, KINDS)
        fault = "give a number"
        if np.isfinite(self.level):
            fault = KINDS[self.kind].fault(self.level, sample_rate)
        if fault:
            raise InputError(f"--{self.kind} {self.level:g}: {fault}")


def usual(kind: str, sample_rate: int) -> list[Degradation]:
    """The usual levels of a kind, as far as they can be computed at a sample rate."""
    fault, levels = KINDS[kind].fault, KINDS[kind].levels
    return [Degradation(kind, usual) for usual in levels if not fault(usual, sample_rate)]


class DegradedAudio(PcmStore):
    """The degraded audio of some tracks of a store; each track is degraded as a whole.

    Tracks are numbered in the order in which they were given. Samples are neither rounded to 16
    bits nor clipped where noise lifts them above full scale: that would be another degradation.
    """

    def __init__(
        self,
        store: PcmStore,
        rows: NDArray[np.int64],
        keys: Sequence[int],
        degradation: Degradation,
    ) -> None:
        """Takes the tracks; a track is degraded when it is first read, and kept until the next one.

        Args:
            store: the clean audio.
            rows: places of the tracks in the store.
            keys: for each track, a whole number below 2^32 from which its noise is made.
            degradation: what is done to the tracks.
        """
        self.frames, self.sample_rate = store.frames[rows], store.sample_rate
        self._store, self._rows, self._keys, self._degradation = store, rows, keys, degradation
        self._last: tuple[int, Samples] | None = None

    def read(self, track: int, start: int, length: int) -> NDArray[np.int16]:
        """See `PcmStore.read`; returns (length,) float32 in units of its int16 samples."""
        if self._last is None or self._last[0] != track:
            whole = self._store.read(int(self._rows[track]), 0, int(self.frames[track]))
            how, change = self._degradation, KINDS[self._degradation.kind].change
            scaled = np.asarray(whole, np.float32) / np.float32(_FULL_SCALE)
            changed = change(scaled, how.level, self.sample_rate, self._keys[track])
            self._last = track, changed * np.float32(_FULL_SCALE)
        samples = self._last[1]
        index = np.arange(start, start + length) % len(samples)
        # Floats where a store has int16; `to_waveform`, which all samples go through, takes both.
        return samples[index]  # type: ignore[return-value]


def _noise(samples: Samples, snr_db: float, _: int, key: int) -> Samples:
    """Adds white Gaussian noise, `snr_db` below the track's mean power."""
    return _batched(
        samples, lambda batch: level.level_noise(batch, np.array([snr_db]), np.array([float(key)]))
    )


def _pitch(samples: Samples, semitones: float, sample_rate: int, _: int) -> Samples:
    """Moves the pitch by some semitones at the same tempo."""
    cents = np.array([100.0 * semitones])
    return _batched(samples, lambda batch: pitch.pitch_shift(batch, cents, sample_rate))


def _mp3(samples: Samples, kbit_per_second: float, sample_rate: int, _: int) -> Samples:
    """Encodes as mp3 (LAME, mono, constant bit rate) and decodes again."""
    rates = _BIT_RATES[sample_rate]
    # libsndfile names a constant bit rate by a level from 0 to 1 (src/mpeg_l3_encode.c). It refuses
    # 1.0, the lowest bit rate.
    compression = min(0.999, (rates[-1] - kbit_per_second) / (rates[-1] - rates[0]))
    file = BytesIO()
    soundfile.write(
        file, samples, sample_rate, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode="CONSTANT",
        compression_level=compression,
    )  # fmt: skip
    file.seek(0)
    decoded: Samples = soundfile.read(file, dtype="float32")[0]
    if len(decoded) > len(samples):  # the delay was not removed
        decoded = decoded[_MP3_DELAY:]
    return _as_long(decoded, len(samples))


def _rate(samples: Samples, hz: float, sample_rate: int, _: int) -> Samples:
    """Resamples to a lower rate and back (soxr, HQ): nothing is left above half that rate."""
    lower = soxr.resample(samples, sample_rate, hz)
    return _as_long(np.asarray(soxr.resample(lower, hz, sample_rate), np.float32), len(samples))


def _batched(samples: Samples, change: Callable[[torch.Tensor], torch.Tensor]) -> Samples:
    """Applies a change of (batch, samples) to one track, (samples,)."""
    changed: Samples = change(torch.from_numpy(samples)[None])[0].numpy()
    return changed


def _as_long(samples: Samples, length: int) -> Samples:
    """Cuts samples, or appends zeros, to a length."""
    return np.pad(samples, (0, max(0, length - len(samples))))[:length]


def _no_noise(snr_db: float, _: int) -> str:
    return "" if -60 <= snr_db <= 120 else "give a signal-to-noise ratio from -60 to 120 dB"


def _no_pitch(semitones: float, _: int) -> str:
    return "" if 0 < abs(semitones) <= 12 else "give semitones from -12 to 12, but not 0"


def _no_rate(hz: float, sample_rate: int) -> str:
    in_range = 1000 <= hz < sample_rate
    return "" if in_range else f"give 1000 Hz or more, and less than {sample_rate} Hz"


def _no_bit_rate(kbit_per_second: float, sample_rate: int) -> str:
    rates = _BIT_RATES.get(sample_rate)
    if rates is None:
        return f"there is no mp3 at {sample_rate} Hz, the encoder's sample rate"
    known = ", ".join(map(str, rates))
    return (
        "" if kbit_per_second in rates else f"an mp3 at {sample_rate} Hz has one of {known} kbit/s"
    )


KINDS = {
    "noise": Kind("dB", (40.0, 30.0, 20.0, 10.0, 0.0), _noise, _no_noise),
    "pitch": Kind("semitones", (-4.0, -2.0, -1.0, 1.0, 2.0, 4.0), _pitch, _no_pitch),
    "mp3": Kind("kbit/s", (64.0, 32.0, 16.0, 8.0), _mp3, _no_bit_rate),
    "rate": Kind("Hz", (11025.0, 8000.0, 4000.0), _rate, _no_rate),
}
"""Name of each way to degrade audio -> what it does and which levels it has."""
