"""Adapter for published encoders: chooses layers of their hidden states and pools over time.

An encoder's file that uses it defines `hidden_states` and `restore`, and the constant `EXTERNAL =
"folder"` (see `bench.core.external`). Like any encoder, the network is built with freshly drawn
weights, here from the description in the folder, so that `--method random_init` works as usual;
`--method imported` calls `restore`.
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
"""Number of segments that are encoded at a time without gradient: each output of HuBERT's first
layers takes 50 MB for a segment of 5 s, and several are held at the same time.
"""


class Settings(BaseSettings):
    """Settings that all external encoders share.

    Attributes:
        folder: path of the folder with the model's files; nothing is downloaded.
        layers: numbers of the layers whose outputs are averaged, 0 being the input of the first
            layer; if empty, all of them.
        pooling: how the frames of a segment become one vector.
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
                f"give --encoder.folder PATH, with {', '.join(DESCRIPTIONS)} and model.safetensors "
                "or pytorch_model.bin; nothing is downloaded"
            )
        if len(set(self.layers)) < len(self.layers):
            raise ValueError("a layer stands twice in encoder.layers")
        return self

    @property
    def path(self) -> Path:
        """Path of the folder with the model's files."""
        return Path(self.folder).expanduser()


class ExternalEncoder(BaseEncoder):
    """Averages the chosen layers and pools over time: (batch, samples) -> (batch, width)."""

    settings: Settings

    def hidden_states(self, waveform: Tensor) -> tuple[Tensor, ...]:
        """Computes the hidden states of all layers.

        Args:
            waveform: (batch, samples) in [-1, 1].

        Returns:
            The input of the first layer, then the output of each layer, each (batch, frames,
            width).
        """
        raise NotImplementedError

    def descriptions(self) -> dict[str, bytes]:
        """Reads the files from which the network is built; they are exported with the weights.

        Returns:
            Content of each file, by its name.
        """
        return {name: (self.settings.path / name).read_bytes() for name in DESCRIPTIONS}

    def forward(self, inputs: Tensor) -> Tensor:
        """Computes embeddings: (batch, samples) -> (batch, width)."""
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or len(inputs) <= _AT_ONCE:
            return self._pooled(inputs)
        return torch.cat([self._pooled(part) for part in torch.split(inputs, _AT_ONCE)])

    def _pooled(self, inputs: Tensor) -> Tensor:
        """Computes embeddings of all inputs at once."""
        states = self.hidden_states(inputs)
        layers = self.settings.layers
        chosen = [states[layer] for layer in layers] if layers else list(states)
        frames = torch.stack(chosen).mean(dim=0)
        return frames.amax(dim=1) if self.settings.pooling == "max" else frames.mean(dim=1)
