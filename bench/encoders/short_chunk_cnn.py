"""Short-chunk CNN on log-mels, 3.66 M parameters: seven blocks, a common supervised reference.

Won, Ferraro, Bogdanov and Serra, "Evaluation of CNN-based automatic music tagging models", SMC 2020
(arXiv 2006.00751); the authors' code is training/model.py (ShortChunkCNN) of
sota-music-tagging-models. Seven blocks (3 x 3 convolution, normalisation, ReLU, maximum over 2 x 2
places), the maximum over all places, and one dense layer of 512, which is the embedding. The last
dense layer is the classifier's, and so is its dropout: the published network, trained as published,
is `--method supervised --method.dropout 0.5`.

Numbers that differ from the authors' front end: they take torchaudio's defaults of 2019, which are
mels on the scale of HTK, power that is not normalised by the window, and decibels down to -100 dB
without a limit below the loudest bin. Here the mels are Slaney's and `top_db` is 100, as in every
log-mel of this project. Window and hop (512 and 256 samples), bands (128 up to 8 kHz, not divided
by their widths), sample rate and the normalisation of the whole spectrogram before the first block
are theirs; that normalisation takes up any shift and scale of the decibels.
"""

from typing import Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from bench.encoders import Encoder as BaseEncoder
from bench.encoders import Settings as BaseSettings
from bench.settings.frontends import LogMelSpec

PAPER = "Won et al., SMC 2020 (arXiv 2006.00751)"
COST = "3.66 M parameters; a GPU"
SAMPLE_RATE = 16_000
INPUT = "log_mel"

_BLOCKS = 7


class Settings(BaseSettings):
    """Size of the network and of its input; the defaults are the authors'.

    Attributes:
        seconds: length of a view; the authors' 59 049 samples are 3.69 s.
        channels: number of channels of the first two blocks; the next four have twice as many, the
            last one and the embedding four times.
        mels: number of mel bands.
    """

    seconds: float = Field(59_049 / SAMPLE_RATE, gt=0, le=60)
    channels: int = Field(128, ge=1)
    mels: int = Field(128, ge=2**_BLOCKS)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        frames, least = self.log_mel.frames(self.seconds), 2**_BLOCKS
        if frames < least:
            seconds = (least - 1) * self.log_mel.hop / SAMPLE_RATE
            raise ValueError(
                f"{self.seconds:g} s are {frames} frames, which cannot be halved {_BLOCKS} times: "
                f"give {seconds:g} s or more"
            )
        return self

    @property
    def log_mel(self) -> LogMelSpec:
        """Settings of the front end."""
        return LogMelSpec(
            sample_rate=SAMPLE_RATE,
            n_fft=512,
            hop=256,
            mels=self.mels,
            f_max=8_000.0,
            area_norm=False,
        )


class Encoder(BaseEncoder):
    """The short-chunk CNN; see the module's docstring."""

    def __init__(self, settings: Settings) -> None:
        """Builds the network."""
        super().__init__(settings)
        self.frontend = settings.log_mel
        self.width = 4 * settings.channels
        widths = [1, 1, 2, 2, 2, 2, 4]
        channels = 1
        self.normalisation = nn.BatchNorm2d(1)
        self.blocks = nn.Sequential()
        for out in (settings.channels * width for width in widths):
            convolution = nn.Conv2d(channels, out, 3, padding=1)
            self.blocks.append(
                nn.Sequential(
                    convolution, nn.BatchNorm2d(out), nn.ReLU(inplace=True), nn.MaxPool2d(2)
                )
            )
            channels = out
        self.dense = nn.Sequential(
            nn.Linear(channels, channels), nn.BatchNorm1d(channels), nn.ReLU(inplace=True)
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Computes embeddings of log-mels in dB: (batch, 1, mels, frames) -> (batch, width)."""
        maps = self.blocks(self.normalisation(inputs))
        embedded: Tensor = self.dense(maps.amax(dim=(2, 3)))
        return embedded
