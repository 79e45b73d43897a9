"""FMA: sizes, tasks and wrong roots."""

import pytest

from bench.core.errors import InputError
from tests.datasets.reading import (
    Change,
    by_id,
    counts,
    read,
    remove,
    require_refused,
    rewrite,
)


def test_fma_sizes_and_tasks(trees):
    small = read("fma", trees["fma"])
    assert counts(small) == {"train": 3, "valid": 1, "test": 2, "tags": 2}
    assert small.tracks["path"][0] == "fma_small/000/000002.mp3"
    assert small.kind == "classes"
    large = read("fma", trees["fma"], size="large")
    assert "2 of 18 tracks have no single top-level genre and are left out" in large.notes
    several = read("fma", trees["fma"], size="large", task="tags")
    assert len(several.tracks) == 18
    assert several.tags == ("Blues", "Hip-Hop", "International", "Punk (25)", "Punk (811)", "Rock")
    assert by_id(several, "tags")["2993"] == ["Punk (25)", "Rock"]
    assert by_id(several, "artist")["2993"] == "Artist 1"
    assert "genres_all" not in several.tracks
    unlabelled = read("fma", trees["fma"], task="none")
    assert (unlabelled.tags, unlabelled.kind, unlabelled.split_name) == (
        (),
        "tags",
        "small-unlabelled",
    )


def test_fma_of_a_size_that_is_not_there(trees):
    with pytest.raises(
        InputError,
        match=r"000/000002\.mp3 and so on, in fma_full or "
        r".*it holds fma_large, fma_metadata, fma_small",
    ):
        read("fma", trees["fma"], size="full")


WRONG: list[tuple[Change, str]] = [
    (
        lambda root: root / "fma_metadata",
        r"none of the 6 audio files; .*; .*/fma has it: give that folder",
    ),
    (
        remove("fma_metadata"),
        "no metadata; looked for tracks.csv in fma_metadata or the root; it holds fma_large",
    ),
    (
        rewrite("fma_metadata/tracks.csv", "genre_top", "genre"),
        r"no column 'track\.genre_top'",
    ),
    (
        rewrite("fma_metadata/tracks.csv", "training", "train"),
        "track '2' has split 'train'; known: training",
    ),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_wrong_roots_are_told_what_was_looked_for_and_what_is_there(tmp_path, change, message):
    require_refused("fma", change, message, tmp_path)
