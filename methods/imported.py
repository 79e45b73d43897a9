"""Imported: somebody else's trained weights, frozen, as one more row of the table (`bench run --weights FILE`).

The weights are those that `bench import` wrote from a published checkpoint, or that an external
encoder reads from a folder of its own; see `bench list encoders`. Nothing is trained: the encoder
is embedded and probed like every other. No numbers are taken from a paper.
"""

from bench import method

PAPER = "the weights' own"
COST = "nothing"
TRAINS = False
RESTORES = True


class Settings(method.Settings):
    """No settings."""


class Method(method.Method):
    """The encoder alone."""

    def forward(self, batch: method.Batch, step: int) -> method.Loss:
        """Refuses: there is nothing to train."""
        raise NotImplementedError(
            "imported weights are not trained (TRAINS is False): there is no loss"
        )
