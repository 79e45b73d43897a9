"""Folders of audio files: what is taken, what is passed over, and wrong roots."""

import os
import shutil

import pytest

from tests import fake_datasets
from tests.datasets.reading import (
    Change,
    by_id,
    read,
    remove,
    require_refused,
)


def test_folder_takes_every_format_once(trees):
    made = read("folder", trees["folder"])
    assert made.tracks["path"].tolist() == sorted(made.tracks["path"])
    assert len(made.tracks) == 12
    assert {"A/ONE.WAV", "a/été 2.Mp3", "top.flac", "several/3.opus"} <= set(made.tracks["path"])
    assert set(by_id(made, "group").values()) == {"A", "a", "several", "."}
    assert set(made.tracks["split"]) == {"train"}
    assert made.tags == ()
    assert "1 hidden files passed over" in made.notes
    assert "1 folders that links lead to a second time passed over" in made.notes


def test_folder_counts_names_that_no_table_can_hold(tmp_path):
    root = fake_datasets.folder(tmp_path / "tree")
    shutil.copy(os.fsencode(root / "top.flac"), os.fsencode(root) + b"/b\xe9b\xe9.flac")
    made = read("folder", root)
    assert len(made.tracks) == 12
    assert "1 files whose names are not in UTF-8 passed over" in made.notes


WRONG: list[tuple[Change, str]] = [
    (lambda root: root / "top.flac", "it is a file, not a folder"),
    (
        remove("[A-Za-z]*/*.[wWfompMa]*", "several", "A", "top.flac"),
        "no audio files .*; 3 files in it|no audio",
    ),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_wrong_roots_are_told_what_was_looked_for_and_what_is_there(tmp_path, change, message):
    require_refused("folder", change, message, tmp_path)
