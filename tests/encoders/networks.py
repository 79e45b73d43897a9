"""Encoders with drawn weights, inputs for them, and the shapes that they pass through."""

from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from bench.core import registry
from bench.data.frontend import build_frontend
from bench.encoders import Encoder


def module(name: str) -> ModuleType:
    """The plug-in of a name."""
    return registry.load("encoders", name)


def build(name: str, seed: int = 0, **settings: object) -> Any:
    """The encoder of a name, with weights drawn by a seed; of no common type, as parts differ."""
    torch.manual_seed(seed)
    return module(name).Encoder(module(name).Settings(**settings)).eval()


def size(network: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def inputs(encoder: Encoder, rate: int, batch: int = 2) -> Tensor:
    """Noise of the right length, behind the encoder's front end."""
    samples = round(encoder.settings.seconds * rate)
    waveforms = 0.1 * torch.randn(batch, samples, generator=torch.Generator().manual_seed(1))
    prepared: Tensor = build_frontend(encoder.frontend)(waveforms)
    return prepared


def outputs(encoder: Encoder, blocks: nn.Module, given: Tensor) -> list[tuple[int, ...]]:
    """Shape of one item after each of the blocks."""
    shapes: list[tuple[int, ...]] = []
    hooks = [
        block.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[1:])))
        for block in blocks.children()
    ]
    with torch.no_grad():
        encoder(given)
    for hook in hooks:
        hook.remove()
    return shapes


def waveforms(encoder: Encoder, batch: int = 3) -> Tensor:
    """Noise of the right length at the encoder's sample rate."""
    rate = registry.load("encoders", type(encoder).__module__.rpartition(".")[2]).SAMPLE_RATE
    return 0.1 * torch.randn(
        batch, round(encoder.settings.seconds * rate), generator=torch.Generator().manual_seed(1)
    )
