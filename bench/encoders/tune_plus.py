"""TUNe+ on the waveform, 2.22 M parameters: TUNe whose tail also takes the decoded maps.

Vélez Vásquez and Burgoyne, "Tailed U-Net: Multi-scale music representation learning", ISMIR 2022;
the authors' code is models/tune_plus.py. Each block of the tail that undoes a decoding step takes,
besides the output of the block before it, the decoded maps of its resolution (the last one those of
the deepest contracting block).
"""

from pydantic import Field

from bench.encoders.tune import Encoder as Tune
from bench.encoders.tune import Settings as TuneSettings

PAPER = "Vélez Vásquez and Burgoyne, ISMIR 2022"
COST = "2.22 M parameters; a GPU"
SAMPLE_RATE = 22_050
INPUT = "waveform"


class Settings(TuneSettings):
    """Depth and width of the network; for the fields see `bench.encoders.tune.Settings`.

    There must be a decoding phase, since without it there are no decoded maps.
    """

    decoding: int = Field(4, ge=1, le=8)


class Encoder(Tune):
    """TUNe+; see the module's docstring."""

    linked = True

    def __init__(self, settings: Settings) -> None:
        """Builds the network."""
        super().__init__(settings)
