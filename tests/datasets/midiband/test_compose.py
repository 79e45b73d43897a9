"""Notes of composed pieces."""

# mypy does not know that `bench.datasets` is the folder `datasets` (see `bench/__init__.py`).
# mypy: disable-error-code="import-not-found"

from bench.datasets.midiband.compose import compose
from bench.datasets.midiband.instruments import HIGHEST_PITCH, INSTRUMENTS
from bench.datasets.midiband.plan import plan_track
from hypothesis import example, given, settings
from hypothesis import strategies as st


@given(seed=st.integers(0, 2**32), index=st.integers(0, 500))
# In this track an alto saxophone has to play a chord of which no tone leaves room for the others.
@example(seed=2_583_100, index=0)
@settings(max_examples=60, deadline=None)
def test_notes_lie_within_range_and_sound(seed: int, index: int) -> None:
    piece = compose(plan_track(seed, index), 5.0)
    assert any(part.notes for part in piece.parts)
    for part in piece.parts:
        instrument = INSTRUMENTS[part.seat.instrument]
        for note in part.notes:
            assert instrument.lowest <= note.pitch <= min(instrument.highest, HIGHEST_PITCH)
            assert note.start >= 0
            assert note.length > 0
            assert 0 < note.velocity <= 1
