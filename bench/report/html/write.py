"""Writes the report: all files are made in memory, and then written as one folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from bench.core.progress import progress
from bench.report.html import downloads, render
from bench.report.html.board import Board, board, listed
from bench.report.html.collect import Arena, Collected, Run, arenas, collect, same_score
from bench.report.html.comparing import (
    ALPHA,
    METRICS,
    Compared,
    compare_stratum,
    permutations_for,
    ranks,
)
from bench.report.html.comparison_page import Part, parts, stratum_title
from bench.report.html.overview import PROTOCOL, counts, protocols, states
from bench.report.html.place import require_place, write_folder
from bench.report.html.run_page import run_page
from bench.report.html.strata import Stratum, strata
from bench.report.html.words import downloads_in_words, heading, lead, selects

LIMIT = 250
"""Rows of a long table that are shown at first.

A browser takes its time to lay out many; the others are shown at a click.
"""
MOST_BYTES = 30_000_000
"""The most bytes of a report.

Where it would take more, what the results folder holds as well is left out, and the first page says
so.
"""
_ROOM = 500_000  # bytes kept for the first page, which is made last: it says how large others are
Files = dict[str, bytes]
"""Name in the folder -> content."""


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        index: path of the first page.
        runs: number of pages of runs.
        left_out: a line for each file of the results folder that could not be shown.
        size: size of the folder, in bytes.
    """

    index: Path
    runs: int
    left_out: list[str]
    size: int


@dataclass(frozen=True)
class Content:
    """Everything that pages are made of.

    Attributes:
        collected: what was read from the results folder.
        arenas: the counted runs of each arena.
        strata: every stratum.
        compared: every comparison, for each stratum and metric.
        permutations: number of permutations of each test.
    """

    collected: Collected
    arenas: dict[Arena, list[Run]]
    strata: list[Stratum]
    compared: list[Compared]
    permutations: int


def write_report(results: Path, out: Path, permutations: int = 10_000) -> Written:
    """Writes the report of a results folder; the same bytes for the same results.

    Args:
        results: the results folder.
        out: the folder to write; must be missing, empty, or an earlier report, which is replaced.
        permutations: the most permutations of each test.

    Raises:
        InputError: there is no such results folder, or the target is not a report or cannot be
            written.
    """
    require_place(results, out)
    content = _read(results, permutations)
    made = _files(content)
    write_folder(out, made)
    left_out = [f"{file.file}: {file.reason}" for file in content.collected.left_out]
    return Written(
        out / "index.html", len(content.collected.runs), left_out, sum(map(len, made.values()))
    )


def _read(results: Path, permutations: int) -> Content:
    """Reads the results, puts runs together and compares them."""
    with progress("read results", "runs") as report:
        collected = collect(results, report)
    by_arena = arenas(collected.runs)
    every: list[Stratum] = []
    with progress("put runs together", "data sets and splits") as report:
        for number, (arena, runs) in enumerate(by_arena.items(), 1):
            every += strata(arena, runs)
            report(number, len(by_arena))
    several = permutations_for(every, permutations)
    compared: list[Compared] = []
    with progress("compare", "tests") as report:
        for stratum in every:
            compared += [compare_stratum(stratum, metric, several) for metric in METRICS]
            report(len(compared), len(METRICS) * len(every))
    return Content(collected, by_arena, every, compared, several)


def _files(content: Content) -> Files:
    """Every file of the report, by its name in the folder."""
    runs = content.collected.runs
    leaders = board(content.strata, content.compared)
    made = {f"assets/{name}": _asset(name) for name in ("report.css", "report.js")}
    made["runs.html"] = _runs_page(runs, leaders)
    made |= _comparison_pages(content)
    if runs:
        made |= {
            "leaderboard.csv": downloads.leaderboard_csv(leaders),
            "runs.csv": downloads.runs_csv(runs),
        }
        made["comparisons.csv"] = downloads.comparisons_csv(content.compared)
    copies = {f"runs/{run.page}.json": downloads.small_json(run.result) for run in runs}
    pages = _run_pages(content, lean=False)
    left_out = ""
    if _size(made, copies, pages) < MOST_BYTES:
        made |= copies
    else:
        left_out = "the JSON of each run"
        pages = {name: _without_json(page) for name, page in pages.items()}
    if _size(made, pages) > MOST_BYTES:
        left_out = (
            "the JSON of each run, the grids of the probes and the finer points of the curves"
        )
        pages = {name: _without_json(page) for name, page in _run_pages(content, lean=True).items()}
    made["index.html"] = _index(content, leaders, made, left_out)
    return made | pages


def _size(*several: Files) -> int:
    """Bytes of all files, with room for the first page."""
    return sum(len(content) for files in several for content in files.values()) + _ROOM


def _without_json(page: bytes) -> bytes:
    """A run's page without the link to its JSON."""
    # The link is the only paragraph of its class.
    before, _, rest = page.partition(b'<p class="json">')
    return before + rest.partition(b"</p>")[2].lstrip()


def _asset(name: str) -> bytes:
    """A style sheet or script of this package."""
    return (package_files("bench.report.html") / "assets" / name).read_bytes()


def _index(content: Content, leaders: Board, made: Files, left_out: str) -> bytes:
    """The first page.

    Args:
        content: what pages are made of.
        leaders: the leaderboard.
        made: the other files.
        left_out: what was left out to save room, in words; may be empty.
    """
    collected = content.collected
    return render.page(
        "index.html",
        root="",
        here="index",
        heading_text=heading(collected.runs),
        lead=lead(collected, content.arenas),
        counts=counts(content.arenas),
        states=states(collected),
        board=leaders,
        tracks={
            arena: runs[0].result.data["test_tracks"] for arena, runs in content.arenas.items()
        },
        selects=selects([run for run in collected.runs if run.counted]),
        several_labels=len({stratum.labels for stratum in content.strata}) > 1,
        limit=LIMIT,
        alpha=ALPHA,
        protocols=protocols(content.arenas),
        left_out=collected.left_out,
        files=collected.files,
        downloads=downloads_in_words(made),
        json_note=_json_note(bool(collected.runs), left_out),
    )


def _json_note(any_run: bool, left_out: str) -> str:
    """Where the JSON of runs is found."""
    if not any_run:
        return ""
    whole = "The whole results are in the results folder."
    if not left_out:
        return f"Each run's page has the JSON of that run. {whole}"
    return f"Left out, to keep the report below {MOST_BYTES / 1e6:.0f} MB: {left_out}. {whole}"


def _runs_page(runs: Sequence[Run], leaders: Board) -> bytes:
    """The page with the list of all runs."""
    rows = listed(runs, leaders.metrics)
    states_of = sorted({row.state for row in rows})
    choices = [*selects(runs), ("state", "State", [(state, state) for state in states_of])]
    return render.page(
        "runs.html",
        root="",
        here="runs",
        rows=rows,
        metrics=leaders.metrics,
        selects=choices,
        limit=LIMIT,
    )


def _comparison_pages(content: Content) -> Files:
    """A page of comparisons for each arena, and the page that lists them."""
    by_arena: dict[Arena, list[Part]] = {}
    for arena in content.arenas:
        comparisons = [compared for compared in content.compared if compared.stratum.arena == arena]
        by_arena[arena] = parts(comparisons)
    made = {
        f"comparisons/{arena.page}.html": render.page(
            "comparison.html",
            root="../",
            here="comparisons",
            arena=arena,
            parts=comparisons,
            permutations=content.permutations,
            alpha=ALPHA,
        )
        for arena, comparisons in by_arena.items()
    }
    tables = [
        (f"{render.metric_title(metric)}, {stratum_title(stratum)}", table)
        for metric in METRICS
        for stratum, table in ranks(content.strata, metric)
    ]
    made["comparisons.html"] = render.page(
        "comparisons.html", root="", here="comparisons", arenas=by_arena, ranks=tables
    )
    return made


def _run_pages(content: Content, lean: bool) -> Files:
    """A page for each run; see `bench.report.html.run_page.run_page` for lean ones."""
    arena_of = {run.page: arena for arena, runs in content.arenas.items() for run in runs}
    runs = content.collected.runs
    made: Files = {}
    with progress("write pages", "pages") as report:
        for number, run in enumerate(runs, 1):
            shared: dict[str, Any] = {"root": "../", "here": "", "names": PROTOCOL}
            made[f"runs/{run.page}.html"] = render.page(
                "run.html",
                page=run_page(
                    run, lean, content.collected.degraded.get(same_score(run.result), ())
                ),
                arena=arena_of.get(run.page),
                **shared,
            )
            report(number, len(runs))
    return made
