"""Productions: independent of what is tagged, shared by an album, and within bounds."""

# mypy does not know that `bench.datasets` is the folder `datasets` (see `bench/__init__.py`).
# mypy: disable-error-code="import-not-found"

import bench.datasets.midiband as midiband
import numpy as np
import pandas as pd
import pytest
from bench.datasets.midiband.plan import plan_artist
from bench.datasets.midiband.production import draw_production, produce

from tests.datasets.midiband.small import default_tracks


def test_production_is_independent_of_genre() -> None:
    """A permutation test of chi-square over albums, for which the productions are drawn."""
    albums = [
        (seed, artist, album) for seed in range(3) for artist in range(60) for album in range(2)
    ]
    genre = pd.factorize(np.array([plan_artist(seed, artist).style for seed, artist, _ in albums]))[
        0
    ]
    production = pd.factorize(np.array([draw_production(*album).name for album in albums]))[0]

    def chi_square(left: np.ndarray, right: np.ndarray) -> float:
        table = np.zeros((left.max() + 1, right.max() + 1))
        np.add.at(table, (left, right), 1)
        expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
        return float(((table - expected) ** 2 / expected).sum())

    random = np.random.default_rng(0)
    permuted = [chi_square(random.permutation(genre), production) for _ in range(300)]
    assert np.mean(np.array(permuted) >= chi_square(genre, production)) > 0.01


def test_production_is_shared_by_an_album_and_no_tag_looks_at_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tracks = default_tracks()
    columns = [name for name in tracks.columns if name.startswith("production")]
    assert len(columns) > 10
    assert (tracks.groupby("album")[columns].nunique() == 1).all().all()
    assert tracks.groupby("artist")["production_level_db"].nunique().eq(2).all()
    before = tracks["tags"].tolist()[:20]
    monkeypatch.setattr(
        midiband,
        "draw_production",
        lambda seed, artist, album: draw_production(seed + 1, artist, album),
    )
    after = [midiband.describe_track(midiband.Settings(), index)[0]["tags"] for index in range(20)]
    assert after == before


@pytest.mark.parametrize("artist", range(6))
def test_production_keeps_length_and_bounds(artist: int) -> None:
    random = np.random.default_rng(0)
    audio = random.standard_normal(30_001).astype(np.float32)
    result = produce(audio, 22_050, draw_production(0, artist, 0), seed=0, index=0)
    assert result.shape == audio.shape
    assert result.dtype == np.float32
    assert np.isfinite(result).all()
    assert 0 < np.abs(result).max() <= 0.971


def test_silence_is_produced_without_a_division_by_zero() -> None:
    with np.errstate(all="raise"):
        result = produce(
            np.zeros(30_000, np.float32), 22_050, draw_production(0, 0, 0), seed=0, index=0
        )
    assert np.isfinite(result).all()
