"""ResNet with attention pooling on log-mels, 2.80 M parameters, of the ICASSP 2024 comparison.

Meseguer-Brocal, Desblancs, Hennequin, "An experimental comparison of multi-view self-supervised
methods for music tagging", ICASSP 2024 (arXiv 2404.09177). It is CLIP's modified ResNet (Radford et
al., ICML 2021, arXiv 2103.00020, section 2.4) on one channel: a stem of three convolutions,
bottleneck stages (3, 4, 6, 3) at width 16, average pooling before every strided convolution, and
query-key-value attention pooling to 1024 numbers.

The front end is the authors' as well, with its peculiarities: f_max lies above the Nyquist
frequency of 16 kHz audio, which leaves the top 11 mel bands without energy, and the bands, though
on Slaney's scale, are not divided by their widths.
"""

from collections import OrderedDict
from typing import Annotated, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from bench.encoders import Encoder as BaseEncoder
from bench.encoders import Settings as BaseSettings
from bench.settings.frontends import LogMelSpec

PAPER = "Meseguer-Brocal et al., ICASSP 2024 (arXiv 2404.09177)"
COST = "2.80 M parameters; a GPU"
SAMPLE_RATE = 16_000
INPUT = "log_mel"


class Settings(BaseSettings):
    """Size of the network and of its input; the defaults are the paper's.

    Attributes:
        seconds: length of a view.
        width: number of channels after the stem; the stages have 4, 8, 16 and 32 times as many.
        blocks: number of bottleneck blocks in each stage.
        heads: number of heads of the attention pooling.
        embedding: size of the output.
        mels: number of mel bands.
        f_max: upper edge of the highest band, in Hz.
        area_norm: whether each band is divided by its width.
        offset_db: added to the decibels before the first convolution.
        scale_db: decibels that become 1 before the first convolution.
    """

    seconds: float = Field(4.0, gt=0.3, le=60)
    width: int = Field(16, ge=2, multiple_of=2)
    blocks: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (3, 4, 6, 3), min_length=1, max_length=4
    )
    heads: int = Field(8, ge=1)
    embedding: int = Field(1024, ge=1)
    mels: int = Field(128, ge=32)
    f_max: float = Field(11_025.0, gt=0)
    area_norm: bool = False
    offset_db: float = 0.0
    scale_db: float = Field(1.0, gt=0)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if min(self.map_size) < 1:
            raise ValueError(
                f"{self.seconds:g} s and {self.mels} mels leave no place "
                f"after {len(self.blocks)} stages"
            )
        if self.channels % self.heads:
            raise ValueError(
                f"{self.channels} channels after the stages cannot be shared by {self.heads} heads"
            )
        return self

    @property
    def channels(self) -> int:
        """Number of channels after the last stage."""
        return int(4 * self.width * 2 ** (len(self.blocks) - 1))

    @property
    def log_mel(self) -> LogMelSpec:
        """Settings of the front end."""
        return LogMelSpec(
            sample_rate=SAMPLE_RATE,
            mels=self.mels,
            f_max=self.f_max,
            area_norm=self.area_norm,
            offset_db=self.offset_db,
            scale_db=self.scale_db,
        )

    @property
    def map_size(self) -> tuple[int, int]:
        """Bands and frames after the last stage.

        The stem divides both by 4, every stage but the first by 2.
        """
        stages = 2 ** (len(self.blocks) - 1)
        frames = self.log_mel.frames(self.seconds)
        return -(-self.mels // 2) // 2 // stages, -(-frames // 2) // 2 // stages


class Bottleneck(nn.Module):
    """A residual block of 1x1, 3x3 and 1x1 convolutions.

    Its stride is average pooling in place of a strided convolution, which avoids aliasing.
    """

    def __init__(self, channels: int, planes: int, stride: int) -> None:
        """Builds the block.

        Args:
            channels: number of input channels.
            planes: number of channels between the convolutions; the output has four times as many.
            stride: factor by which bands and frames are reduced.
        """
        super().__init__()
        pool: nn.Module = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.body = nn.Sequential(
            nn.Conv2d(channels, planes, 1, bias=False),
            nn.BatchNorm2d(planes),
            nn.ReLU(inplace=True),
            nn.Conv2d(planes, planes, 3, padding=1, bias=False),
            nn.BatchNorm2d(planes),
            nn.ReLU(inplace=True),
            pool,
            nn.Conv2d(planes, 4 * planes, 1, bias=False),
            nn.BatchNorm2d(4 * planes),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or channels != 4 * planes:
            layers = OrderedDict(
                pool=pool, convolution=nn.Conv2d(channels, 4 * planes, 1, bias=False)
            )
            self.shortcut = nn.Sequential(
                OrderedDict(layers, normalisation=nn.BatchNorm2d(4 * planes))
            )

    def forward(self, inputs: Tensor) -> Tensor:
        """Applies the block.

        Args:
            inputs: (batch, channels, bands, frames).

        Returns:
            (batch, 4 * planes, bands / stride, frames / stride).
        """
        return F.relu(self.body(inputs) + self.shortcut(inputs), inplace=True)


class AttentionPool(nn.Module):
    """Attention pooling as in CLIP: the query is the mean of all places of a map."""

    def __init__(self, places: int, channels: int, heads: int, embedding: int) -> None:
        """Builds the pooling, with one learned position for each place and one for the mean.

        Args:
            places: number of places of a map, bands times frames.
            channels: number of channels of a map.
            heads: number of attention heads.
            embedding: size of the output.
        """
        super().__init__()
        self.positions = nn.Parameter(torch.randn(places + 1, channels) / channels**0.5)
        self.attention = nn.MultiheadAttention(channels, heads, batch_first=True)
        # MultiheadAttention's own output layer keeps the number of channels; this one maps them to
        # the embedding.
        self.attention.out_proj = nn.modules.linear.NonDynamicallyQuantizableLinear(
            channels, embedding
        )
        nn.init.zeros_(self.attention.out_proj.bias)

    def forward(self, maps: Tensor) -> Tensor:
        """Pools maps: (batch, channels, bands, frames) -> (batch, embedding)."""
        tokens = maps.flatten(2).transpose(1, 2)
        tokens = torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1)
        tokens = tokens + self.positions.to(tokens.dtype)
        attention = self.attention
        pooled, _ = F.multi_head_attention_forward(
            tokens[:, :1].transpose(0, 1),
            tokens.transpose(0, 1),
            tokens.transpose(0, 1),
            attention.embed_dim,
            attention.num_heads,
            attention.in_proj_weight,
            attention.in_proj_bias,
            None,
            None,
            False,
            0.0,
            attention.out_proj.weight,
            attention.out_proj.bias,
            need_weights=False,
        )
        return pooled[0]


class Encoder(BaseEncoder):
    """The ResNet; see the module's docstring."""

    def __init__(self, settings: Settings) -> None:
        """Builds the network for views of `settings.seconds`, which the learned positions fix."""
        super().__init__(settings)
        self.frontend = settings.log_mel
        self.width = settings.embedding
        half, width = settings.width // 2, settings.width
        self.stem = nn.Sequential(
            *_convolution(1, half, stride=2),
            *_convolution(half, half),
            *_convolution(half, width),
            nn.AvgPool2d(2),
        )
        channels = width
        stages: list[nn.Module] = []
        for number, blocks in enumerate(settings.blocks):
            planes = width * 2**number
            for block in range(blocks):
                stages.append(Bottleneck(channels, planes, stride=2 if number and not block else 1))
                channels = 4 * planes
        self.stages = nn.Sequential(*stages)
        bands, frames = settings.map_size
        self.pool = AttentionPool(bands * frames, channels, settings.heads, settings.embedding)

    def forward(self, inputs: Tensor) -> Tensor:
        """Computes embeddings of log-mels in dB: (batch, 1, mels, frames) -> (batch, embedding)."""
        maps = self.stages(self.stem(inputs.contiguous(memory_format=torch.channels_last)))
        pooled: Tensor = self.pool(maps)
        return pooled


def _convolution(channels: int, out: int, stride: int = 1) -> list[nn.Module]:
    """Builds the layers of a 3x3 convolution with BatchNorm and ReLU."""
    convolution = nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
