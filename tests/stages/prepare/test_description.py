"""The description of a store: its hash, its tags, and the report of its files."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import soundfile

from bench.core.errors import InputError
from bench.stages.prepare.description import _described
from tests.conftest import RATE
from tests.stages.prepare.tracks import content, make, manifest_of, write_tracks


def test_what_a_hash_is_made_of_is_plain_json(tmp_path):
    manifest = manifest_of([f"é{place}" for place in range(20_500)])
    rows = manifest.tracks[["track_id", "split", "tags", "group"]].values.tolist()
    assert "".join(_described(manifest, manifest.tracks)) == json.dumps(
        [rows, ["a", "b", "c"], "tags"]
    )


def test_an_unknown_tag_is_named(tmp_path):
    manifest = write_tracks(tmp_path / "in", 6)
    with pytest.raises(InputError, match="tag 'c', which is none"):
        make(dataclasses.replace(manifest, tags=("a", "b")), tmp_path / "in", tmp_path / "out")


def test_everything_that_is_to_be_said_of_a_file_is_said(tmp_path):
    manifest = write_tracks(tmp_path / "in", 3, seconds=6.0, ending="mp3")
    path = tmp_path / "in/0001.mp3"
    soundfile.write(path, np.random.default_rng(0).normal(size=6 * RATE), RATE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    folder = make(manifest, tmp_path / "in", tmp_path / "out")
    report = pd.read_csv(folder / "report.csv")
    assert report["what"].tolist() == ["lowered", "shorter"]
    assert set(report["path"]) == {"0001.mp3"}
    copied = make(manifest, tmp_path / "in", tmp_path / "copied", previous=folder)
    assert content(copied) == content(folder)
