"""TUNe+ on the waveform, 2.22 M parameters: TUNe whose tail also sees what was decoded at each resolution.

Vélez Vásquez and Burgoyne, "Tailed U-Net: Multi-scale music representation learning", ISMIR 2022;
the authors' code is models/tune_plus.py. Each block of the tail that undoes a decoding step is
given the decoded maps of its resolution beside the ones before it (the deepest contracting block's
for the last), so that its input is half as wide again.
"""

from pydantic import Field

from bench.encoders.tune import Encoder as Tune
from bench.encoders.tune import Settings as TuneSettings

PAPER = "Vélez Vásquez and Burgoyne, ISMIR 2022"
COST = "2.22 M parameters; a GPU"
SAMPLE_RATE = 22_050
INPUT = "waveform"


class Settings(TuneSettings):
    """As TUNe's; see `bench.encoders.tune.Settings`.

    Without a decoding phase there is nothing to link.
    """

    decoding: int = Field(4, ge=1, le=8)


class Encoder(Tune):
    """The linked network. See the module's docstring."""

    linked = True

    def __init__(self, settings: Settings) -> None:
        """Builds it."""
        super().__init__(settings)
