"""Front ends on the device: from waveforms to log-mel spectrograms or cepstral coefficients."""

import warnings

import torch
import torchaudio.transforms as transforms
from torch import Tensor, nn

from bench.settings.frontends import LogMelSpec, MfccSpec


class LogMel(nn.Module):
    """(batch, samples) waveform -> (batch, 1, mels, frames) log-mel, in units of `scale_db` dB.

    Follows the code of the authors of the multi-view comparison
    (ssl_framework/models/__init__.py:15-63): Slaney mels, power normalised by the window, decibels
    down to `top_db` below the loudest bin of each item. Theirs has no `area_norm`.
    """

    def __init__(self, spec: LogMelSpec) -> None:
        """Builds the transform."""
        super().__init__()
        self.spec = spec
        # Above the Nyquist frequency the paper's bands are empty; see `bench.encoders.resnet`.
        warnings.filterwarnings("ignore", message="At least one mel filterbank has all zero values")
        self.mel = transforms.MelSpectrogram(
            spec.sample_rate,
            n_fft=spec.n_fft,
            hop_length=spec.hop,
            f_min=spec.f_min,
            f_max=spec.f_max,
            n_mels=spec.mels,
            normalized="window",
            mel_scale="slaney",
            norm="slaney" if spec.area_norm else None,
        )
        self.decibels = transforms.AmplitudeToDB("power", top_db=spec.top_db)

    def forward(self, waveform: Tensor) -> Tensor:
        """(batch, samples) in [-1, 1] -> (batch, 1, mels, frames)."""
        # With a channel axis torchaudio takes `top_db` below the loudest bin of each item; without
        # one, of the whole batch, and an item would depend on its neighbours.
        decibels: Tensor = self.decibels(self.mel(waveform)[:, None])
        return (decibels + self.spec.offset_db) / self.spec.scale_db


class Mfcc(nn.Module):
    """(batch, samples) waveform -> (batch, 1, coefficients, frames) MFCCs."""

    def __init__(self, spec: MfccSpec) -> None:
        """Builds the transform."""
        super().__init__()
        mel = {"n_fft": spec.n_fft, "hop_length": spec.hop, "n_mels": spec.mels}
        self.mfcc = transforms.MFCC(spec.sample_rate, n_mfcc=spec.coefficients, melkwargs=mel)

    def forward(self, waveform: Tensor) -> Tensor:
        """(batch, samples) in [-1, 1] -> (batch, 1, coefficients, frames)."""
        coefficients: Tensor = self.mfcc(waveform[:, None])
        return coefficients


def build_frontend(spec: LogMelSpec | MfccSpec | None) -> nn.Module:
    """The module for a spec; the identity for None, where an encoder takes waveforms."""
    if isinstance(spec, LogMelSpec):
        return LogMel(spec)
    if isinstance(spec, MfccSpec):
        return Mfcc(spec)
    return nn.Identity()


def to_waveform(samples: Tensor) -> Tensor:
    """int16 samples of any shape -> float32 in [-1, 1]."""
    return samples.to(torch.float32) / 32767.0
