"""The disk space of a store is estimated before it is made."""

import pytest

from bench.core.errors import InputError
from bench.data import decoders
from bench.stages.prepare import estimate
from tests.conftest import RATE
from tests.stages.prepare.tracks import make, write_tracks


def test_a_store_that_cannot_fit_is_refused_first(tmp_path, monkeypatch):
    manifest = write_tracks(tmp_path / "in", 30, ending="flac")
    needed = 30 * (2 * round(0.3 * RATE) + 400)
    monkeypatch.setattr(estimate, "free_bytes", lambda folder: needed - 1000)
    words = r"30 tracks at 8000 Hz take about 156.0 kB, and 155.0 kB are free: free some"
    with pytest.raises(InputError, match=f"not enough room in {tmp_path}: {words}"):
        make(manifest, tmp_path / "in", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
    monkeypatch.setattr(estimate, "free_bytes", lambda folder: needed + 1000)
    make(manifest, tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
def test_length_is_told_from_some_files(tmp_path, monkeypatch, ending):
    manifest = write_tracks(tmp_path / "in", 50, seconds=2.0, ending=ending)
    monkeypatch.setattr(estimate, "_LOOKED_AT", 5)
    with decoders.decoders(2) as pool:
        seconds = estimate.seconds_of(
            tmp_path / "in", [*manifest.tracks["path"], "missing.wav"], pool
        )
    assert seconds == pytest.approx(100, rel=0.1)
