"""MagnaTagATune: the two splits, wrong roots, and the published lists."""

import ast
import csv
import shutil

import numpy as np
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
    rewrite,
)
from tests.fake_datasets import EMPTY


def test_magnatagatune_lee_and_pons_differ_in_untagged_and_empty_clips(trees):
    pons, lee = (
        read("magnatagatune", trees["magnatagatune"], split=split) for split in ("pons", "lee")
    )
    assert counts(pons) == {"train": 6, "valid": 2, "test": 4, "tags": 50}
    assert counts(lee) == {"train": 4, "valid": 1, "test": 3, "tags": 50}
    assert EMPTY in set(pons.tracks["path"]) - set(lee.tracks["path"])
    assert "3 clips without any of the 50 tags, 1 with an empty file" in lee.notes[0]
    assert by_id(pons, "tags")["14"] == ["rock", "metal", "female voice"]
    assert by_id(pons, "tags")["10"] == []
    about = pons.tracks.set_index("track_id").loc["2"]
    assert (about["title"], about["artist"], about["album"]) == (
        'Dance, "La Rotta"',
        "Ensemble A",
        "First",
    )
    assert (about["segment_start_seconds"], about["segment_end_seconds"]) == (0, 29)
    assert about["group"] == "Ensemble A / First"
    assert any("1 of 7 artists have tracks in more than one split" in note for note in pons.notes)


def test_magnatagatune_in_a_folder_called_mp3(tmp_path):
    root = fake_datasets.magnatagatune(tmp_path / "tree")
    (root / "mp3").mkdir()
    for folder in list(root.glob("?")):
        shutil.move(folder, root / "mp3")
    assert read("magnatagatune", root).tracks["path"].str.startswith("mp3/").all()


def pons_lists() -> tuple[dict[str, str], dict[str, dict[str, list[float]]]]:
    """Clip id -> path, and clip id -> truth of the valid and test clips."""
    index = dict(
        line.split("\t") for line in (SHARED / "mtat/pons_index_mtt.tsv").read_text().splitlines()
    )
    truth = {}
    for split, name in (("valid", "val"), ("test", "test")):
        lines = (SHARED / f"mtat/pons_{name}_gt_mtt.tsv").read_text().splitlines()
        truth[split] = {
            clip: ast.literal_eval(given) for clip, given in (line.split("\t") for line in lines)
        }
    return index, truth


@needs_lists
def test_magnatagatune_has_the_published_lists_and_tag_orders(tmp_path):
    module = registry.load("datasets", "magnatagatune")
    index, truth = pons_lists()
    text = (SHARED / "mtat/pons_output_labels_mtt.txt").read_text()
    assert list(module.TAGS) == ast.literal_eval(text.partition("=")[2].strip())
    lee_train = set((SHARED / "mtat/lee_train.txt").read_text().split())
    known = truth["valid"] | truth["test"]
    empty = {path for path in index.values() if path in module._EMPTY}
    assert len(empty) == 3
    with open(tmp_path / "annotations_final.csv", "w", newline="") as file:
        writer = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL)
        writer.writerow(["clip_id", *module.TAGS, "mp3_path"])
        for clip, path in index.items():
            # The labels of the train clips are not at hand, so one tag stands for any; the empty
            # ones have some, too.
            guess = [int(path in lee_train or path in empty), *[0] * 49]
            writer.writerow([clip, *(int(value) for value in known.get(clip, guess)), path])
    (tmp_path / "clip_info_final.csv").write_text("\t".join(fake_datasets.CLIP_INFO) + "\n")
    (tmp_path / "f").mkdir()
    (tmp_path / index["2"]).touch()
    pons, lee = (read("magnatagatune", tmp_path, split=split) for split in ("pons", "lee"))
    for made in (pons, lee):
        assert counts(made) == module.PUBLISHED[made.split_name]
    for split in ("valid", "test"):
        assert set(pons.tracks["track_id"][pons.tracks["split"] == split]) == set(truth[split])
    lee_tags = (SHARED / "mtat/lee_tags.txt").read_text().split()
    assert [tag.replace(" ", "").lower() for tag in lee.tags] == [tag.lower() for tag in lee_tags]
    for split in SPLITS:
        listed = (SHARED / f"mtat/lee_{split}.txt").read_text().split()
        rows = lee.tracks[lee.tracks["split"] == split].set_index("path")
        assert set(rows.index) == set(listed)
        if split != "train":
            labels = np.array(
                [[tag in several for tag in lee.tags] for several in rows["tags"][listed]]
            )
            assert np.array_equal(labels, np.load(SHARED / f"mtat/lee_y_{split}.npz")["y"])


@needs_lists
def test_no_album_of_magnatagatune_crosses_the_split_and_artists_do():
    """Of names of files: artist, album, number and title, with hyphens between."""
    split_of = registry.load("datasets", "magnatagatune")._SPLIT_OF_FOLDER
    crossing: dict[int, dict[tuple[str, ...], set[str]]] = {1: {}, 2: {}}
    for path in pons_lists()[0].values():
        for parts, seen in crossing.items():
            seen.setdefault(tuple(path[2:].split("-")[:parts]), set()).add(split_of[path[0]])
    assert sum(len(splits) > 1 for splits in crossing[1].values()) > 50
    assert sum(len(splits) > 1 for splits in crossing[2].values()) == 0


WRONG: list[tuple[Change, str]] = [
    (lambda root: root / "0", "magnatagatune has it: give that folder"),
    (
        remove("clip_info_final.csv"),
        "no clip metadata; looked for clip_info_final.csv; it holds 0, 4",
    ),
    (
        remove("?"),
        "none of the 8 audio files; looked for 0/ens.*, in the root or mp3;",
    ),
    (
        rewrite("annotations_final.csv", '"guitar"', '"gitarre"'),
        "no column 'guitar'; needed: clip_id",
    ),
    (
        rewrite("annotations_final.csv", '"\t"', '","'),
        "no column 'clip_id', 'guitar'",
    ),
    (
        rewrite("annotations_final.csv", "4/band", "x/band"),
        "'x/band.*none of the folders 0 to f",
    ),
    (
        rewrite("annotations_final.csv", '"1"', '"yes"'),
        "clip 2, tag 'guitar': 'yes' is not 0 or 1",
    ),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_wrong_roots_are_told_what_was_looked_for_and_what_is_there(tmp_path, change, message):
    require_refused("magnatagatune", change, message, tmp_path)
