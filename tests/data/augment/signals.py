"""Signals and settings that tests of the augmentations share."""

import numpy as np
import torch

from bench.settings.augmentations import WAVEFORM, AugmentSpec, preset

RATE = 22_050
SAMPLES = 59_049


def tone(frequency: float, samples: int = SAMPLES, rate: int = RATE) -> torch.Tensor:
    """(1, samples) sine of amplitude 0.5."""
    return (
        0.5 * torch.sin(2 * np.pi * frequency * torch.arange(samples, dtype=torch.float64) / rate)
    ).float()[None]


def music(batch: int, samples: int = SAMPLES, seed: int = 0) -> torch.Tensor:
    """(batch, samples) noise of uneven level and colour, which no two items share."""
    noise = 0.1 * torch.randn(batch, samples, generator=torch.Generator().manual_seed(seed))
    return noise.cumsum(1).sub(noise.cumsum(1).roll(50, 1)) * torch.linspace(0.2, 1, batch)[:, None]


def only(name: str, probability: float = 1.0, **settings: object) -> AugmentSpec:
    """A chain of one transform."""
    return AugmentSpec.model_validate({name: {"probability": probability, **settings}})


def always() -> AugmentSpec:
    """CLMR's chain with every transform on every item."""
    tree = preset("clmr")
    return AugmentSpec.model_validate(
        {name: {**tree[name], "probability": 1.0} for name in WAVEFORM}
    )
