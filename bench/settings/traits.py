"""What plug-ins declare by literal constants in their files, read without importing them."""

from dataclasses import dataclass

from bench.core import registry
from bench.settings.specs import PlugIn


@dataclass(frozen=True)
class Traits:
    """What a method declares of itself (see `bench.method`).

    Attributes:
        trains: whether the method is trained at all.
        uses_labels: whether it learns from the labelled tracks.
        views: number of views of each track in a batch.
        restores: whether it starts from imported weights.
        encoder: the one encoder that it works with; None where any encoder will do.
    """

    trains: bool
    uses_labels: bool
    views: int
    restores: bool
    encoder: str | None


def traits(method: str) -> Traits:
    """Reads a method's constants without importing it.

    Args:
        method: name of the method.
    """
    about = registry.describe("methods", method)
    trains, labels, views = (
        about.get("TRAINS", True),
        about.get("USES_LABELS", False),
        about.get("VIEWS", 2),
    )
    restores = about.get("RESTORES", False)
    return Traits(bool(trains), bool(labels), int(views), bool(restores), about.get("ENCODER"))


def sample_rate(encoder: PlugIn) -> int:
    """The sample rate of the audio that an encoder takes, in Hz, read from its file."""
    return int(registry.describe("encoders", encoder.name)["SAMPLE_RATE"])
