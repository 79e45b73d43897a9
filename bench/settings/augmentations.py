"""Specs of augmentation chains: each transform with its ranges, and the published chains by name.

A chain is applied in the order of `AugmentSpec`'s fields, which is CLMR's; a transform with a
probability of 0 is left out. The transforms are implemented in `bench.data.augment`.

Sources of CLMR's numbers: "v1" and "v2" are the branches of the authors' code (config.yaml and the
library of augmentations), "thesis" is J. Spijkervet, "Contrastive learning of musical
representations", MSc, Amsterdam 2020.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from bench.core.errors import unknown
from bench.settings.base import Spec

Probability = Annotated[float, Field(ge=0, le=1)]
Percent = Annotated[int, Field(ge=0, le=100)]


class Transform(Spec):
    """Base of every transform's spec.

    Attributes:
        probability: with which an item of a batch is transformed; 0 leaves the transform out.
    """

    probability: Probability = 0.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        """Refuses a range whose lower end lies above its upper end."""
        for name in type(self).model_fields:
            if name.startswith("low_"):
                other = "high_" + name.removeprefix("low_")
                low, high = getattr(self, name), getattr(self, other)
                if low > high:
                    raise ValueError(f"{name} {low:g} lies above {other} {high:g}")
        return self


class PolaritySpec(Transform):
    """Polarity inversion: the waveform is multiplied by -1."""


class NoiseSpec(Transform):
    """Additive white Gaussian noise.

    Attributes:
        kind: "relative": its standard deviation is U(low_ratio, high_ratio) times that of the item;
            "level": its power lies `level_db` below that of the item.
        low_ratio: least ratio of the standard deviations.
        high_ratio: greatest ratio of the standard deviations.
        level_db: signal-to-noise ratio of "level", in dB.
    """

    kind: Literal["relative", "level"] = "relative"
    low_ratio: float = Field(1e-4, ge=0)
    high_ratio: float = Field(1e-2, ge=0)
    level_db: float = 80.0


class GainSpec(Transform):
    """Change of level, drawn uniformly in decibels.

    Attributes:
        low_db: least gain, in dB.
        high_db: greatest gain, in dB.
    """

    low_db: float = -20.0
    high_db: float = -1.0


class FilterSpec(Transform):
    """A low-pass or a high-pass filter.

    Attributes:
        lowpass_share: probability that the filter is a low-pass rather than a high-pass one.
        low_lowpass_hz: least cutoff of the low-pass filter, in Hz.
        high_lowpass_hz: greatest cutoff of the low-pass filter, in Hz.
        low_highpass_hz: least cutoff of the high-pass filter, in Hz.
        high_highpass_hz: greatest cutoff of the high-pass filter, in Hz.
    """

    lowpass_share: Probability = 0.5
    low_lowpass_hz: float = Field(2200.0, gt=0)
    high_lowpass_hz: float = Field(4000.0, gt=0)
    low_highpass_hz: float = Field(200.0, gt=0)
    high_highpass_hz: float = Field(1200.0, gt=0)


class DelaySpec(Transform):
    """One echo: (x + factor * delayed x) / 2.

    Attributes:
        low_ms: shortest delay, in milliseconds.
        high_ms: longest delay, in milliseconds.
        step_ms: distance between two delays that can be drawn, in milliseconds.
        factor: amplitude of the echo, as a factor.
    """

    low_ms: float = Field(200.0, ge=0)
    high_ms: float = Field(450.0, ge=0)
    step_ms: float = Field(50.0, gt=0)
    factor: float = Field(0.5, ge=0)


class PitchShiftSpec(Transform):
    """Pitch shift at the same tempo, drawn uniformly in cents.

    Attributes:
        low_cents: lowest shift, in cents.
        high_cents: highest shift, in cents.
    """

    low_cents: float = Field(-700.0, ge=-2400, le=2400)
    high_cents: float = Field(700.0, ge=-2400, le=2400)


class ReverbSpec(Transform):
    """Reverberation with SoX's parameters, each drawn uniformly from whole numbers.

    Attributes:
        low_reverberance: least reverberance, in percent.
        high_reverberance: greatest reverberance, in percent.
        low_damping: least damping of high frequencies, in percent.
        high_damping: greatest damping of high frequencies, in percent.
        low_room: smallest room, in percent.
        high_room: largest room, in percent.
    """

    low_reverberance: Percent = 0
    high_reverberance: Percent = 99
    low_damping: Percent = 0
    high_damping: Percent = 99
    low_room: Percent = 0
    high_room: Percent = 99


class LogMelChangeSpec(Transform):
    """Level, equaliser, noise, noise floor, a band mask and a frame mask of a log-mel spectrogram.

    Attributes:
        gain_db: largest change of level, up or down, in dB.
        equaliser_db: largest gain of the equaliser at each of its nodes, up or down, in dB.
        equaliser_nodes: number of nodes, spread evenly over the bands.
        noise_db: largest standard deviation of the noise on each bin, in dB.
        floor_db: highest noise floor, in dB above the item's quietest bin.
        band_mask: largest share of the bands that the band mask covers.
        frame_mask: largest share of the frames that the frame mask covers.
    """

    gain_db: float = Field(6.0, ge=0)
    equaliser_db: float = Field(12.0, ge=0)
    equaliser_nodes: int = Field(6, ge=2)
    noise_db: float = Field(3.0, ge=0)
    floor_db: float = Field(30.0, ge=0)
    band_mask: float = Field(0.25, ge=0, lt=1)
    frame_mask: float = Field(0.25, ge=0, lt=1)


class ResizeCropSpec(Transform):
    """A random part of a log-mel spectrogram, resized to the whole.

    Source: Niizumi et al., BYOL-A, IJCNN 2021, section III.B.

    Attributes:
        low_bands: least height of the part, as a share of the bands.
        high_bands: greatest height; above 1 the part may reach beyond the edge.
        low_frames: least length of the part, as a share of the frames.
        high_frames: greatest length; above 1 the part may reach beyond the edge.
    """

    low_bands: float = Field(0.6, gt=0)
    high_bands: float = Field(1.5, gt=0)
    low_frames: float = Field(0.6, gt=0)
    high_frames: float = Field(1.5, gt=0)


class MixupSpec(Transform):
    """Mixes power spectra of another item of the batch into an item's (BYOL-A, section III.B).

    Attributes:
        high_share: greatest share that the other item gets.
    """

    high_share: float = Field(0.4, ge=0, lt=1)


class AugmentSpec(Spec):
    """A chain: the transforms of waveforms, then those of log-mel spectrograms, in this order.

    Attributes:
        name: the published chain from whose settings this one started.
        polarity: polarity inversion of the waveform.
        noise: white noise added to the waveform.
        gain: change of the waveform's level.
        filter: low-pass or high-pass filter.
        delay: one echo.
        pitch_shift: pitch shift.
        reverb: reverberation.
        log_mel: level, equaliser, noise, noise floor and masks of the spectrogram.
        mixup: spectra of another item mixed in.
        resize_crop: a part of the spectrogram, resized to the whole.
    """

    name: str = "none"
    polarity: PolaritySpec = PolaritySpec()
    noise: NoiseSpec = NoiseSpec()
    gain: GainSpec = GainSpec()
    filter: FilterSpec = FilterSpec()
    delay: DelaySpec = DelaySpec()
    pitch_shift: PitchShiftSpec = PitchShiftSpec()
    reverb: ReverbSpec = ReverbSpec()
    log_mel: LogMelChangeSpec = LogMelChangeSpec()
    mixup: MixupSpec = MixupSpec()
    resize_crop: ResizeCropSpec = ResizeCropSpec()

    @property
    def on_spectrogram(self) -> bool:
        """Whether a transform changes log-mel spectrograms, which encoders of waveforms lack."""
        return any(getattr(self, name).probability > 0 for name in SPECTROGRAM)

    @property
    def on_waveform(self) -> bool:
        """Whether a transform changes waveforms."""
        return any(getattr(self, name).probability > 0 for name in WAVEFORM)


WAVEFORM = ("polarity", "noise", "gain", "filter", "delay", "pitch_shift", "reverb")
"""Transforms of waveforms, in the order in which they are applied."""
SPECTROGRAM = ("log_mel", "mixup", "resize_crop")
"""Transforms of log-mel spectrograms, in the order in which they are applied."""

# v2: probabilities of config.yaml:36-44; ranges of the authors' library,
# torchaudio_augmentations/augmentations/: noise.py, gain.py, filter.py, delay.py (arange leaves 500
# ms out), pitch_shift.py, reverb.py (whole numbers, to 99).
_CLMR: dict[str, dict[str, Any]] = {
    "polarity": {"probability": 0.8},
    "noise": {"probability": 0.01},
    "gain": {"probability": 0.3},
    "filter": {"probability": 0.8},
    "delay": {"probability": 0.3},
    "pitch_shift": {"probability": 0.6},
    "reverb": {"probability": 0.6},
}

_PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "none": {},
    "log_mel": {"log_mel": {"probability": 1.0}},
    "clmr": _CLMR,
    # v1 (audio.py): no noise (and 80 dB below, where it is switched on), a softer echo, reverb from
    # 1 to 100.
    "clmr_v1": {
        **_CLMR,
        "noise": {"probability": 0.0, "kind": "level"},
        "delay": {"probability": 0.3, "factor": 0.2},
        "reverb": {
            "probability": 0.6,
            **{f"low_{name}": 1 for name in ("reverberance", "damping", "room")},
            **{f"high_{name}": 100 for name in ("reverberance", "damping", "room")},
        },
    },
    # thesis: its text says [-6, 0] dB where both versions of the code say U(-20, -1) dB; else as
    # v2.
    "clmr_thesis": {**_CLMR, "gain": {"probability": 0.3, "low_db": -6.0, "high_db": 0.0}},
    # BYOL-A: train.py, AugmentationModule, "the same parameter with the paper".
    "byol_a": {"mixup": {"probability": 1.0}, "resize_crop": {"probability": 1.0}},
}


def presets() -> list[str]:
    """The names of the published chains."""
    return list(_PRESETS)


def preset(name: str) -> dict[str, Any]:
    """The settings of a published chain, with its name.

    Args:
        name: of the chain.

    Raises:
        InputError: there is no such chain.
    """
    if name not in _PRESETS:
        raise unknown("augmentation", name, presets())
    return {
        "name": name,
        **{transform: dict(values) for transform, values in _PRESETS[name].items()},
    }
