"""The adapter for encoders of others: declares sample rate and seconds, picks layers, pools over time.

A file that uses it gives `hidden_states` and `restore`, and the literal `EXTERNAL = "folder"` (see
`bench.core.external`). The network is built from the folder's description with freshly drawn
weights, as any encoder is, so that `--method random_init` means what it says; `--method imported`
calls `restore`.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor

from bench.core.external import DESCRIPTIONS
from bench.encoders import Encoder as BaseEncoder
from bench.encoders import Settings as BaseSettings

_AT_ONCE = 8
"""Segments encoded at a time without gradients: HuBERT's first layers hold 50 MB for each 5 s,
several times over.
"""


class Settings(BaseSettings):
    """What every external encoder can be told.

    Attributes:
        folder: path of the model's files; nothing is downloaded.
        layers: hidden states whose mean is taken, 0 for what enters the first layer; none for all
            of them.
        pooling: how frames become one vector.
    """

    folder: str = ""
    layers: tuple[Annotated[int, Field(ge=0)], ...] = ()
    pooling: Literal["mean", "max"] = "mean"

    @field_validator("layers", mode="before")
    @classmethod
    def _one_or_several(cls, layers: object) -> object:
        return (layers,) if isinstance(layers, int) else layers

    @model_validator(mode="after")
    def _given(self) -> Self:
        if not self.folder:
            raise ValueError(
                f"give --encoder.folder PATH, with {', '.join(DESCRIPTIONS)} and model.safetensors or "
                "pytorch_model.bin; nothing is downloaded"
            )
        if len(set(self.layers)) < len(self.layers):
            raise ValueError("a layer stands twice in encoder.layers")
        return self

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(self.folder).expanduser()


class ExternalEncoder(BaseEncoder):
    """(batch, samples) -> (batch, width): the mean of the chosen layers, pooled over time."""

    settings: Settings

    def hidden_states(self, waveform: Tensor) -> tuple[Tensor, ...]:
        """(batch, samples) in [-1, 1] -> the first layer's input, then each layer's output: (batch, frames, width)."""
        raise NotImplementedError

    def descriptions(self) -> dict[str, bytes]:
        """What the network is built from, by file name: goes with exported weights."""
        return {name: (self.settings.path / name).read_bytes() for name in DESCRIPTIONS}

    def forward(self, inputs: Tensor) -> Tensor:
        """(batch, samples) -> (batch, width)."""
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or len(inputs) <= _AT_ONCE:
            return self._pooled(inputs)
        return torch.cat([self._pooled(part) for part in torch.split(inputs, _AT_ONCE)])

    def _pooled(self, inputs: Tensor) -> Tensor:
        states = self.hidden_states(inputs)
        chosen = (
            [states[layer] for layer in self.settings.layers]
            if self.settings.layers
            else list(states)
        )
        frames = torch.stack(chosen).mean(dim=0)
        return frames.amax(dim=1) if self.settings.pooling == "max" else frames.mean(dim=1)
