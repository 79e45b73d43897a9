"""Names of the tags."""

# mypy does not know that `bench.datasets` is the folder `datasets` (see `bench/__init__.py`).
# mypy: disable-error-code="import-not-found"

from bench.datasets.midiband.production import NAMES
from bench.datasets.midiband.styles import STYLES
from bench.datasets.midiband.tagging import TAGS


def test_tags_are_in_the_three_families_of_jamendo() -> None:
    assert len(TAGS) == len(set(TAGS))
    assert {tag.split("---")[0] for tag in TAGS} == {"genre", "instrument", "mood/theme"}
    assert {tag.removeprefix("genre---") for tag in TAGS if tag.startswith("genre")} == set(STYLES)
    assert not {tag.split("---")[1] for tag in TAGS} & set(NAMES)
