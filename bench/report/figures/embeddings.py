"""Maps of embeddings: the first two principal components of test tracks, a panel for each method.

Embeddings are not part of the results. They lie in home, where only this figure reads them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import InputError
from bench.core.store import Store, load_array, read_json
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
from bench.results import Result, product_folders

_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P")
_OTHER = "#CCCCCC"
_TRACKS = 2000  # test tracks of a panel, at most


def draw(stock: Stock, home: Path | None) -> Iterator[Drawing]:
    """A figure for each place and setting.

    Args:
        stock: the stored cells.
        home: where embeddings lie; None where it is not known.

    Raises:
        NotDrawnError: no home was given, or the embeddings of no cell lie in it.
    """
    if home is None:
        raise NotDrawnError("embeddings lie in home, not in the results: give --home")
    any_drawn = False
    for cells, name, where, setting in places_by_setting("embeddings", stock):
        mapped, absent = _read_all(cells, home)
        if mapped:
            any_drawn = True
            yield _drawing(stock, mapped, absent, name, where, setting)
    if not any_drawn:
        raise NotDrawnError(f"the embeddings of no stored cell lie in {home}")


@dataclass(frozen=True)
class Mapped:
    """What one panel is drawn from.

    Attributes:
        result: the cell.
        vectors: (tracks, width) mean embeddings of test tracks.
        labels: (tracks, tags) whether a track has a tag.
        tags: names of the tags.
    """

    result: Result
    vectors: NDArray[np.float64]
    labels: NDArray[np.bool_]
    tags: list[str]


def _read_all(results: Sequence[Result], home: Path) -> tuple[dict[str, Mapped], list[str]]:
    """Reads the embeddings of one cell of each series.

    Args:
        results: cells of one place and setting.
        home: where embeddings lie.

    Returns:
        (series -> what its panel is drawn from, series without embeddings in home).
    """
    mapped: dict[str, Mapped] = {}
    absent = []
    for name, cells in at_largest_share(results)[1].items():
        result = min(cells, key=lambda cell: (cell.spec.seed, cell.spec.draw, cell.cell))
        try:
            mapped[name] = _read(result, home)
        except (InputError, OSError, ValueError, KeyError):
            absent.append(name)
    return mapped, absent


def _read(result: Result, home: Path) -> Mapped:
    import pandas as pd

    folders = product_folders(result, Store(home), ("prepare", "embed"))
    prepared = folders["prepare"]
    vectors = load_array(folders["embed"] / "tracks.npy", mmap=True)
    split = pd.read_parquet(prepared / "manifest.parquet", columns=["split"])["split"].to_numpy()
    rows = np.flatnonzero(split == "test")[:_TRACKS]
    labels = load_array(prepared / "labels.npy", mmap=True)[rows].astype(bool)
    tags = [str(tag) for tag in read_json(prepared / "data.json")["tags"]]
    chosen = np.asarray(vectors[rows], dtype=np.float64)
    if len(chosen) < 3 or not np.isfinite(chosen).all():
        raise ValueError("no map of fewer than three tracks")
    return Mapped(result, chosen, labels, tags)


def main_directions(
    vectors: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The first two principal components of standardised embeddings.

    The sign of a component is arbitrary; it is set so that its largest entry by size is positive.

    Args:
        vectors: (tracks, width).

    Returns:
        (tracks, 2) places of the tracks, (2,) share of the variance of each component.
    """
    centred = vectors - vectors.mean(axis=0)
    deviation = centred.std(axis=0)
    scaled = centred / np.where(deviation > 0, deviation, 1.0)
    left, singular, right = np.linalg.svd(scaled, full_matrices=False)
    if right.shape[0] < 2:  # embeddings of one dimension: the second component is zero
        left, singular = np.pad(left, ((0, 0), (0, 1))), np.pad(singular, (0, 1))
        right = np.pad(right, ((0, 1), (0, 0)))
    largest = np.abs(right[:2]).argmax(axis=1)
    signs = np.where(right[np.arange(2), largest] < 0, -1.0, 1.0)
    total = float((singular**2).sum()) or 1.0
    return left[:, :2] * singular[:2] * signs, singular[:2] ** 2 / total


def _drawing(
    stock: Stock, mapped: dict[str, Mapped], absent: Sequence[str], name: str, where: str,
    setting: Setting,
) -> Drawing:  # fmt: skip
    """The figure of one place and setting, with its caption."""
    series = ordered(list(mapped))
    caption = [
        f"Embeddings of the test tracks: {where}; {setting.words}. First two principal components "
        "of standardised mean embeddings, one pretraining seed each; at most "
        f"{_TRACKS} tracks. Directions of different panels have nothing to do with each other. "
        "Coloured are tracks with exactly one of the tags below.",
        f"Without embeddings in home: {', '.join(absent)}." if absent else "",
        *protocol([mapped[method].result for method in series]),
        *left_out(stock),
    ]
    return Drawing(name, _figure({method: mapped[method] for method in series}), caption, {})


def _figure(mapped: dict[str, Mapped]) -> Any:
    """A panel for each series, with tracks coloured by tags that tell them apart."""
    from matplotlib.lines import Line2D

    first = next(iter(mapped.values()))
    shown = _telling(first.labels)
    handles: list[Any] = [
        Line2D(
            [], [], linestyle="none", marker=_MARKERS[place], color=_COLOURS[place], markersize=3.5
        )
        for place in range(len(shown))
    ]
    names = plain_names(first.tags)
    words = [shortened(names[tag], 24) for tag in shown]
    handles.append(Line2D([], [], linestyle="none", marker=".", color=_OTHER))
    words.append("none or several of these")
    figure, axes = grid(
        len(mapped), 1, height=1.5, across=4, legend_rows=legend_rows(words, PAGE), narrow=2
    )
    for (name, panel), (axis,) in zip(mapped.items(), axes, strict=True):
        set_title(axis, title(name))
        _draw_panel(axis, panel, shown)
    legend(figure, handles, words)
    return figure


def _draw_panel(axis: Any, mapped: Mapped, shown: Sequence[int]) -> None:
    """Draws the tracks of one series.

    Args:
        axis: the panel.
        mapped: what is drawn.
        shown: the tags that have a colour; tracks with none or several of them are grey.
    """
    points, shares = main_directions(mapped.vectors)
    alone = mapped.labels[:, shown].sum(axis=1) == 1
    axis.plot(
        *points[~alone].T, linestyle="none", marker=".", markersize=1.8, color=_OTHER, zorder=1
    )
    for place, tag in enumerate(shown):
        axis.plot(
            *points[alone & mapped.labels[:, tag]].T, linestyle="none", marker=_MARKERS[place],
            color=_COLOURS[place], markersize=2.2, markeredgewidth=0, alpha=0.85, zorder=2,
        )  # fmt: skip
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_xlabel(f"{shares[0]:.0%} and {shares[1]:.0%} of variance", fontsize=5.5)
    axis.spines[["top", "right"]].set_visible(True)


def _telling(labels: NDArray[np.bool_]) -> list[int]:
    """Up to six tags that many tracks have and few tracks share.

    Tags are chosen greedily: the next is the one that adds most tracks with exactly one of them.

    Args:
        labels: (tracks, tags) whether a track has a tag.

    Returns:
        Columns of the chosen tags.
    """
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
