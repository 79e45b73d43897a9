"""Samples are copied from an earlier store."""

import dataclasses

import pytest
import soundfile

from bench.core.errors import InputError
from bench.stages.prepare.reuse import find_previous
from tests.conftest import RATE, tone
from tests.stages.prepare.tracks import content, decoded_paths, make, manifest_of, write_tracks


def test_files_that_were_there_before_are_copied(tmp_path, monkeypatch):
    manifest = write_tracks(tmp_path / "in", 10)
    # Too loud, so that it is lowered in level.
    soundfile.write(tmp_path / "in/0004.wav", 3 * tone(300, 0.3, 4), RATE, subtype="FLOAT")
    before = make(manifest, tmp_path / "in", tmp_path / "before")
    soundfile.write(tmp_path / "in/0002.wav", tone(900, 0.3, 2), RATE)  # changed
    (tmp_path / "in/0003.wav").unlink()
    soundfile.write(tmp_path / "in/0000b.wav", tone(100, 0.3, 20), RATE)  # new, and first but one
    paths = sorted(path.name for path in (tmp_path / "in").iterdir())
    asked = decoded_paths(monkeypatch)
    folder = make(manifest_of(paths), tmp_path / "in", tmp_path / "after", previous=before)
    assert [path.name for path in asked] == ["0000b.wav", "0002.wav"]
    fresh = make(manifest_of(paths), tmp_path / "in", tmp_path / "fresh")
    assert content(folder) == content(fresh)
    assert "lowered" in (fresh / "report.csv").read_text()


def test_the_product_to_copy_from_is_found_and_checked(tmp_path):
    manifest = write_tracks(tmp_path / "in", 6)
    (tmp_path / "products").mkdir()
    assert find_previous(tmp_path / "products", tmp_path / "in", RATE) is None
    small = dataclasses.replace(manifest, tracks=manifest.tracks[:3])
    make(small, tmp_path / "in", tmp_path / "products/small")
    large = make(manifest, tmp_path / "in", tmp_path / "products/large")
    make(manifest, tmp_path / "in", tmp_path / "products/halfway.part")
    other = make(manifest, tmp_path / "in", tmp_path / "products/other", rate=16_000)
    assert find_previous(tmp_path / "products", tmp_path / "in", RATE) == large
    assert find_previous(tmp_path / "products", tmp_path, RATE) is None
    with pytest.raises(InputError, match="16000 Hz"):
        make(manifest, tmp_path / "in", tmp_path / "new", previous=other)
    with pytest.raises(InputError, match="no finished store"):
        make(manifest, tmp_path / "in", tmp_path / "new", previous=tmp_path)
