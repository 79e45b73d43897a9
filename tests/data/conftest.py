"""Pieces of music that tests of fingerprints and of leaks share."""

import numpy as np
import pytest

from tests.data.copies import music, pcm


@pytest.fixture(scope="session")
def tracks() -> list[np.ndarray]:
    """48 pieces by 6 bands."""
    return [pcm(music(seed, band=seed // 8)) for seed in range(48)]
