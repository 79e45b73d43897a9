"""A table as a picture in the look of LaTeX's booktabs, for pages that take no LaTeX."""

from collections.abc import Sequence
from typing import Any

from bench.report.figures.style import COLUMN, PAGE
from bench.report.tables import Number, ScoreTable

_ROW = 0.155  # height of a row, in inches
_LETTER = 0.056  # mean width of a letter of 6.5 points, in inches
_LONGEST = 40  # letters of a cell; the table's files have all of them
_SHORTEST = 14  # letters to which cells are cut where the table is wider than a page


def picture_of_table(table: ScoreTable) -> Any:
    """The table as a figure.

    It is as wide as a column, or up to a page where its columns need that. Cells of a wider table
    are cut; only where there are too many columns even for short cells is the picture wider than a
    page.
    """
    import matplotlib.pyplot as plt

    for longest in range(_LONGEST, _SHORTEST - 1, -2):
        texts = [[_text(cell, longest) for cell in row] for row in table.rows]
        widths = [
            max(len(column), *(len(row[place]) for row in texts)) * _LETTER + 0.14 if texts else 1.0
            for place, column in enumerate(table.columns)
        ]
        if sum(widths) <= PAGE:
            break
    total = COLUMN if sum(widths) <= COLUMN else max(sum(widths), 0.7 * PAGE)
    stretch = total / sum(widths)
    edges = [0.0]
    for width in widths:
        edges.append(edges[-1] + width * stretch)
    height = (len(texts) + 2.2) * _ROW
    figure = plt.figure(figsize=(total, height), layout="none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, total)
    axes.set_ylim(height, 0)
    for place, column in enumerate(table.columns):
        _write(axes, column, place, table, edges, 0.9 * _ROW, weight="bold")
    for y, width in ((0.25 * _ROW, 0.9), (1.45 * _ROW, 0.5), ((len(texts) + 1.75) * _ROW, 0.9)):
        axes.plot([0.02, total - 0.02], [y, y], color="black", linewidth=width)
    for number, row in enumerate(texts):
        y = (number + 2.05) * _ROW
        for place, text in enumerate(row):
            cell = table.rows[number][place]
            rank = cell.rank if isinstance(cell, Number) else ""
            gid = f"cell-{number}-{place}"
            drawn = _write(
                axes,
                text,
                place,
                table,
                edges,
                y,
                weight="bold" if rank == "best" else "normal",
                gid=gid,
            )
            if rank == "tie":
                box = drawn.get_window_extent().transformed(axes.transData.inverted())
                axes.plot([box.x0, box.x1], [y + 0.42 * _ROW] * 2, color="black", linewidth=0.5)
    return figure


def _text(cell: str | Number, longest: int) -> str:
    """A cell as text; words are cut to `longest` letters, numbers are not."""
    text = cell if isinstance(cell, str) else cell.text
    text = " ".join(text.split())
    return text if not isinstance(cell, str) or len(text) <= longest else text[: longest - 1] + "…"


def _write(
    axes: Any, text: str, place: int, table: ScoreTable, edges: Sequence[float], y: float, *,
    weight: str, gid: str | None = None,
) -> Any:  # fmt: skip
    """Writes the text of a column: words to its left edge, numbers to its right."""
    words = place < table.words
    x = edges[place] + 0.05 if words else edges[place + 1] - 0.05
    align = "left" if words else "right"
    return axes.text(x, y, text, ha=align, va="center", fontsize=6.5, weight=weight, gid=gid)
