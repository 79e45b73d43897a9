"""A small version of the paper's ResNet for two CPU cores: 64 mel bands, 3 s, one block a stage.

It has the same parts as `resnet`. Decibels are shifted and scaled to about unit size: convolutions
pad with zeros, which in decibels is the loudest value there is, and the few hundred steps that a
laptop can train are not enough to learn to ignore that.
"""

from typing import Annotated

from pydantic import Field

from bench.encoders.resnet import Encoder as ResNet
from bench.encoders.resnet import Settings as ResNetSettings

PAPER = "this project, after Meseguer-Brocal et al., ICASSP 2024"
COST = "1.43 M parameters; a laptop"
SAMPLE_RATE = 16_000
INPUT = "log_mel"


class Settings(ResNetSettings):
    """Size of the small network; for the fields see `bench.encoders.resnet.Settings`."""

    seconds: float = Field(3.0, gt=0.3, le=60)
    blocks: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (1, 1, 1, 1), min_length=1, max_length=4
    )
    embedding: int = Field(256, ge=1)
    mels: int = Field(64, ge=32)
    f_max: float = Field(8_000.0, gt=0)
    area_norm: bool = True
    offset_db: float = 30.0
    scale_db: float = Field(20.0, gt=0)


class Encoder(ResNet):
    """The small ResNet; see the module's docstring."""

    def __init__(self, settings: Settings) -> None:
        """Builds the network."""
        super().__init__(settings)
