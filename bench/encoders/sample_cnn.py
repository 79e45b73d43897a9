"""SampleCNN on the waveform, 2.37 M parameters: the encoder of CLMR, with filters of three samples all the way down.

Spijkervet and Burgoyne, "Contrastive learning of musical representations", ISMIR 2021 (arXiv
2103.09410), after Lee, Park, Kim and Nam, "Sample-level deep convolutional neural networks for
music auto-tagging using raw waveforms", SMC 2017 (arXiv 1703.01789). As in the authors' code
(clmr/models/sample_cnn.py on master, modules/sample_cnn.py on v1): a convolution with a stride of
3, nine convolutions each with a maximum over 3 places, and one more convolution; 3^10 = 59 049
samples become one vector of 512.

Numbers that differ from the papers: none. Two things to know: the text of CLMR's thesis widens to
512 one block earlier and speaks of Kaiming initialisation, of which the code knows nothing; and the
authors' dropout of 0.5 before the last layer is there for supervised training alone, so it belongs
to the classifier here: `--method supervised --method.dropout 0.5`.
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
_CHANNELS = (
    128,
    128,
    128,
    256,
    256,
    256,
    256,
    256,
    256,
    512,
    512,
)  # after each of the eleven blocks


class Settings(BaseSettings):
    """The length of the input, which the strides fix.

    Attributes:
        seconds: length of a view; 59 049 samples.
    """

    seconds: float = Field(_SAMPLES / SAMPLE_RATE, gt=0, le=60)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        samples = round(self.seconds * SAMPLE_RATE)
        if samples != _SAMPLES:
            raise ValueError(
                f"{self.seconds:g} s are {samples} samples at {SAMPLE_RATE} Hz; ten divisions by 3 need {_SAMPLES}: "
                f"leave seconds out, or give {_SAMPLES / SAMPLE_RATE:.5f}"
            )
        return self


class Encoder(BaseEncoder):
    """(batch, 59049) -> (batch, 512). See the module's docstring."""

    def __init__(self, settings: Settings) -> None:
        """Builds it."""
        super().__init__(settings)
        self.width = _CHANNELS[-1]
        self.blocks = build_blocks()

    def forward(self, inputs: Tensor) -> Tensor:
        """(batch, 59049) waveform in [-1, 1] -> (batch, 512)."""
        embedded: Tensor = self.blocks(inputs[:, None]).flatten(1)
        return embedded


def build_blocks() -> nn.Sequential:
    """The eleven blocks, (batch, 1, 59049) -> (batch, 512, 1)."""
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
    """(batch, channels, places) -> (batch, out, places): three places wide, normalised, rectified."""
    return nn.Sequential(
        nn.Conv1d(channels, out, 3, padding=1), nn.BatchNorm1d(out), nn.ReLU(inplace=True)
    )
