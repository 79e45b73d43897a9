"""Splits by artist, with every tag in each."""

# mypy does not know that `bench.datasets` is the folder `datasets` (see `bench/__init__.py`).
# mypy: disable-error-code="import-not-found"

import pandas as pd
from bench.datasets.midiband.tagging import TAGS

from tests.datasets.midiband.small import default_tracks


def test_every_tag_is_neither_rare_nor_common_and_stands_in_every_split() -> None:
    tracks = default_tracks()
    shares = pd.DataFrame({tag: [tag in tags for tags in tracks["tags"]] for tag in TAGS})
    assert shares.mean().min() >= 0.04
    assert shares.mean().max() <= 0.60
    counts = shares.groupby(tracks["split"]).sum()
    assert counts.loc[["train", "test"]].to_numpy().min() >= 4
    assert counts.loc["valid"].min() >= 1
    wanted = pd.Series({"train": 0.60, "valid": 0.15, "test": 0.25})
    assert ((tracks["split"].value_counts(normalize=True) - wanted).abs() < 0.02).all()
