"""Different spellings of an artist's name are the same."""

import pytest

from bench.data.artist_names import normalised


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The Beatles", "beatles"),
        ("Sigur Rós", "SIGUR  ROS"),
        ("Simon & Garfunkel", "Simon and Garfunkel"),
        ("AC/DC", "ac dc"),
        ("Straße", "STRASSE"),
        ("\uff26ull", "full"),
    ],
)
def test_spellings_of_a_name(one, other):
    assert normalised(one) == normalised(other)
