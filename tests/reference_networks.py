"""The authors' networks, rebuilt from the names and shapes in their published files.

Imports are compared with them.
"""

from collections import OrderedDict
from typing import TypeVar

import torch
import torchaudio
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)
CHANNELS = (128, 128, 128, 256, 256, 256, 256, 256, 256, 512, 512)


class Bottleneck(nn.Module):
    def __init__(self, channels: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, planes, 1, bias=False), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = (
            nn.Conv2d(planes, planes, 3, padding=1, bias=False),
            nn.BatchNorm2d(planes),
        )
        self.conv3, self.bn3 = (
            nn.Conv2d(planes, 4 * planes, 1, bias=False),
            nn.BatchNorm2d(4 * planes),
        )
        self.avgpool = nn.AvgPool2d(stride)
        if stride > 1 or channels != 4 * planes:
            shortcut = nn.Conv2d(channels, 4 * planes, 1, bias=False)
            parts = OrderedDict(
                [("-1", nn.AvgPool2d(stride)), ("0", shortcut), ("1", nn.BatchNorm2d(4 * planes))]
            )
            self.downsample = nn.Sequential(parts)

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn1(self.conv1(x)).relu()
        out = self.avgpool(self.bn2(self.conv2(out)).relu())
        beside = self.downsample(x) if hasattr(self, "downsample") else x
        result: Tensor = (self.bn3(self.conv3(out)) + beside).relu()
        return result


class AttentionPool(nn.Module):
    def __init__(self, places: int, channels: int, out: int) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.randn(places + 1, channels) / channels**0.5)
        self.q_proj, self.k_proj = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.v_proj, self.c_proj = nn.Linear(channels, channels), nn.Linear(channels, out)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).mT
        tokens = torch.cat([tokens.mean(1, keepdim=True), tokens], 1) + self.positional_embedding

        def heads(values: Tensor) -> Tensor:
            return values.unflatten(2, (8, -1)).transpose(1, 2)

        query, key, value = (
            heads(self.q_proj(tokens)),
            heads(self.k_proj(tokens)),
            heads(self.v_proj(tokens)),
        )
        weight = (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1)
        result: Tensor = self.c_proj((weight @ value).transpose(1, 2).flatten(2)[:, 0])
        return result


class Embedding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = (
            nn.Conv2d(1, 8, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(8),
        )
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv3, self.bn3 = nn.Conv2d(8, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        channels = 16
        for number, blocks in enumerate((3, 4, 6, 3)):
            row = []
            for block in range(blocks):
                row.append(Bottleneck(channels, 16 * 2**number, 2 if number and not block else 1))
                channels = 64 * 2**number
            self.add_module(f"layer{number + 1}", nn.Sequential(*row))
        self.attnpool = AttentionPool(12, 512, 1024)

    def forward(self, x: Tensor) -> Tensor:
        for number in "123":
            x = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(x)).relu()
        x = nn.functional.avg_pool2d(x, 2)
        for number in "1234":
            x = getattr(self, f"layer{number}")(x)
        result: Tensor = self.attnpool(x)
        return result


class Spectrogram(nn.Module):
    """The authors' mel spectrogram, under the name that it has in their files."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = torchaudio.transforms.MelSpectrogram(
            16_000,
            n_fft=1024,
            f_min=0,
            f_max=11_025,
            n_mels=128,
            normalized=True,
            mel_scale="slaney",
        )


class Deezers(nn.Module):
    """(batch, samples) at 16 kHz -> (batch, 1024), with the front end inside."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = Spectrogram()
        self.embedding = Embedding()

    def forward(self, x: Tensor) -> Tensor:
        decibels = torchaudio.transforms.AmplitudeToDB(top_db=100)(self.spec.spec(x[:, None]))
        result: Tensor = self.embedding(decibels)
        return result


class Clmrs(nn.Module):
    """(batch, samples) at 22 050 Hz -> (batch, 512)."""

    def __init__(self, kernels: tuple[int, ...] = (3,) * 9) -> None:
        super().__init__()
        blocks = [nn.Sequential(nn.Conv1d(1, 128, 3, stride=3), nn.BatchNorm1d(128), nn.ReLU())]
        for kernel, before, out in zip((*kernels, 3), CHANNELS, CHANNELS[1:], strict=False):
            row = [nn.Conv1d(before, out, kernel, padding=1), nn.BatchNorm1d(out), nn.ReLU()]
            blocks.append(
                nn.Sequential(*row, *([nn.MaxPool1d(kernel)] if len(blocks) < 10 else []))
            )
        self.sequential = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.sequential(x[:, None])[:, :, 0]
        return result


class Block(nn.Module):
    def __init__(self, before: int, out: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(before, out, 3, padding=1), nn.BatchNorm1d(out), nn.ReLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layers(x)
        return result


class Tunes(nn.Module):
    """TUNe or TUNe+ with five more blocks in the tail: (batch, samples) -> (batch, 512).

    Waveforms are at 22 050 Hz; `n` is the number of channels of the first block, `deeper` that of
    further levels.
    """

    def __init__(self, n: int = 2, plus: bool = False, deeper: int = 0) -> None:
        super().__init__()
        self.plus, self.deeper = plus, deeper
        for number, before in enumerate([1, n, 2 * n, 4 * n, 8 * n], start=1):
            self.add_module(f"conv{number}", Block(before, n * 2 ** (number - 1)))
        for number in range(1, deeper + 1):
            wide = n * 2 ** (number + 4)
            self.add_module(f"deeperDown{number}", Block(wide // 2, wide))
            self.add_module(
                f"transposedDeeper{number}", nn.ConvTranspose1d(wide, wide // 2, 3, stride=3)
            )
            self.add_module(f"deeperUp{number}", Block(wide, wide // 2))
        for number in range(6, 10):
            wide = n * 2 ** (9 - number)
            self.add_module(
                f"transposedConv{number}", nn.ConvTranspose1d(2 * wide, wide, 3, stride=3)
            )
            self.add_module(f"conv{number}", Block(2 * wide, wide))
        before = n
        for number in range(1, 10):
            out = 512 if number == 9 else n * 2 ** min(number, 5)
            beside = n * 2**number if plus and number < 5 else 0
            self.add_module(f"convDown{number}", Block(before + beside, out))
            before = out

    def forward(self, x: Tensor) -> Tensor:
        parts = dict(self.named_children())
        pool = nn.MaxPool1d(3)
        maps = [parts["conv1"](x[:, None])]
        down = [f"conv{number}" for number in range(2, 6)] + [
            f"deeperDown{n + 1}" for n in range(self.deeper)
        ]
        for name in down:
            maps.append(parts[name](pool(maps[-1])))
        up = [(f"transposedDeeper{n}", f"deeperUp{n}") for n in range(self.deeper, 0, -1)]
        up += [(f"transposedConv{number}", f"conv{number}") for number in range(6, 10)]
        out = maps[-1]
        for level, (widen, block) in zip(range(len(maps) - 2, -1, -1), up, strict=True):
            out = maps[level] = parts[block](torch.cat([parts[widen](out), maps[level]], 1))
        for number in range(1, 10):
            out = pool(out)
            out = torch.cat([out, maps[number]], 1) if self.plus and number < 5 else out
            out = parts[f"convDown{number}"](out)
        return out.mean(2)


def trained(network: Network, seed: int = 0) -> Network:
    """Gives normalisations statistics and affine parameters that a fresh network does not have."""
    draw = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            assert module.num_batches_tracked is not None
            module.running_mean.normal_(0, 0.3, generator=draw)
            module.running_var.uniform_(0.5, 2, generator=draw)
            module.num_batches_tracked.fill_(7)
            module.weight.data.uniform_(0.5, 1.5, generator=draw)
            module.bias.data.normal_(0, 0.2, generator=draw)
    return network.eval()
