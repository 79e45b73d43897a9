"""Draws which items get a transform, and with what parameters.

The draws are a function of (seed, transform, view, step, index) alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.core.randomness import generator
from bench.settings.augmentations import (
    DelaySpec,
    FilterSpec,
    GainSpec,
    MixupSpec,
    NoiseSpec,
    PitchShiftSpec,
    ResizeCropSpec,
    ReverbSpec,
    Transform,
)

Numbers = NDArray[np.float64]
Values = dict[str, Numbers]


@dataclass(frozen=True)
class Draw:
    """What was drawn for one transform of a batch.

    Attributes:
        rows: (rows,) indices of the items that get the transform, in order.
        values: name of each parameter, with its unit -> (rows,) its values.
    """

    rows: NDArray[np.int64]
    values: Values

    def within(self, first: int, end: int) -> "Draw":
        """The part for the items [first, end), whose indices are counted from `first`."""
        low, high = np.searchsorted(self.rows, [first, end])
        return Draw(
            self.rows[low:high] - first,
            {name: numbers[low:high] for name, numbers in self.values.items()},
        )


def draw(name: str, spec: Transform, batch: int, seed: int, step: int, view: int) -> Draw:
    """Draws the items and the parameters of one transform.

    Args:
        name: of the transform, as in `AugmentSpec`.
        spec: its probability and ranges.
        batch: number of items.
        seed: of the run.
        step: optimiser step.
        view: which view of the tracks this is.
    """
    if spec.probability == 0:
        return Draw(np.zeros(0, np.int64), {})
    uniform = generator(seed, f"{name} of view {view}", step).random((batch, 1 + _NUMBERS))
    rows = np.flatnonzero(uniform[:, 0] < spec.probability)
    return Draw(rows, _VALUES[name](spec, uniform[rows, 1:].T) if name in _VALUES else {})


# Uniform numbers for each item, besides the one that decides whether it gets the transform.
_NUMBERS = 4


def _between(low: float, high: float, uniform: Numbers) -> Numbers:
    """Uniform numbers in [0, 1) -> numbers in [low, high)."""
    return low + (high - low) * uniform


def _whole(low: int, high: int, uniform: Numbers) -> Numbers:
    """Uniform numbers in [0, 1) -> whole numbers from `low` to `high`, both included."""
    return low + np.floor((high - low + 1) * uniform)


def _noise(spec: NoiseSpec, uniform: Numbers) -> Values:
    key = np.floor(uniform[1] * 2**32)
    if spec.kind == "level":
        return {"level_db": np.full(len(key), spec.level_db), "key": key}
    return {"ratio": _between(spec.low_ratio, spec.high_ratio, uniform[0]), "key": key}


def _gain(spec: GainSpec, uniform: Numbers) -> Values:
    return {"gain_db": _between(spec.low_db, spec.high_db, uniform[0])}


def _filter(spec: FilterSpec, uniform: Numbers) -> Values:
    low_pass = uniform[0] < spec.lowpass_share
    low = _between(spec.low_lowpass_hz, spec.high_lowpass_hz, uniform[1])
    high = _between(spec.low_highpass_hz, spec.high_highpass_hz, uniform[1])
    return {"low_pass": low_pass.astype(np.float64), "cutoff_hz": np.where(low_pass, low, high)}


def _delay(spec: DelaySpec, uniform: Numbers) -> Values:
    # 1e-9: a quotient that should be a whole number may be rounded to just below it.
    steps = int((spec.high_ms - spec.low_ms) / spec.step_ms + 1e-9)
    return {"delay_ms": spec.low_ms + spec.step_ms * _whole(0, steps, uniform[0])}


def _pitch_shift(spec: PitchShiftSpec, uniform: Numbers) -> Values:
    return {"cents": _between(spec.low_cents, spec.high_cents, uniform[0])}


def _reverb(spec: ReverbSpec, uniform: Numbers) -> Values:
    return {
        "reverberance": _whole(spec.low_reverberance, spec.high_reverberance, uniform[0]),
        "damping": _whole(spec.low_damping, spec.high_damping, uniform[1]),
        "room": _whole(spec.low_room, spec.high_room, uniform[2]),
    }


def _mixup(spec: MixupSpec, uniform: Numbers) -> Values:
    return {"share": _between(0, spec.high_share, uniform[0]), "partner": uniform[1]}


def _resize_crop(spec: ResizeCropSpec, uniform: Numbers) -> Values:
    return {
        "bands": _between(spec.low_bands, spec.high_bands, uniform[0]),
        "frames": _between(spec.low_frames, spec.high_frames, uniform[1]),
        "band_place": uniform[2],
        "frame_place": uniform[3],
    }


_VALUES: dict[str, Callable[..., Values]] = {
    "noise": _noise,
    "gain": _gain,
    "filter": _filter,
    "delay": _delay,
    "pitch_shift": _pitch_shift,
    "reverb": _reverb,
    "mixup": _mixup,
    "resize_crop": _resize_crop,
}
