"""Specs of front ends, apart from the others: all products of audio depend on their defaults."""

from bench.settings.base import Spec


class LogMelSpec(Spec):
    """A log-mel front end.

    Attributes:
        sample_rate: of the waveform, in Hz.
        n_fft: samples a Fourier window.
        hop: samples between two windows.
        mels: number of mel bands (Slaney scale).
        f_min: lower edge of the lowest band, in Hz.
        f_max: upper edge of the highest band, in Hz.
        area_norm: whether each band is divided by its width in Hz (Slaney's normalisation).
        top_db: dynamic range kept below an item's loudest bin, in dB.
        offset_db: added to the decibels.
        scale_db: decibels that become 1.
    """

    sample_rate: int
    n_fft: int = 1024
    hop: int = 512
    mels: int = 128
    f_min: float = 0.0
    f_max: float
    area_norm: bool = True
    top_db: float = 100.0
    offset_db: float = 0.0
    scale_db: float = 1.0

    def frames(self, seconds: float) -> int:
        """Number of frames of a view of `seconds`."""
        return round(seconds * self.sample_rate) // self.hop + 1


class MfccSpec(Spec):
    """A front end of mel-frequency cepstral coefficients.

    Attributes:
        sample_rate: of the waveform, in Hz.
        coefficients: how many are kept, the zeroth included.
        mels: number of mel bands they are computed from.
        n_fft: samples a Fourier window.
        hop: samples between two windows.
    """

    sample_rate: int
    coefficients: int = 20
    mels: int = 64
    n_fft: int = 1024
    hop: int = 512
