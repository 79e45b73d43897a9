"""Artists and their styles."""

# mypy does not know that `bench.datasets` is the folder `datasets` (see `bench/__init__.py`).
# mypy: disable-error-code="import-not-found"

from bench.datasets.midiband.plan import STYLE_NAMES, plan_artist


def test_each_round_of_artists_has_every_style_once() -> None:
    rounds = [
        [plan_artist(5, index).style for index in range(start, start + 10)] for start in (0, 10)
    ]
    assert [sorted(styles) for styles in rounds] == [sorted(STYLE_NAMES)] * 2
