"""Writing figures as PDF, SVG and PNG, beside a caption and the numbers that were drawn.

The same figure gives the same bytes every time.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, cast

from bench.core.errors import InputError, unknown
from bench.core.store import write_atomically
from bench.report.figures.style import RC

FORMATS = ("pdf", "svg", "png")
# Leaves dates and version strings out of the files, which would differ where the picture does not.
_METADATA: dict[str, dict[str, Any]] = {
    "pdf": {"CreationDate": None, "ModDate": None, "Producer": None, "Creator": None},
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
}


class NotDrawnError(Exception):
    """Says why a figure cannot be drawn from what is stored."""


@dataclass
class Drawing:
    """A figure that is ready to be written.

    Attributes:
        name: name of its files, without the ending.
        figure: the figure of matplotlib; None for a table that is written as text alone.
        caption: paragraphs of the caption; empty ones are dropped.
        files: ending -> content of further files beside the figure.
    """

    name: str
    figure: Any
    caption: list[str]
    files: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def drawing_settings() -> Iterator[None]:
    """Sets matplotlib to draw without a screen and with this project's settings alone.

    The user's own settings come back afterwards.
    """
    import matplotlib

    matplotlib.use("agg")
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.use("agg")
        matplotlib.rcParams.update(cast(Any, RC))
        # The picture of a table has axes of a fixed place, which the layout engine warns of.
        warnings.filterwarnings("ignore", message="There are no gridspecs with layoutgrids")
        # A name may hold letters that the font lacks: they are drawn as boxes, and stand in the
        # caption as they are.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def check_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """The formats, each once.

    Raises:
        InputError: there is no such format, or none is given.
    """
    for name in formats:
        if name not in FORMATS:
            raise unknown("format", name, FORMATS)
    if not formats:
        raise InputError(f"--format: give one or more of {', '.join(FORMATS)}")
    return tuple(dict.fromkeys(formats))


def save(drawing: Drawing, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Writes a drawing with its caption and further files, and frees the figure's memory.

    Args:
        drawing: what is written.
        folder: where the files go; it is made where it is missing.
        formats: formats of the figure.

    Returns:
        Paths of the written files.
    """
    import matplotlib
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    if drawing.figure is not None:
        # Panels are laid out once, not once for every format. The layout engine "none" would do
        # nothing but still make matplotlib draw every file twice; None removes the engine, provided
        # that the settings ask for no other.
        drawing.figure.draw_without_rendering()
        with matplotlib.rc_context(
            {"figure.constrained_layout.use": False, "figure.autolayout": False}
        ):
            drawing.figure.set_layout_engine(None)
            for name in formats:
                content = BytesIO()
                drawing.figure.savefig(content, format=name, metadata=_METADATA[name])
                written.append(_write(folder / f"{drawing.name}.{name}", content.getvalue()))
        plt.close(drawing.figure)
    for ending, text in drawing.files.items():
        written.append(_write(folder / f"{drawing.name}.{ending}", text.encode()))
    caption = (
        "\n\n".join(paragraph.strip() for paragraph in drawing.caption if paragraph.strip()) + "\n"
    )
    written.append(_write(folder / f"{drawing.name}.caption.md", caption.encode()))
    return written


def _write(path: Path, content: bytes) -> Path:
    write_atomically(path, content)
    return path
