"""MSD: lists and tags in their forms, wrong roots, and the published tags."""

from pathlib import Path

import numpy as np
import pytest

from bench.core import registry
from bench.core.errors import InputError
from tests import fake_datasets
from tests.datasets.reading import (
    SHARED,
    Change,
    counts,
    needs_lists,
    read,
    remove,
    require_refused,
    rewrite,
)


def test_msd_of_a_csv_and_of_lastfm_are_the_same(trees, tmp_path):
    of_csv = read("msd", trees["msd"])
    of_lastfm = read("msd", fake_datasets.msd(tmp_path / "tree", lastfm=True))
    assert of_csv.tracks.equals(of_lastfm.tracks)
    assert counts(of_csv) == {"train": 5, "valid": 3, "test": 3, "tags": 50}
    assert of_csv.tracks["tags"].tolist()[:3] == [["rock", "Mellow"], ["pop"], ["rock", "00s"]]
    assert of_csv.split_name.startswith("own-")
    assert of_csv.notes[:2] == (
        "1 of 12 tracks have no audio in paths.csv",
        "1 of 11 tracks have none of the 50 tags",
    )
    heavy = read("msd", tmp_path / "tree", least_weight=50)
    assert heavy.tracks["tags"].tolist()[:3] == [["rock"], ["pop"], ["rock"]]


def test_msd_lists_as_arrays_and_other_lists_as_another_split(trees, tmp_path):
    root = fake_datasets.msd(tmp_path / "tree")
    ids = (root / "train.txt").read_text().split()
    np.save(root / "filtered_list_train.npy", np.array(ids, "S18"))
    (root / "train.txt").unlink()
    assert read("msd", root).split_name == read("msd", trees["msd"]).split_name
    np.save(root / "filtered_list_train.npy", np.array(ids[1:]))
    assert read("msd", root).split_name != read("msd", trees["msd"]).split_name


def test_msd_published_lists_are_cut_and_called_lee(tmp_path):
    root = fake_datasets.msd(tmp_path / "tree")
    for path in (root / "train.txt", root / "valid.csv", root / "filtered_list_test.tsv"):
        path.unlink()
    ids = [f"TRAAAAA{number:011X}" for number in range(241_889)]
    (root / "filtered_list_train.txt").write_text("\n".join(ids[:213_454]))
    (root / "filtered_list_test.txt").write_text("\n".join(ids[213_454:]))
    audio = "previews/0/0.clip.mp3"
    rows = [f"{ids[place]},{audio}" for place in (0, 201_679, 201_680, 213_453, 213_454)]
    (root / "paths.csv").write_text("msd_id,path\n" + "\n".join(rows) + "\n")
    (root / "tags.csv").write_text(f"msd_id,tags\n{ids[0]},rock\n")
    made = read("msd", root)
    assert made.tracks["split"].tolist() == ["train", "train", "valid", "valid", "test"]
    assert made.split_name == "lee"
    assert any("the first 201680 of the 213454 train ids" in note for note in made.notes)


def pickle_alone(root: Path) -> Path:
    (root / "train.txt").rename(root / "filtered_list_train.cP")
    return root


def test_a_pickle_in_an_array_is_not_opened(tmp_path):
    root = fake_datasets.msd(tmp_path / "tree")
    (root / "train.txt").unlink()
    np.save(root / "train.npy", np.array(["TRAAAAK128F0000000"], object), allow_pickle=True)
    with pytest.raises(InputError, match=r"train\.npy: cannot be read as a list of ids"):
        read("msd", root)


@needs_lists
def test_msd_has_the_published_tags():
    assert (
        list(registry.load("datasets", "msd").TAGS)
        == (SHARED / "msd/50tagList.txt").read_text().splitlines()
    )


WRONG: list[tuple[Change, str]] = [
    (
        remove("paths.csv"),
        "no table of audio files; looked for paths.csv; it holds filtered_list_test.tsv",
    ),
    (remove("tags.csv"), "no tags; looked for tags.csv or lastfm_tags.db"),
    (remove("previews"), "none of the 11 audio files; looked for previews/0/0"),
    (pickle_alone, r"filtered_list_train\.cP: a pickle, which runs code"),
    (
        rewrite("train.txt", "TRAAABL128F0000001", "another"),
        "'another' is not an id of the MSD",
    ),
    (
        rewrite("train.txt", "TRAAABL128F0000001", "TRAAAAK128F0000000"),
        "stands twice, in the train and the train",
    ),
    (
        rewrite("tags.csv", "msd_id,tags", "id,tags"),
        "no column 'msd_id'; needed: msd_id, tags; found: id, tags",
    ),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_wrong_roots_are_told_what_was_looked_for_and_what_is_there(tmp_path, change, message):
    require_refused("msd", change, message, tmp_path)
