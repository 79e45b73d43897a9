"""SampleCNN on the waveform, 2.37 M parameters: CLMR's encoder, whose filters span three samples.

Spijkervet and Burgoyne, "Contrastive learning of musical representations", ISMIR 2021 (arXiv
2103.09410), after Lee, Park, Kim and Nam, "Sample-level deep convolutional neural networks for
music auto-tagging using raw waveforms", SMC 2017 (arXiv 1703.01789). As in the authors' code
(clmr/models/sample_cnn.py on master, modules/sample_cnn.py on v1): a convolution with a stride of
3, nine convolutions each with a maximum over 3 places, and one more convolution; 3^10 = 59 049
samples become one vector of 512.

Numbers that differ from the authors' code: none. The text of CLMR's thesis differs from that code:
it widens to 512 channels one block earlier and mentions Kaiming initialisation. The authors'
dropout of 0.5 before the last layer is for supervised training alone, so it belongs to the
classifier here: `--method supervised --method.dropout 0.5`.
"""

from itertools import pairwise
from typing import Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from bench.encoders import Encoder as BaseEncoder
from bench.encoders import Settings as BaseSettings

PAPER = "Spijkervet and Burgoyne, ISMIR 2021 (arXiv 2103.09410)"
COST = "2.37 M parameters; a GPU"
SAMPLE_RATE = 22_050
INPUT = "waveform"

_SAMPLES = 3**10
_CHANNELS = (*(128,) * 3, *(256,) * 6, *(512,) * 2)  # after each of the eleven blocks


class Settings(BaseSettings):
    """The length of the input, which the strides fix.

    Attributes:
        seconds: length of a view, which must be 59 049 samples.
    """

    seconds: float = Field(_SAMPLES / SAMPLE_RATE, gt=0, le=60)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        samples = round(self.seconds * SAMPLE_RATE)
        if samples != _SAMPLES:
            raise ValueError(
                f"{self.seconds:g} s are {samples} samples at {SAMPLE_RATE} Hz; ten divisions by 3 "
                f"need {_SAMPLES}: leave seconds out, or give {_SAMPLES / SAMPLE_RATE:.5f}"
            )
        return self


class Encoder(BaseEncoder):
    """SampleCNN; see the module's docstring."""

    def __init__(self, settings: Settings) -> None:
        """Builds the network."""
        super().__init__(settings)
        self.width = _CHANNELS[-1]
        self.blocks = build_blocks()

    def forward(self, inputs: Tensor) -> Tensor:
        """Computes embeddings of waveforms in [-1, 1]: (batch, 59049) -> (batch, 512)."""
        embedded: Tensor = self.blocks(inputs[:, None]).flatten(1)
        return embedded


def build_blocks() -> nn.Sequential:
    """Builds the eleven blocks, (batch, 1, 59049) -> (batch, 512, 1)."""
    first = nn.Sequential(
        nn.Conv1d(1, _CHANNELS[0], 3, stride=3), nn.BatchNorm1d(_CHANNELS[0]), nn.ReLU(inplace=True)
    )
    blocks = [first]
    for number, (channels, out) in enumerate(pairwise(_CHANNELS), start=2):
        block = convolution(channels, out)
        if number < len(_CHANNELS):
            block.append(nn.MaxPool1d(3))
        blocks.append(block)
    return nn.Sequential(*blocks)


def convolution(channels: int, out: int) -> nn.Sequential:
    """Builds a convolution over three places with BatchNorm and ReLU.

    Args:
        channels: number of input channels.
        out: number of output channels.

    Returns:
        A network (batch, channels, places) -> (batch, out, places).
    """
    return nn.Sequential(
        nn.Conv1d(channels, out, 3, padding=1), nn.BatchNorm1d(out), nn.ReLU(inplace=True)
    )
