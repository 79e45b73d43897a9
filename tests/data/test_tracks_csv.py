"""A CSV as a data set: its columns, its labels and the splits that are drawn."""

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.tracks_csv import CsvSettings, _draw, manifest
from tests.conftest import write_csv


@settings(deadline=None, max_examples=30)
@given(sizes=st.lists(st.integers(1, 6), min_size=8, max_size=40), seed=st.integers(0, 100))
def test_a_drawn_split_keeps_groups_whole_and_is_near_its_shares(sizes, seed):
    groups = [f"g{number}" for number, size in enumerate(sizes) for _ in range(size)]
    labels = [["a"] if number % 3 else ["b"] for number in range(len(groups))]
    tracks = pd.DataFrame({"group": groups, "tags": labels})
    dealt = _draw(tracks, {"train": 0.7, "valid": 0.1, "test": 0.2}, seed)
    assert dealt == _draw(tracks, {"train": 0.7, "valid": 0.1, "test": 0.2}, seed)
    by_group = pd.DataFrame({"group": groups, "split": dealt}).groupby("group")["split"].nunique()
    assert (by_group == 1).all()
    assert set(dealt) == {"train", "valid", "test"}
    assert abs(dealt.count("train") / len(dealt) - 0.7) < 0.35


def test_csv_with_other_split_names_tags_and_extra_columns(tmp_path):
    rows: list[dict[str, object]] = [
        {
            "path": f"{number}.wav",
            "tags": "rock | loud" if number % 2 else "",
            "split": split,
            "mood": "happy",
            "track_id": f"t{number}",
        }
        for number, split in enumerate(
            ["training", "Train", "validation", "dev", "TEST", "testing"]
        )
    ]
    read = manifest(write_csv(tmp_path / "t.csv", rows), CsvSettings())
    assert read.kind == "tags"
    assert read.tags == ("loud", "rock")
    assert read.tracks["split"].tolist() == ["train", "train", "valid", "valid", "test", "test"]
    assert read.tracks["tags"].tolist()[:2] == [[], ["loud", "rock"]]
    assert read.tracks["mood"].tolist() == ["happy"] * 6
    assert read.split_name == "csv"


def test_csv_without_valid_tracks_draws_them_from_train(tmp_path):
    rows: list[dict[str, object]] = [
        {"path": f"{n}.wav", "label": "ab"[n % 2], "split": "train" if n < 30 else "test"}
        for n in range(40)
    ]
    read = manifest(write_csv(tmp_path / "t.csv", rows), CsvSettings(split_seed=3))
    counts = read.tracks["split"].value_counts()
    assert counts["test"] == 10
    assert 2 <= counts["valid"] <= 8
    assert read.split_name == "csv+valid-3"
    assert "drew 15 %" in read.notes[0]


def test_csv_warns_of_groups_in_two_splits(tmp_path):
    rows: list[dict[str, object]] = [
        {
            "path": f"{n}.wav",
            "label": "ab"[n % 2],
            "split": ["train", "valid", "test"][n % 3],
            "group": "x",
        }
        for n in range(9)
    ]
    assert (
        "1 groups stand in more than one split"
        in manifest(write_csv(tmp_path / "t.csv", rows), CsvSettings()).notes[0]
    )
