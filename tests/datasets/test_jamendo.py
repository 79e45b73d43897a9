"""MTG-Jamendo: tables, distributions of the audio, wrong roots, and the published lists."""

import shutil

import pytest

from bench.core import registry
from bench.core.errors import InputError
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
    rewrite,
)


@pytest.mark.parametrize("task", ["top50", "genre", "instrument", "moodtheme"])
def test_jamendo_reads_lines_of_any_number_of_tags(trees, task):
    made = read("jamendo", trees["jamendo"], task=task)
    assert made.tags == tuple(
        sorted(fake_datasets.JAMENDO_TAGS[{"top50": "top50tags"}.get(task, task)])
    )
    assert counts(made) == {"train": 6, "valid": 3, "test": 3, "tags": len(made.tags)}
    assert made.tracks["tags"].map(len).max() == min(3, len(made.tags))
    assert by_id(made, "group")["track_0000214"] == "artist_000000"
    assert made.split_name == f"{task}-split-0"


def test_jamendo_of_low_bit_rate(trees, tmp_path):
    low = read("jamendo", trees["jamendo"], audio="low")
    assert low.tracks["path"][0] == "audio-low/14/214.low.mp3"
    root = fake_datasets.jamendo(tmp_path / "tree")
    shutil.rmtree(root / "audio")
    with pytest.raises(InputError, match="other distribution: set audio to 'low'"):
        read("jamendo", root)


TSV = "data/splits/split-0/autotagging_top50tags-train.tsv"


@needs_lists
@pytest.mark.parametrize("task", ["top50", "genre", "instrument", "moodtheme"])
def test_jamendo_has_the_published_counts_and_tags(tmp_path, task):
    module = registry.load("datasets", "jamendo")
    folder = tmp_path / "data/splits/split-0"
    folder.mkdir(parents=True)
    for path in (SHARED / "jamendo").glob(f"autotagging_{module._TASKS[task]}-*.tsv"):
        (folder / path.name).symlink_to(path)
    first = (
        (folder / f"autotagging_{module._TASKS[task]}-train.tsv")
        .read_text()
        .splitlines()[1]
        .split("\t")[3]
    )
    (tmp_path / "audio" / first).parent.mkdir(parents=True)
    (tmp_path / "audio" / first).touch()
    made = read("jamendo", tmp_path, task=task)
    assert counts(made) == module.PUBLISHED[made.split_name]
    assert (made.tracks.groupby("group")["split"].nunique() == 1).all()
    listed = {"top50": "tags_top50.txt", "moodtheme": "tags_moodtheme_split.txt"}
    if task in listed:
        assert list(made.tags) == (SHARED / "jamendo" / listed[task]).read_text().split()


WRONG: list[tuple[Change, str]] = [
    (lambda root: root / "data", "jamendo has it: give that folder"),
    (
        remove("audio*"),
        r"none of the 12 audio files; looked for 14/214\.mp3 and so on, in audio or raw_30s",
    ),
    (
        remove(TSV),
        r"no table; looked for autotagging_top50tags-train\.tsv in data/splits/split-0 or ",
    ),
    (rewrite(TSV, "PATH", "FILE"), "no column 'PATH'; needed: TRACK_ID"),
    (rewrite(TSV, "\t29.9", ""), "line 2: 5 values; the header has 6"),
    (rewrite(TSV, "track_0000267", "track_0000214"), "track_0000214 stands twice"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_wrong_roots_are_told_what_was_looked_for_and_what_is_there(tmp_path, change, message):
    require_refused("jamendo", change, message, tmp_path)
