"""Tables of text, and how they are printed on a terminal or into a pipe."""

import sys
from dataclasses import dataclass, field
from typing import Any

_PIPE_WIDTH = 180
"""Characters a line in a file or a pipe, which have no width: a table cut there loses numbers."""


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        columns: headings of the columns.
        rows: the cells of each row, one text a column.
        notes: lines below the table, with what a reader must know beside the numbers.
        words: number of leading columns that hold words and are aligned to the left; the others
            hold numbers.
    """

    columns: list[str]
    rows: list[list[str]]
    notes: list[str] = field(default_factory=list)
    words: int = 2


def _width(drawn: Any) -> int:
    """The width of a table in characters, where nothing cuts it."""
    from rich.console import Console

    return Console(width=10_000, markup=False).measure(drawn).maximum


def show(table: Table) -> None:
    """Prints a table on standard output; numbers are never cut or broken over lines."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable

    def draw(before_interval: str) -> RichTable:
        drawn = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1))
        for place, column in enumerate(table.columns):
            is_words = place < table.words
            drawn.add_column(
                column, justify="left" if is_words else "right", no_wrap=not is_words or place == 0
            )
        for row in table.rows:
            drawn.add_row(*(text.replace(" [", before_interval) for text in row))
        return drawn

    console = Console(
        width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False, markup=False
    )
    drawn = draw(" [")
    if table.words < len(table.columns) and _width(drawn) > console.width:
        drawn = draw("\n[")  # on a narrow terminal, intervals stand below their values
        console.width = max(console.width, _width(drawn))
    # Printed by Python, not by rich, which would end the process with status 1 when the reader has
    # gone (`| head`).
    with console.capture() as text:
        console.print(drawn)
        for note in table.notes:
            console.print(note, style="dim", soft_wrap=True)
    print(text.get(), end="", flush=True)
