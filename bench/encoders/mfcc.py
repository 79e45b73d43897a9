"""Mean and standard deviation of 20 MFCCs over a segment, a hand-made baseline without weights."""

import torch
from pydantic import Field
from torch import Tensor

from bench.encoders import Encoder as BaseEncoder
from bench.encoders import Settings as BaseSettings
from bench.settings.frontends import MfccSpec

PAPER = "Logan, ISMIR 2000; Tzanetakis and Cook, IEEE TSAP 2002"
COST = "no parameters"
SAMPLE_RATE = 16_000
INPUT = "mfcc"


class Settings(BaseSettings):
    """Settings of the hand-made features.

    Attributes:
        seconds: length of a segment.
        coefficients: number of MFCCs, including the zeroth.
    """

    seconds: float = Field(3.0, gt=0.3, le=60)
    coefficients: int = Field(20, ge=2, le=40)


class Encoder(BaseEncoder):
    """Means of the MFCCs over time, then their standard deviations."""

    def __init__(self, settings: Settings) -> None:
        """Declares the front end."""
        super().__init__(settings)
        self.frontend = MfccSpec(sample_rate=SAMPLE_RATE, coefficients=settings.coefficients)
        self.width = 2 * settings.coefficients

    def forward(self, inputs: Tensor) -> Tensor:
        """Computes embeddings: (batch, 1, coefficients, frames) -> (batch, 2 * coefficients)."""
        return torch.cat([inputs.mean(dim=(1, 3)), inputs[:, 0].std(dim=2)], dim=1)
