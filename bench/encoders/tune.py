"""TUNe on the waveform, 2.10 M parameters: a U-Net over time, whose tail contracts to one vector.

Vélez Vásquez and Burgoyne, "Tailed U-Net: Multi-scale music representation learning", ISMIR 2022.
Blocks and widths are those of the authors' code (models/tune_5_tail.py, models/conv_block.py and
the variants beside them):

- contracting: five blocks (convolution over 3 places, normalisation, ReLU) with N, 2N, 4N, 8N and
  16N channels, and a maximum over 3 places between two of them: 59 049 samples become 729 places;
- decoding (the paper's expansive phase): a transposed convolution by 3, the contracting block's
  output of that resolution beside it, and a block; four of them are back at the resolution of the
  samples;
- tail: as many contracting blocks as undo the decoding, `tail` more with 32N channels, the last of
  all with 512; then the mean over the places that are left.

The default is the paper's TUNe (Tail+5). Its other variants are settings:

| variant                | channels (N)       | contraction | decoding | tail   |
|------------------------|--------------------|-------------|----------|--------|
| vanilla                | 34                 | 0           | 4        | 0      |
| Contractive +1, +2, +3 | 18, 9, 4           | 1, 2, 3     | 5, 6, 7  | 0      |
| Expansive -1, -2, -3   | 34, 35, 38         | 0           | 3, 2, 1  | 0      |
| Tail +1 to +5          | 28, 19, 15, 13, 11 | 0           | 4        | 1 to 5 |

Without a decoding phase nothing is left of the U-Net, and the encoder is CLMR's, which the paper
starts from: `decoding = 0` builds `sample_cnn`, to the names of its weights. The authors' forms
with other widths in the tail (representations of 32 to 1024, "XL") are not settings here.
"""

from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from bench.encoders import Encoder as BaseEncoder
from bench.encoders import Settings as BaseSettings
from bench.encoders.sample_cnn import Settings as SampleCNNSettings
from bench.encoders.sample_cnn import build_blocks, convolution

PAPER = "Vélez Vásquez and Burgoyne, ISMIR 2022"
COST = "2.10 M parameters; a GPU"
SAMPLE_RATE = 22_050
INPUT = "waveform"

# Number of poolings of the contracting phase without further blocks. The level of a map is the
# number of times that its length has been divided by 3.
_LEVELS = 4
_OF_THE_U_NET = ("channels", "contraction", "tail", "embedding")


class Settings(BaseSettings):
    """Depth and width of the three phases; the defaults are the paper's TUNe.

    Attributes:
        seconds: length of a view.
        channels: number of channels of the first block, N.
        contraction: number of contracting blocks beyond the five.
        decoding: number of decoding blocks; 4 + contraction lead back to the resolution of the
            samples, 0 gives CLMR's encoder.
        tail: number of blocks of the tail beyond those that undo the decoding.
        embedding: size of the output.
    """

    seconds: float = Field(59_049 / SAMPLE_RATE, gt=0, le=60)
    channels: int = Field(11, ge=1)
    contraction: int = Field(0, ge=0, le=4)
    decoding: int = Field(4, ge=0, le=8)
    tail: int = Field(5, ge=0, le=6)
    embedding: int = Field(512, ge=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.decoding == 0:
            self._require_plain()
            return self
        if not self.contraction <= self.decoding <= _LEVELS + self.contraction:
            raise ValueError(
                f"decoding {self.decoding} does not fit contraction {self.contraction}: "
                f"give {max(1, self.contraction)} to {_LEVELS + self.contraction}, "
                "or 0 for CLMR's encoder"
            )
        if not self.tail_channels:
            raise ValueError("no block is left for the tail: give more decoding or tail")
        samples, step = round(self.seconds * SAMPLE_RATE), 3**self.deepest
        if samples % step or not samples:
            near = max(1, round(samples / step)) * step
            raise ValueError(
                f"{self.seconds:g} s are {samples} samples at {SAMPLE_RATE} Hz, which cannot be "
                f"divided by 3 {self.deepest} times: give a multiple of {step}, such as {near} "
                f"(seconds {near / SAMPLE_RATE:.5f})"
            )
        return self

    def _require_plain(self) -> None:
        """Refuses settings that CLMR's encoder does not have."""
        given = [
            name
            for name in _OF_THE_U_NET
            if getattr(self, name) != type(self).model_fields[name].default
        ]
        if given:
            raise ValueError(
                f"decoding 0 is CLMR's encoder, which has no {', '.join(given)}: "
                f"leave {given[0]} out"
            )
        SampleCNNSettings(seconds=self.seconds)

    @property
    def level(self) -> int:
        """The deepest level of the contracting phase."""
        return _LEVELS + self.contraction

    @property
    def reached(self) -> int:
        """The level that the decoding phase ends on; 0 is the resolution of the samples."""
        return self.level - self.decoding

    @property
    def deepest(self) -> int:
        """The deepest level of all: how often the input's length is divided by 3."""
        return max(self.level, _LEVELS + self.tail)

    @property
    def tail_channels(self) -> list[int]:
        """Number of channels after each block of the tail."""
        undone = [self.channels * 2**level for level in range(self.reached + 1, _LEVELS + 1)]
        blocks = [*undone, *[32 * self.channels] * self.tail]
        return [*blocks[:-1], self.embedding] if blocks else []


class Decoding(nn.Module):
    """One step of the decoding phase: three times as many places, and half as many channels."""

    def __init__(self, channels: int) -> None:
        """Builds the step, from `2 * channels` to `channels` channels."""
        super().__init__()
        self.widen = nn.ConvTranspose1d(2 * channels, channels, 3, stride=3)
        self.block = convolution(2 * channels, channels)

    def forward(self, deeper: Tensor, beside: Tensor) -> Tensor:
        """Decodes maps with the help of the contracting phase.

        Args:
            deeper: (batch, 2 * channels, places) maps of the level below.
            beside: (batch, channels, 3 * places) maps of the contracting phase at this level.

        Returns:
            (batch, channels, 3 * places).
        """
        decoded: Tensor = self.block(torch.cat([self.widen(deeper), beside], dim=1))
        return decoded


class Encoder(BaseEncoder):
    """The tailed U-Net; see the module's docstring.

    Attributes:
        linked: whether the blocks of the tail are also given the decoded maps of their resolution,
            as in TUNe+.
    """

    linked = False

    def __init__(self, settings: Settings) -> None:
        """Builds the network."""
        super().__init__(settings)
        self.width = settings.embedding
        if settings.decoding == 0:
            self.blocks = build_blocks()
            return
        widths = [settings.channels * 2**level for level in range(settings.level + 1)]
        self.contracting = nn.ModuleList(
            convolution(before, width) for before, width in zip([1, *widths], widths, strict=False)
        )
        self.decoding = nn.ModuleList(
            Decoding(widths[level]) for level in self._decoded_levels(settings)
        )
        self.tail = nn.ModuleList()
        channels = widths[settings.reached]
        for level, out in enumerate(settings.tail_channels, start=settings.reached + 1):
            beside = widths[level] if self.linked and level <= _LEVELS else 0
            self.tail.append(convolution(channels + beside, out))
            channels = out
        self.pool = nn.MaxPool1d(3)
        # As the authors initialise; transposed convolutions keep torch's default.
        for module in self.modules():
            if isinstance(module, nn.Conv1d):
                nn.init.kaiming_uniform_(module.weight, mode="fan_in", nonlinearity="relu")

    @staticmethod
    def _decoded_levels(settings: Settings) -> range:
        """Levels of the decoding steps, from the deepest up."""
        return range(settings.level - 1, settings.reached - 1, -1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Computes embeddings of waveforms in [-1, 1]: (batch, samples) -> (batch, embedding)."""
        settings = self.settings
        assert isinstance(settings, Settings)
        if settings.decoding == 0:
            embedded: Tensor = self.blocks(inputs[:, None]).flatten(1)
            return embedded
        maps = [self.contracting[0](inputs[:, None])]
        for block in self.contracting[1:]:
            maps.append(block(self.pool(maps[-1])))
        places = maps[-1]
        for level, decode in zip(self._decoded_levels(settings), self.decoding, strict=True):
            places = maps[level] = decode(places, maps[level])
        for level, block in enumerate(self.tail, start=settings.reached + 1):
            pooled = self.pool(places)
            # The deepest level is not decoded: as in the authors' code, its contracting maps are
            # used instead.
            linked = self.linked and level <= _LEVELS
            places = block(torch.cat([pooled, maps[level]], dim=1) if linked else pooled)
        averaged: Tensor = places.mean(dim=2)
        return averaged
