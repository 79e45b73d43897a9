"""How figures look: one colour and marker for each method, sizes of paper columns, embedded fonts.

Colours are those of Okabe and Ito, "Color universal design", 2008 (jfly.uni-koeln.de/color), which
stay apart for readers who see no red or no green (its yellow is left out, since white paper
swallows it); in greyscale and in crowded figures the markers tell methods apart.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bench.report.names import method_of
from bench.report.reference import Published

COLUMN = 3.4
"""Width of one column of a paper, in inches."""
PAGE = 7.0
"""Width of a page of two columns, in inches."""

_BLACK, _ORANGE, _SKY, _GREEN, _BLUE, _RED, _PURPLE = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)
_GREY = "#7F7F7F"
# Colours of methods that this file does not know: the muted scheme of Paul Tol, "Colour schemes",
# SRON technical note, 2021.
_FURTHER = ("#332288", "#882255", "#44AA99", "#999933", "#AA4499", "#117733")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*", "d", "8")

_KNOWN = {
    "simclr": (_BLUE, "o"),
    "clustering": (_ORANGE, "s"),
    "barlow_twins": (_GREEN, "^"),
    "byol": (_PURPLE, "D"),
    "vicreg": (_RED, "v"),
    "supervised": (_BLACK, "P"),
    "mfcc": (_SKY, "X"),
    "random_init": (_GREY, "*"),
}
_TITLES = {
    "simclr": "SimCLR",
    "clustering": "Clustering",
    "barlow_twins": "Barlow Twins",
    "byol": "BYOL",
    "vicreg": "VICReg",
    "supervised": "Supervised",
    "mfcc": "MFCC",
    "random_init": "Random init",
}


@dataclass(frozen=True)
class Style:
    """How a series is drawn.

    Attributes:
        colour: colour of its markers and lines.
        marker: marker in matplotlib's notation.
        line: line style in matplotlib's notation.
    """

    colour: str
    marker: str
    line: str = "-"

    def size(self, points: float) -> float:
        """The size of the marker, in points; larger for a star, which has less ink than others."""
        return 1.4 * points if self.marker == "*" else points


def title(name: str) -> str:
    """The title of a series in figures: that of its method, with what tells it from others."""
    method = method_of(name)
    return " ".join((_TITLES.get(method, method) + name[len(method) :]).split())


def styles(names: Iterable[str]) -> dict[str, Style]:
    """The style of each series: colour and marker of its method, and a line of its own.

    Methods that this file does not know get a colour and marker by a hash of their name. These are
    the same in every figure, unless two such methods meet on one pair; then the later in the
    alphabet takes the next pair that is free.
    """
    names = sorted(set(names))
    methods = sorted({method_of(name) for name in names})
    taken = dict(_KNOWN)
    free = [(colour, marker) for marker in _MARKERS for colour in _FURTHER]
    for method in methods:
        if method not in taken:
            start = int(hashlib.sha256(method.encode()).hexdigest(), 16) % len(free)
            order = [*free[start:], *free[:start]]
            # With more new methods than there are pairs, pairs are used again.
            taken[method] = next((pair for pair in order if pair not in taken.values()), order[0])
    looks = {}
    for method in methods:
        for number, name in enumerate(name for name in names if method_of(name) == method):
            looks[name] = Style(*taken[method], ("-", "--", ":", "-.")[number % 4])
    return looks


def published_series(row: Published) -> str:
    """The series that a published number belongs to: our name of the method where there is one."""
    return row.method or row.published_as


RC: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "mathtext.fontset": "dejavusans",
    "text.parse_math": False,  # names may hold dollars
    "font.size": 7,
    "axes.labelsize": 7,
    "axes.titlesize": 7.5,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.linewidth": 0.4,
    "grid.color": "#E0E0E0",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.1,
    "lines.markersize": 4,
    "figure.dpi": 100,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,  # TrueType, embedded
    "ps.fonttype": 42,
    "svg.fonttype": "path",  # outlines: the same everywhere
    "svg.hashsalt": "bench",  # ids in the file are the same every time
    "path.simplify": True,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
}
"""Settings of matplotlib for every figure."""
