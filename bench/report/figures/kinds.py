"""All figures by kind, and drawing them: what stored results allow is drawn, the rest is named with the reason."""

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
_WORKERS = 4
MODES: tuple[Mode, ...] = get_args(Mode)

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
    "robustness": "scores under noise, pitch shift, mp3 and lower sample rates, of `bench robustness`",
}
"""Kinds of figures, and what each shows."""

PAPERS: dict[str, str] = {
    "icassp2024": "Fig. 1 (all labels) and Fig. 2 (limited labels) of the ICASSP comparison",
    "clmr": "limited labels and transfer of CLMR",
    "tune": "tables of TUNe",
    "vicreg-thesis": "table of the VICReg thesis",
}
"""Papers whose figures and tables can be drawn."""


@dataclass
class Drawn:
    """What a call of `draw` did.

    Attributes:
        files: that were written.
        skipped: figures that were not drawn, with the reason.
        notes: files of results that were not used.
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
        results: results folder.
        out: where the files go; those of the same name are replaced.
        kinds: keys of `KINDS`.
        papers: keys of `PAPERS`.
        modes: for papers: published numbers alone, ours alone, both.
        formats: of `bench.report.figures.save.FORMATS`.
        home: where embeddings lie; None to leave their map out.

    Raises:
        InputError: an unknown kind, paper or format.
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
    """The parts, with progress on standard error as they come."""
    found = []
    with progress("draw figures", "groups") as report:
        for part in parts:
            found.append(part)
            report(len(found), total, "")
    return found


@dataclass(frozen=True)
class Task:
    """What one process draws.

    Attributes:
        name: of a paper or a kind.
        mode: of a paper; None for a kind.
    """

    name: str
    mode: Mode | None


def _draw(stock: Stock, out: Path, formats: Sequence[str], home: Path | None, task: Task) -> Drawn:
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
                    if (
                        drawing.name in names
                    ):  # of data sets whose names differ in odd letters alone
                        drawing.name = f"{drawing.name}-{len(names) + 1}"
                    names.add(drawing.name)
                    done.files += save(drawing, out, formats)
        except (NotDrawnError, InputError) as error:
            done.skipped.append(f"{name}: {error}")
    done.notes = list(stock.left_out)
    return done


def _paper(stock: Stock, name: str, mode: Mode) -> Iterator[Drawing | NotDrawnError]:
    if name == "icassp2024":
        yield from paper_icassp2024.draw(stock, mode)
    elif name == "clmr":
        yield from paper_clmr.draw(stock, mode)
    else:
        yield from paper_tables.draw(stock, mode, name)


def _kind(stock: Stock, name: str, home: Path | None) -> Iterator[Drawing | NotDrawnError]:
    if not stock.results:
        raise NotDrawnError(f"no results in {stock.folder}")
    if name == "embeddings":
        yield from embeddings.draw(stock, home)
        return
    if name == "robustness":
        yield from robustness.draw(stock)
        return
    functions: dict[str, Callable[[Stock], Iterator[Drawing]]] = {
        "scores": overview.draw_scores,
        "fractions": overview.draw_fractions,
        "training": training.draw,
        "tags": tags.draw,
        "ranks": ranks.draw,
        "cost": cost.draw,
        "variance": variance.draw,
        "label-efficiency": label_efficiency.draw,
    }
    yield from functions[name](stock)
