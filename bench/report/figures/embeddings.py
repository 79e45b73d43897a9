"""A map of embeddings: the two main directions of the test tracks' mean embeddings, a panel a method.

Embeddings are no result: they lie in home, and this figure alone reads them there.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import InputError
from bench.core.store import load_array, read_json
from bench.report.captions import left_out, protocol
from bench.report.figures.layout import grid, legend, legend_rows, set_title
from bench.report.figures.names import places_by_setting
from bench.report.figures.save import Drawing, NotDrawnError
from bench.report.figures.style import PAGE, title
from bench.report.figures.tags import plain_names
from bench.report.names import ordered, shortened
from bench.report.series import at_largest_share
from bench.report.setting import Setting
from bench.report.stock import Stock
from bench.results import Result

_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P")
_OTHER = "#CCCCCC"
_TRACKS = 2000


def draw(stock: Stock, home: Path | None) -> Iterator[Drawing]:
    """A figure a place and setting.

    Raises:
        NotDrawnError: no home was given, or the embeddings of no cell lie in it.
    """
    if home is None:
        raise NotDrawnError("embeddings lie in home, not in the results: give --home")
    drawn = False
    for own, name, where, setting in places_by_setting("embeddings", stock):
        found, absent = _read_all(own, home)
        if found:
            drawn = True
            yield _figure(stock, found, absent, name, where, setting)
    if not drawn:
        raise NotDrawnError(f"the embeddings of no stored cell lie in {home}")


Mapped = tuple[Result, NDArray[np.float64], NDArray[np.bool_], list[str]]
"""A cell, (tracks, width) embeddings of its test tracks, (tracks, tags) their labels, names of the
tags.
"""


def _read_all(own: Sequence[Result], home: Path) -> tuple[dict[str, Mapped], list[str]]:
    """Of each series one cell with embeddings in home, and what has none."""
    found: dict[str, Mapped] = {}
    absent = []
    for name, cells in at_largest_share(own)[1].items():
        result = min(cells, key=lambda cell: (cell.spec.seed, cell.spec.draw, cell.cell))
        try:
            found[name] = result, *_read(result, home)
        except (InputError, OSError, ValueError, KeyError):
            absent.append(name)
    return found, absent


def _read(result: Result, home: Path) -> tuple[NDArray[np.float64], NDArray[np.bool_], list[str]]:
    import pandas as pd

    prepared = home / "prepared" / result.products["prepare"]
    vectors = load_array(home / "embedded" / result.products["embed"] / "tracks.npy", mmap=True)
    split = pd.read_parquet(prepared / "manifest.parquet", columns=["split"])["split"].to_numpy()
    rows = np.flatnonzero(split == "test")[:_TRACKS]
    labels = load_array(prepared / "labels.npy", mmap=True)[rows].astype(bool)
    tags = [str(tag) for tag in read_json(prepared / "data.json")["tags"]]
    chosen = np.asarray(vectors[rows], dtype=np.float64)
    if len(chosen) < 3 or not np.isfinite(chosen).all():
        raise ValueError("no map of fewer than three tracks")
    return chosen, labels, tags


def main_directions(
    vectors: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The first two principal components of standardised embeddings, and the share of variance of each.

    The sign of a component is arbitrary; it is set so that its largest entry by size is positive.

    Args:
        vectors: (tracks, width).

    Returns:
        (tracks, 2) places, (2,) shares.
    """
    centred = vectors - vectors.mean(axis=0)
    deviation = centred.std(axis=0)
    scaled = centred / np.where(deviation > 0, deviation, 1.0)
    left, singular, right = np.linalg.svd(scaled, full_matrices=False)
    if right.shape[0] < 2:
        left, singular = np.pad(left, ((0, 0), (0, 1))), np.pad(singular, (0, 1))
        right = np.pad(right, ((0, 1), (0, 0)))
    largest = np.abs(right[:2]).argmax(axis=1)
    signs = np.where(right[np.arange(2), largest] < 0, -1.0, 1.0)
    total = float((singular**2).sum()) or 1.0
    return left[:, :2] * singular[:2] * signs, singular[:2] ** 2 / total


def _figure(
    stock: Stock,
    found: dict[str, Mapped],
    absent: Sequence[str],
    name: str,
    where: str,
    setting: Setting,
) -> Drawing:
    from matplotlib.lines import Line2D

    series = ordered(list(found))
    first = found[series[0]]
    labels, tags = first[2], first[3]
    common = _telling(labels)
    handles: list[Any] = [
        Line2D(
            [], [], linestyle="none", marker=_MARKERS[place], color=_COLOURS[place], markersize=3.5
        )
        for place in range(len(common))
    ]
    names = plain_names(tags)
    words = [shortened(names[tag], 24) for tag in common]
    handles.append(Line2D([], [], linestyle="none", marker=".", color=_OTHER))
    words.append("none or several of these")
    figure, axes = grid(
        len(series), 1, height=1.5, across=4, legend_rows=legend_rows(words, PAGE), narrow=2
    )
    for one, (axis,) in zip(series, axes, strict=True):
        _, vectors, its, _ = found[one]
        points, shares = main_directions(vectors)
        set_title(axis, title(one))
        alone = its[:, common].sum(axis=1) == 1
        axis.plot(
            *points[~alone].T, linestyle="none", marker=".", markersize=1.8, color=_OTHER, zorder=1
        )
        for place, tag in enumerate(common):
            mine = points[alone & its[:, tag]]
            axis.plot(
                *mine.T, linestyle="none", marker=_MARKERS[place], color=_COLOURS[place], markersize=2.2,
                markeredgewidth=0, alpha=0.85, zorder=2,
            )  # fmt: skip
        axis.set_xticks([])
        axis.set_yticks([])
        axis.set_xlabel(f"{shares[0]:.0%} and {shares[1]:.0%} of variance", fontsize=5.5)
        axis.spines[["top", "right"]].set_visible(True)
    legend(figure, handles, words)
    results = [found[one][0] for one in series]
    caption = [
        f"Embeddings of the test tracks: {where}; {setting.words}. First two principal components of standardised mean "
        f"embeddings, one pretraining seed each; at most {_TRACKS} tracks. Directions of different panels have nothing "
        "to do with each other. Coloured are tracks with exactly one of the tags below.",
        f"Without embeddings in home: {', '.join(absent)}." if absent else "",
    ]
    return Drawing(name, figure, [*caption, *protocol(results), *left_out(stock)], {})


def _telling(labels: NDArray[np.bool_]) -> list[int]:
    """Up to six tags that many tracks have and few share: greedily, that which adds most tracks with exactly one."""
    chosen: list[int] = []
    count = np.zeros(len(labels), dtype=int)
    for _ in range(len(_COLOURS)):
        gains = [
            (int(((count + labels[:, tag]) == 1).sum()), -tag)
            for tag in range(labels.shape[1])
            if tag not in chosen
        ]
        if not gains or max(gains)[0] <= int((count == 1).sum()):
            break
        chosen.append(-max(gains)[1])
        count += labels[:, chosen[-1]]
    return chosen
