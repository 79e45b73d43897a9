"""Roman numerals."""

# mypy does not know that `bench.datasets` is the folder `datasets` (see `bench/__init__.py`).
# mypy: disable-error-code="import-not-found"

import pytest
from bench.datasets.midiband.harmony import parse_progression


def test_secondary_dominants_lie_a_fifth_above_their_aim() -> None:
    [[chord]] = parse_progression("V7/ii")
    assert (chord.root, chord.intervals) == (9, (0, 4, 7, 10))
    assert chord.pitch_classes(tonic=0) == (9, 1, 4, 7)
    with pytest.raises(ValueError, match="no Roman numeral"):
        parse_progression("H7")
