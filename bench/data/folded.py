"""Front ends as matrix products, for file formats such as ONNX that lack a Fourier transform.

Frames are taken by an index and multiplied by a matrix of windowed cosines and sines. Window and
filters are the buffers of the front ends in `bench.data.frontend`. Everything up to the mel power
is in float64, since a quiet band beside a loud one has few exact digits in float32: the difference
to the original front end is then only that one's own rounding. No index is computed while the model
runs.
"""

from typing import Any

import torch
from torch import Tensor, nn

from bench.data.frontend import LogMel, Mfcc

_LEAST_POWER = 1e-10  # torchaudio.transforms.AmplitudeToDB


class FoldedMel(nn.Module):
    """(batch, samples) waveform -> (batch, 1, mels, frames) mel power in dB, at a fixed length."""

    index: Tensor
    basis: Tensor
    filters: Tensor

    def __init__(self, mel: Any, samples: int, top_db: float) -> None:
        """Computes the matrices of a torchaudio transform.

        Args:
            mel: a `MelSpectrogram` of power 2 that pads by reflection.
            samples: length of the waveforms.
            top_db: dynamic range kept below an item's loudest bin, in dB.

        Raises:
            ValueError: the transform is normalised in another way than by its window.
        """
        super().__init__()
        transform = mel.spectrogram
        n_fft, hop = transform.n_fft, transform.hop_length
        window = torch.zeros(n_fft, dtype=torch.float64)
        margin = (n_fft - transform.win_length) // 2
        window[margin : margin + transform.win_length] = transform.window.double()
        if transform.normalized == "window":
            window /= window.square().sum().sqrt()
        elif transform.normalized:
            raise ValueError(
                f"a transform normalised by {transform.normalized!r} is not known here"
            )
        self.bins, self.top_db = n_fft // 2 + 1, top_db
        # Whole turns are left out, so that the angles stay small and the cosines exact.
        turns = torch.outer(torch.arange(n_fft), torch.arange(self.bins)) % n_fft
        angle = 2 * torch.pi * turns.double() / n_fft
        basis = torch.cat([torch.cos(angle), torch.sin(angle)], dim=1) * window[:, None]
        place = (
            hop * torch.arange(samples // hop + 1)[:, None] + torch.arange(n_fft)[None] - n_fft // 2
        )
        place = (samples - 1) - ((samples - 1) - place.abs()).abs()  # reflected at both ends
        self.register_buffer("index", place)
        self.register_buffer("basis", basis)
        self.register_buffer("filters", mel.mel_scale.fb.double())

    def forward(self, waveform: Tensor) -> Tensor:
        """(batch, samples) in [-1, 1] -> (batch, 1, mels, frames) dB."""
        spectrum = waveform.double()[:, self.index] @ self.basis
        power = spectrum[..., : self.bins].square() + spectrum[..., self.bins :].square()
        mel = (power @ self.filters).to(waveform.dtype).transpose(1, 2)[:, None]
        decibels = 10.0 * torch.log10(mel.clamp(min=_LEAST_POWER))
        return torch.maximum(decibels, decibels.amax(dim=(1, 2, 3), keepdim=True) - self.top_db)


class FoldedLogMel(nn.Module):
    """The front end `bench.data.frontend.LogMel` as matrix products."""

    def __init__(self, frontend: LogMel, samples: int) -> None:
        """Takes the buffers of the front end, for waveforms of `samples`."""
        super().__init__()
        self.mel = FoldedMel(frontend.mel, samples, frontend.spec.top_db)
        self.spec = frontend.spec

    def forward(self, waveform: Tensor) -> Tensor:
        """(batch, samples) in [-1, 1] -> (batch, 1, mels, frames)."""
        decibels: Tensor = self.mel(waveform)
        return (decibels + self.spec.offset_db) / self.spec.scale_db


class FoldedMfcc(nn.Module):
    """The front end `bench.data.frontend.Mfcc` as matrix products."""

    cosines: Tensor

    def __init__(self, frontend: Mfcc, samples: int) -> None:
        """Takes the buffers of the front end, for waveforms of `samples`."""
        super().__init__()
        mfcc = frontend.mfcc
        self.mel = FoldedMel(mfcc.MelSpectrogram, samples, mfcc.amplitude_to_DB.top_db)
        self.register_buffer("cosines", mfcc.dct_mat.clone())

    def forward(self, waveform: Tensor) -> Tensor:
        """(batch, samples) in [-1, 1] -> (batch, 1, coefficients, frames)."""
        decibels: Tensor = self.mel(waveform)
        return (decibels.transpose(2, 3) @ self.cosines).transpose(2, 3)


def folded(frontend: nn.Module, samples: int) -> nn.Module:
    """The same front end without a Fourier transform.

    Args:
        frontend: one of `bench.data.frontend`.
        samples: length of the waveforms.

    Raises:
        ValueError: it is of a kind that is not known here.
    """
    if isinstance(frontend, LogMel):
        return FoldedLogMel(frontend, samples)
    if isinstance(frontend, Mfcc):
        return FoldedMfcc(frontend, samples)
    if isinstance(frontend, nn.Identity):
        return frontend
    raise ValueError(f"a front end of kind {type(frontend).__name__} is not known here")
