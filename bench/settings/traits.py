"""What plug-ins say of themselves by literal constants, read without importing them."""

from dataclasses import dataclass

from bench.core import registry
from bench.settings import recipes as recipes
from bench.settings.specs import PlugIn


@dataclass(frozen=True)
class Traits:
    """What a method's literal constants say of it (see `bench.method`)."""

    trains: bool
    uses_labels: bool
    views: int
    restores: bool
    encoder: str | None


def traits(method: str) -> Traits:
    """Reads a method's constants without importing it."""
    about = registry.describe("methods", method)
    trains, labels, views = (
        about.get("TRAINS", True),
        about.get("USES_LABELS", False),
        about.get("VIEWS", 2),
    )
    restores = about.get("RESTORES", False)
    return Traits(bool(trains), bool(labels), int(views), bool(restores), about.get("ENCODER"))


def sample_rate(encoder: PlugIn) -> int:
    """The rate that an encoder learns from, in Hz, read from its file."""
    return int(registry.describe("encoders", encoder.name)["SAMPLE_RATE"])
