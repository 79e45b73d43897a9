"""What tests of midiband share: small settings, and its table without rendering."""

# mypy does not know that `bench.datasets` is the folder `datasets` (see `bench/__init__.py`).
# mypy: disable-error-code="import-not-found"

import hashlib
from functools import cache
from pathlib import Path

import bench.datasets.midiband as midiband
import pandas as pd
from bench.datasets.midiband import splits

SMALL = midiband.Settings(tracks=40, seconds=4.0)


def nothing(done: int, total: int) -> None:
    """Progress that nobody looks at."""


@cache
def default_tracks() -> pd.DataFrame:
    """The manifest's table at the default settings, without rendering."""
    chosen = midiband.Settings()
    rows = [midiband.describe_track(chosen, index)[0] for index in range(chosen.tracks)]
    return splits.assign(pd.DataFrame(rows), chosen.seed)


def digests(root: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((root / "audio").iterdir())
    }
