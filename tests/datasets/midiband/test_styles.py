"""Styles name only instruments, patterns, meters and modes that exist."""

# mypy does not know that `bench.datasets` is the folder `datasets` (see `bench/__init__.py`).
# mypy: disable-error-code="import-not-found"

from typing import Any

import pytest
from bench.datasets.midiband.harmony import MODES, parse_progression
from bench.datasets.midiband.instruments import FAMILIES, INSTRUMENTS
from bench.datasets.midiband.patterns import (
    BASS_LINES,
    COMPING,
    GROOVES,
    METERS,
    PERCUSSION,
)
from bench.datasets.midiband.plan import STYLE_NAMES
from bench.datasets.midiband.styles import STYLES


@pytest.mark.parametrize("style", STYLE_NAMES)
def test_styles_name_only_what_exists(style: str) -> None:
    table = {"drums": GROOVES, "percussion": PERCUSSION, "bass": BASS_LINES, "lead": {}}
    for chair in STYLES[style].chairs:
        known: dict[str, Any] = dict(table.get(chair.role, COMPING))
        assert set(chair.instruments) <= set(INSTRUMENTS)
        assert set(chair.patterns) <= set(known)
        kits = {INSTRUMENTS[name].is_kit for name in chair.instruments}
        assert kits == {chair.role in ("drums", "percussion")}
    assert set(STYLES[style].meters) <= set(METERS)
    assert set(STYLES[style].modes) <= set(MODES)
    for progression in (*STYLES[style].bright, *STYLES[style].dark):
        assert parse_progression(progression)


def test_every_family_is_played_by_some_style() -> None:
    played = {
        INSTRUMENTS[name].family
        for style in STYLES.values()
        for chair in style.chairs
        for name in chair.instruments
    }
    assert played == set(FAMILIES)
