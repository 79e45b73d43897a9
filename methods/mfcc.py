"""Hand-made: mean and spread of MFCCs, without learning; a baseline for every other method.

S. B. Davis and P. Mermelstein, "Comparison of Parametric Representations for Monosyllabic Word
Recognition in Continuously Spoken Sentences", IEEE Transactions on Acoustics, Speech and Signal
Processing 28(4), 1980. In music: B. Logan, "Mel Frequency Cepstral Coefficients for Music
Modeling", ISMIR 2000.

No numbers are taken from either paper. The coefficients are computed by the encoder of the same
name, which is the only one that this method can be used with.
"""

from bench import method

PAPER = "Davis and Mermelstein, IEEE TASSP 1980; Logan, ISMIR 2000"
COST = "nothing"
TRAINS = False
ENCODER = "mfcc"


class Settings(method.Settings):
    """The method has no settings."""


class Method(method.Method):
    """The encoder alone, without heads."""

    def forward(self, batch: method.Batch, step: int) -> method.Loss:
        """Raises an error, since there is nothing to train."""
        raise NotImplementedError("mfcc is not trained (TRAINS is False): it has no loss")
