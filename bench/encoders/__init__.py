"""Encoders: (batch, ...) -> (batch, width). One file is one encoder; adding one is adding one file.

A file holds a docstring (its first line is what `bench list encoders` shows), literal constants, a
frozen `Settings` with a field `seconds`, and a class `Encoder`. Literals, so that they are read
without importing the file:
    PAPER, COST: strings for the list.
    SAMPLE_RATE: of the waveform it learns from, in Hz.
    INPUT: what `forward` is given: "waveform", "log_mel" or "mfcc".
    EXTERNAL: of encoders of others, the setting that names the folder with their files (see
    `bench.core.external`).
"""

import pkgutil

import torch
from torch import Tensor, nn

from bench.settings.base import Spec
from bench.settings.frontends import LogMelSpec as LogMelSpec
from bench.settings.frontends import MfccSpec as MfccSpec

__path__ = pkgutil.extend_path(__path__, __name__)


class Settings(Spec):
    """Base of an encoder's settings.

    Attributes:
        seconds: length of one view and of one segment, in seconds.
    """

    seconds: float


class Encoder(nn.Module):
    """Base of every encoder.

    Attributes:
        width: size of the embedding.
        frontend: what the waveform is turned into before `forward`; None for the waveform itself.
    """

    width: int
    frontend: LogMelSpec | MfccSpec | None = None

    def __init__(self, settings: Settings) -> None:
        """Builds the network from the encoder file's own `Settings`."""
        super().__init__()
        self.settings = settings

    def forward(self, inputs: Tensor) -> Tensor:
        """(batch, 1, bands, frames) or (batch, samples) -> (batch, width)."""
        raise NotImplementedError

    def restore(self) -> None:
        """Replaces the freshly drawn weights by its own, of encoders of others (EXTERNAL).

        No other has any.
        """
        raise NotImplementedError


def encode(encoder: nn.Module, inputs: Tensor) -> Tensor:
    """Embeddings (items, width) of inputs (items, ...), without gradient, some items at a time.

    On a CPU waveforms go two by two: what a layer makes of them then stays in the cache
    (`sample_cnn` encodes 24 crops a second and core, and 15 when it is given many at once).
    """
    at_once = 2 if inputs.ndim == 2 and inputs.device.type == "cpu" else 64
    with torch.no_grad():
        return torch.cat([encoder(part) for part in torch.split(inputs, at_once)])
