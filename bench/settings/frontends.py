"""Specs of front ends, apart from the others: all products of audio depend on their defaults."""

from bench.settings.base import Spec


class LogMelSpec(Spec):
    """A log-mel front end.

    Attributes:
        sample_rate: of the waveform, in Hz.
        n_fft: length of a Fourier window, in samples.
        hop: distance between two windows, in samples.
        mels: number of mel bands (Slaney's scale).
        f_min: lower edge of the lowest band, in Hz.
        f_max: upper edge of the highest band, in Hz.
        area_norm: whether each band is divided by its width in Hz (Slaney's normalisation).
        top_db: dynamic range that is kept below an item's loudest bin, in dB.
        offset_db: added to the levels, in dB, before they are scaled.
        scale_db: number of decibels that become 1.
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
        """The number of frames of a view.

        Args:
            seconds: length of the view.
        """
        return round(seconds * self.sample_rate) // self.hop + 1


class MfccSpec(Spec):
    """A front end of mel-frequency cepstral coefficients.

    Attributes:
        sample_rate: of the waveform, in Hz.
        coefficients: how many are kept, the zeroth included.
        mels: number of mel bands that they are computed from.
        n_fft: length of a Fourier window, in samples.
        hop: distance between two windows, in samples.
    """

    sample_rate: int
    coefficients: int = 20
    mels: int = 64
    n_fft: int = 1024
    hop: int = 512
