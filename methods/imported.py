"""Imported: published weights, frozen, as one more row of the table (`bench run --weights FILE`).

The weights are those that `bench import` wrote from a published checkpoint, or that an external
encoder reads from a folder (see `bench list encoders`). Nothing is trained; embeddings are computed
and probed as with every other method. No numbers are taken from a paper.
"""

from bench import method

PAPER = "the weights' own"
COST = "nothing"
TRAINS = False
RESTORES = True


class Settings(method.Settings):
    """The method has no settings."""


class Method(method.Method):
    """The encoder alone, without heads."""

    def forward(self, batch: method.Batch, step: int) -> method.Loss:
        """Raises an error, since there is nothing to train."""
        raise NotImplementedError(
            "imported weights are not trained (TRAINS is False): there is no loss"
        )
