"""Random: leaves the encoder as it was initialised.

It shows what the architecture and the probe achieve without pretraining. J. Pons and X. Serra,
"Randomly Weighted CNNs for (Music) Audio Classification", ICASSP 2019, arXiv:1805.00237.

No numbers are taken from the paper: the encoder is the one of the other methods. A pretext task
that does not beat this one has learnt nothing that helps to predict the tags.
"""

from bench import method

PAPER = "Pons and Serra, ICASSP 2019, arXiv:1805.00237"
COST = "nothing"
TRAINS = False


class Settings(method.Settings):
    """The method has no settings."""


class Method(method.Method):
    """The encoder alone, without heads."""

    def forward(self, batch: method.Batch, step: int) -> method.Loss:
        """Raises an error, since there is nothing to train."""
        raise NotImplementedError("random_init is not trained (TRAINS is False): it has no loss")
