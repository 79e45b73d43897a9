"""All kinds of figures: draws what stored results allow, and names the rest with the reason."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import get_args

from bench.core.errors import InputError, unknown
from bench.core.progress import progress
from bench.report.figures import (
    cost,
    embeddings,
    label_efficiency,
    overview,
    paper_clmr,
    paper_icassp2024,
    paper_tables,
    ranks,
    robustness,
    tags,
    training,
    variance,
)
from bench.report.figures.paper import Mode
from bench.report.figures.save import Drawing, NotDrawnError, check_formats, drawing_settings, save
from bench.report.stock import Stock, read_stock

_MANY = 200  # cells, from which on several processes draw
_WORKERS = 4  # processes, at most
MODES: tuple[Mode, ...] = get_args(Mode)
"""The modes of papers' figures."""

KINDS: dict[str, str] = {
    "scores": "scores at all labels: strips of bootstrap dots, a panel a data set",
    "fractions": "limited-data curves: mean and range over draws, a panel a data set",
    "training": "training curves with their terms, and diagnostics of collapse",
    "tags": "scores tag by tag, and differences to a reference",
    "ranks": "critical-difference diagram over data sets",
    "cost": "quality against hours, parameters and tracks drawn",
    "variance": "shares of variance: pretraining seed, label draw, probe seed, test sample",
    "label-efficiency": "labels that a method needs to match another with all of them",
    "embeddings": "map of embeddings; they lie in home, so that --home is needed",
    "robustness": (
        "scores under noise, pitch shift, mp3 and lower sample rates, of `bench robustness`"
    ),
}
"""Kind of figure -> what it shows."""

PAPERS: dict[str, str] = {
    "icassp2024": "Fig. 1 (all labels) and Fig. 2 (limited labels) of the ICASSP comparison",
    "clmr": "limited labels and transfer of CLMR",
    "tune": "tables of TUNe",
    "vicreg-thesis": "table of the VICReg thesis",
}
"""Short name of a paper -> which of its figures and tables can be drawn."""


@dataclass
class Drawn:
    """What a call of `draw` did.

    Attributes:
        files: paths of the written files.
        skipped: a line for each figure that was not drawn, with the reason.
        notes: a line for each file of results that was not used.
    """

    files: list[Path] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def draw(
    results: Path,
    out: Path,
    *,
    kinds: Sequence[str] = (),
    papers: Sequence[str] = (),
    modes: Sequence[Mode] = MODES,
    formats: Sequence[str] = ("pdf", "svg", "png"),
    home: Path | None = None,
) -> Drawn:
    """Draws figures into a folder.

    Args:
        results: the results folder.
        out: the folder for the files; files of the same name are replaced.
        kinds: keys of `KINDS`.
        papers: keys of `PAPERS`.
        modes: what papers' figures show; of `MODES`.
        formats: endings of the files; of `bench.report.figures.save.FORMATS`.
        home: where embeddings lie; None to leave their map out.

    Raises:
        InputError: there is no such kind, paper or format.
    """
    for name in kinds:
        if name not in KINDS:
            raise unknown("kind of figure", name, KINDS)
    for name in papers:
        if name not in PAPERS:
            raise unknown("paper", name, PAPERS)
    formats = check_formats(formats)
    stock = read_stock(results)
    tasks = [Task(name, mode) for name in papers for mode in modes] + [
        Task(name, None) for name in kinds
    ]
    call = partial(_draw, stock, out, formats, home)
    if (
        len(stock.results) >= _MANY
        and len(tasks) > 1
        and "torch" not in sys.modules
        and hasattr(os, "fork")
    ):
        # Children share what was read. Where torch runs its threads, a fork may hang.
        workers = min(_WORKERS, os.cpu_count() or 1, len(tasks))
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("fork")) as pool:
            parts = _followed(pool.map(call, tasks), len(tasks))
    else:
        parts = _followed(map(call, tasks), len(tasks))
    return Drawn(
        [path for part in parts for path in part.files],
        [line for part in parts for line in part.skipped],
        sorted({line for part in parts for line in part.notes}),
    )


def _followed(parts: Iterator[Drawn], total: int) -> list[Drawn]:
    """Waits for all parts, and shows progress on standard error as they come."""
    done = []
    with progress("draw figures", "groups") as report:
        for part in parts:
            done.append(part)
            report(len(done), total, "")
    return done


@dataclass(frozen=True)
class Task:
    """A group of figures that one process draws.

    Attributes:
        name: a key of `PAPERS` or `KINDS`.
        mode: mode of the paper's figures; None for a kind.
    """

    name: str
    mode: Mode | None


def _draw(stock: Stock, out: Path, formats: Sequence[str], home: Path | None, task: Task) -> Drawn:
    """Draws and saves the figures of one task."""
    done = Drawn()
    names: set[str] = set()
    name = task.name if task.mode is None else f"{task.name}, {task.mode}"
    with drawing_settings():
        try:
            drawings = (
                _kind(stock, task.name, home)
                if task.mode is None
                else _paper(stock, task.name, task.mode)
            )
            for drawing in drawings:
                if isinstance(drawing, NotDrawnError):
                    done.skipped.append(str(drawing))
                else:
                    # Names of data sets may differ only in letters that no file name has.
                    if drawing.name in names:
                        drawing.name = f"{drawing.name}-{len(names) + 1}"
                    names.add(drawing.name)
                    done.files += save(drawing, out, formats)
        except (NotDrawnError, InputError) as error:
            done.skipped.append(f"{name}: {error}")
    done.notes = list(stock.left_out)
    return done


def _paper(stock: Stock, name: str, mode: Mode) -> Iterator[Drawing | NotDrawnError]:
    """The figures of a paper, or reasons why one is not drawn."""
    if name == "icassp2024":
        yield from paper_icassp2024.draw(stock, mode)
    elif name == "clmr":
        yield from paper_clmr.draw(stock, mode)
    else:
        yield from paper_tables.draw(stock, mode, name)


def _kind(stock: Stock, name: str, home: Path | None) -> Iterator[Drawing | NotDrawnError]:
    """The figures of a kind, or reasons why one is not drawn."""
    if not stock.results:
        raise NotDrawnError(f"no results in {stock.folder}")
    if name == "embeddings":
        yield from embeddings.draw(stock, home)
        return
    functions: dict[str, Callable[[Stock], Iterator[Drawing | NotDrawnError]]] = {
        "scores": overview.draw_scores,
        "fractions": overview.draw_fractions,
        "training": training.draw,
        "tags": tags.draw,
        "ranks": ranks.draw,
        "cost": cost.draw,
        "variance": variance.draw,
        "label-efficiency": label_efficiency.draw,
        "robustness": robustness.draw,
    }
    yield from functions[name](stock)
