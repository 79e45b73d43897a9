"""Encoders map inputs to embeddings, (batch, ...) -> (batch, width); one file is one encoder.

An encoder's file holds a docstring (`bench list encoders` shows its first line), the constants
below, a frozen class `Settings` with a field `seconds`, and a class `Encoder`. To add an encoder is
to add a file.

Constants, which must be literals, so that they can be read without importing the file:
    PAPER: authors, venue and arXiv id.
    COST: number of parameters, and the hardware that training needs.
    SAMPLE_RATE: sample rate of the waveform in Hz.
    INPUT: what `forward` is given: "waveform", "log_mel" or "mfcc".
    EXTERNAL: for encoders whose files come from elsewhere, the name of the setting that holds the
        path of their folder (see `bench.core.external`).
"""

import pkgutil

import torch
from torch import Tensor, nn

from bench.settings.base import Spec
from bench.settings.frontends import LogMelSpec as LogMelSpec
from bench.settings.frontends import MfccSpec as MfccSpec

__path__ = pkgutil.extend_path(__path__, __name__)


class Settings(Spec):
    """Base class of an encoder's settings.

    Attributes:
        seconds: length of one view and of one segment, in seconds.
    """

    seconds: float


class Encoder(nn.Module):
    """Base class of every encoder.

    Attributes:
        width: size of the embedding.
        frontend: front end that turns the waveform into the input of `forward`; None for the
            waveform itself.
    """

    width: int
    frontend: LogMelSpec | MfccSpec | None = None

    def __init__(self, settings: Settings) -> None:
        """Stores the settings; subclasses build the network.

        Args:
            settings: an instance of the encoder file's own `Settings`.
        """
        super().__init__()
        self.settings = settings

    def forward(self, inputs: Tensor) -> Tensor:
        """Computes embeddings.

        Args:
            inputs: (batch, 1, bands, frames) spectrograms or (batch, samples) waveforms.

        Returns:
            (batch, width).
        """
        raise NotImplementedError

    def restore(self) -> None:
        """Replaces the freshly drawn weights by published ones, for external encoders alone."""
        raise NotImplementedError


def encode(encoder: nn.Module, inputs: Tensor) -> Tensor:
    """Computes embeddings without gradient, a few items at a time.

    On a CPU, waveforms are encoded two at a time, so that the output of a layer stays in the cache:
    `sample_cnn` then encodes 24 crops per second and core, and 15 if it is given many at once.

    Args:
        encoder: the network.
        inputs: (items, ...) inputs of the network.

    Returns:
        (items, width) embeddings.
    """
    at_once = 2 if inputs.ndim == 2 and inputs.device.type == "cpu" else 64
    with torch.no_grad():
        return torch.cat([encoder(part) for part in torch.split(inputs, at_once)])
