"""Splits by artist: whole artists are dealt to train, valid and test, evenly over the styles."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bench.data.manifest import generator

from .tagging import TAGS

SHARES = {"train": 0.60, "valid": 0.15, "test": 0.25}
DEALS = 64
"""How many random deals are compared; each takes about a millisecond."""


def assign(tracks: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Adds the column `split`, after `path`.

    Artists are sorted by their most frequent genre, shuffled within it, and dealt in turn to
    whichever split is furthest behind its share. Of several such deals that one is kept in which
    the rarest pair of a tag and a split, relative to the split's share, has most tracks: so every
    split has tracks of every tag.

    Args:
        tracks: one row a track, with `artist`, `genre` and `tags`.
        seed: of the data set.

    Returns:
        A copy of the table with the new column.
    """
    artists = tracks.groupby("artist", sort=True)["genre"].agg(lambda genres: genres.mode()[0])
    counts = _count_tags(tracks, list(artists.index))
    best: tuple[float, np.ndarray] | None = None
    for deal in range(DEALS):
        random = generator(seed, "midiband/splits", deal)
        shuffled = random.permutation(len(artists))
        dealt = np.empty(len(artists), dtype=object)
        # A stable sort by genre of the shuffled artists leaves their order within a genre random.
        ranked = shuffled[np.argsort(artists.to_numpy(dtype=str)[shuffled], kind="stable")]
        dealt[ranked] = _deal(len(artists))
        rarest = min(
            float((counts[dealt == name].sum(axis=0) / share).min())
            for name, share in SHARES.items()
        )
        if best is None or rarest > best[0]:
            best = (rarest, dealt)
    assert best is not None
    split_of = dict(zip(artists.index, best[1], strict=True))
    result = tracks.copy()
    result.insert(2, "split", [split_of[artist] for artist in tracks["artist"]])
    return result


def _deal(count: int) -> Sequence[str]:
    """So many names of splits, each as often as its share says, spread as evenly as can be."""
    dealt: list[str] = []
    for number in range(1, count + 1):
        dealt.append(max(SHARES, key=lambda name: SHARES[name] * number - dealt.count(name)))
    return dealt


def _count_tags(tracks: pd.DataFrame, artists: list[str]) -> np.ndarray:
    """How many tracks of each artist have each tag: (artists, tags)."""
    place = {tag: column for column, tag in enumerate(TAGS)}
    row_of = {artist: row for row, artist in enumerate(artists)}
    counts = np.zeros((len(artists), len(TAGS)))
    for artist, tags in zip(tracks["artist"], tracks["tags"], strict=True):
        for tag in tags:
            counts[row_of[artist], place[tag]] += 1
    return counts
