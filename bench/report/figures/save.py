"""Writing figures: PDF, SVG and PNG beside a caption and the numbers that were drawn.

The same bytes every time.
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
# Dates and version strings out of the files: they would differ where the picture does not.
_METADATA: dict[str, dict[str, Any]] = {
    "pdf": {"CreationDate": None, "ModDate": None, "Producer": None, "Creator": None},
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
}


class NotDrawnError(Exception):
    """A figure that cannot be drawn from what is stored; says why."""


@dataclass
class Drawing:
    """A figure that is ready to be written.

    Attributes:
        name: of its files, without ending.
        figure: matplotlib's figure; None for a table that is written as text alone.
        caption: one paragraph each.
        files: further files beside it: ending -> content.
    """

    name: str
    figure: Any
    caption: list[str]
    files: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def drawing_settings() -> Iterator[None]:
    """Matplotlib without a screen and with this project's settings, whatever the user's own are."""
    import matplotlib

    matplotlib.use("agg")
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.use("agg")
        matplotlib.rcParams.update(cast(Any, RC))
        # A name may hold letters that the font lacks: they are drawn as boxes, and stand in the
        # caption as they are.
        warnings.filterwarnings(
            "ignore", message="There are no gridspecs with layoutgrids"
        )  # of a table's picture
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def check_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """The formats, each once.

    Raises:
        InputError: an unknown one, or none.
    """
    for name in formats:
        if name not in FORMATS:
            raise unknown("format", name, FORMATS)
    if not formats:
        raise InputError(f"--format: give one or more of {', '.join(FORMATS)}")
    return tuple(dict.fromkeys(formats))


def save(drawing: Drawing, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Writes a drawing and its caption; returns the paths, and frees the figure's memory."""
    import matplotlib
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    if drawing.figure is not None:
        # Panels are laid out once, not once for every format. "none" would leave an engine that
        # does nothing, for whose sake every file is drawn twice; None takes it away, where the
        # settings ask for no other.
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
