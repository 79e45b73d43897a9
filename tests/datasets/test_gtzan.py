"""GTZAN: both formats, wrong roots, and the published lists."""

import hashlib
from pathlib import Path

import pytest

from bench.core import registry
from bench.data.manifest import SPLITS
from tests import fake_datasets
from tests.datasets.reading import (
    SHARED,
    Change,
    by_id,
    counts,
    needs_lists,
    read,
    remove,
    require_refused,
)


@pytest.mark.parametrize(
    ("folder", "ending"),
    [("genres_original", ".wav"), ("Data/genres_original", ".wav"), ("", ".au")],
)
def test_gtzan_of_either_format(tmp_path, folder, ending):
    made = read("gtzan", fake_datasets.gtzan(tmp_path / "tree", folder, ending))
    assert counts(made) == {"train": 443, "valid": 197, "test": 290, "tags": 10}
    assert by_id(made, "path")["jazz.00054"] == f"{folder}/jazz/jazz.00054{ending}".lstrip("/")
    assert by_id(made, "tags")["pop.00010"] == ["pop"]
    assert "70 of the 1 000 excerpts" in made.notes[0]
    assert not {"blues.00099", "hiphop.00039"} <= set(made.tracks["track_id"])


@needs_lists
def test_gtzan_has_the_published_lists(trees):
    made = read("gtzan", trees["gtzan"])
    assert counts(made) == registry.load("datasets", "gtzan").PUBLISHED["fault-filtered"]
    for split in SPLITS:
        listed = {
            Path(line).stem for line in (SHARED / f"gtzan/{split}_filtered.txt").read_text().split()
        }
        assert set(made.tracks["track_id"][made.tracks["split"] == split]) == listed


GTZAN_DIGESTS = {
    "train": "82df3d4426e1dc8a",
    "valid": "049e4ab67938aa22",
    "test": "54cd6cf4ad283da2",
}


def test_gtzan_lists_have_the_digests_of_the_published_ones(trees):
    """For where the lists themselves are not at hand."""
    tracks = read("gtzan", trees["gtzan"]).tracks
    for split, digest in GTZAN_DIGESTS.items():
        ids = "\n".join(sorted(tracks["track_id"][tracks["split"] == split]))
        assert hashlib.sha256(ids.encode()).hexdigest().startswith(digest)


WRONG: list[tuple[Change, str]] = [
    (lambda root: root / "genres" / "blues", "none of the 930 audio files"),
    (
        remove("genres"),
        "looked for blues/blues.00029.au or .wav and so on, in genres or genres_orig",
    ),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_wrong_roots_are_told_what_was_looked_for_and_what_is_there(tmp_path, change, message):
    require_refused("gtzan", change, message, tmp_path)
