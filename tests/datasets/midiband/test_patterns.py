"""Patterns of drums, bass and chords."""

# mypy does not know that `bench.datasets` is the folder `datasets` (see `bench/__init__.py`).
# mypy: disable-error-code="import-not-found"

from bench.datasets.midiband.patterns import (
    BASS_LINES,
    COMPING,
    DRUM_KEYS,
    GROOVES,
    METERS,
    PERCUSSION,
    bar_of,
    steps_in_bar,
)


def test_patterns_have_whole_bars_and_known_drums() -> None:
    texts = [*BASS_LINES.values(), *(comping.pattern for comping in COMPING.values())]
    for groove in (*GROOVES.values(), *PERCUSSION.values()):
        texts += groove.values()
        assert set(groove) <= set(DRUM_KEYS)
    assert {len(text) % 16 for text in texts} == {0}
    for meter in METERS:
        assert {len(bar_of(text, meter, 1)) for text in texts} == {steps_in_bar(meter)}
