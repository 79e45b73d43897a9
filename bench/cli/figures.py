"""The commands that draw and print stored results: `bench figures`, `bench table`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from bench.cli.flags import PLACES, Flag, Results
from bench.core.errors import InputError

if TYPE_CHECKING:
    from bench.core.table import Table
    from bench.report.figures.kinds import Drawn
    from bench.report.tables import ScoreTable

EmbeddingsHome = Annotated[
    Path | None,
    Parameter(group=PLACES, help="Where embeddings lie, for their map; left out without it."),
]


def figures(
    *,
    out: Path = Path("figures"),
    paper: str | None = None,
    kind: str | None = None,
    all: Flag = False,
    mode: Literal["published", "ours", "both"] | None = None,
    format: str = "pdf,svg,png",
    home: EmbeddingsHome = None,
    results: Results = Path("results"),
) -> None:
    """Draw figures from stored results alone, each with a caption and its numbers beside it.

    Without --paper and --kind every kind that the stored results allow is drawn, and the others are
    named with the reason. The same results give the same bytes. Published numbers are part of the
    harness and need no results.

    Parameters
    ----------
    out
        Folder for the files; those of the same name are replaced.
    paper
        Figures and tables of published works, several with commas: icassp2024, clmr, tune,
        vicreg-thesis.
    kind
        Kinds of figures, several with commas: scores, fractions, training, tags, ranks, cost,
        variance, label-efficiency, embeddings, robustness.
    all
        Every kind and every paper.
    mode
        Of a paper: published numbers alone, ours alone, or both with every number marked as
        reproduced (=), within the interval (≈), off (≠) or missing (-); all three where it is not
        given.
    format
        pdf, svg, png; several with commas.
    """
    from bench.report.figures.kinds import KINDS, MODES, PAPERS, draw

    if all and (paper or kind):
        raise InputError("--all draws every kind and every paper: leave --paper and --kind out")
    kinds, papers = _names(kind), _names(paper)
    if all or not (kinds or papers):
        kinds = list(KINDS)
        papers = list(PAPERS) if all else []
    if mode and not papers:
        raise InputError(f"--mode {mode} belongs to a paper: give --paper as well")
    modes = (mode,) if mode else MODES
    done = draw(
        results, out, kinds=kinds, papers=papers, modes=modes, formats=_names(format), home=home
    )
    _print_drawn(done, out, results)


def _print_drawn(done: "Drawn", out: Path, results: Path) -> None:
    """Prints the files that were drawn, and says what was not and why.

    Raises:
        InputError: nothing was drawn.
    """
    from bench.core.progress import say

    for line in done.notes:
        say(f"left out: {line}")
    if not done.files:
        reasons = "; ".join(dict.fromkeys(line.partition(": ")[2] for line in done.skipped))
        raise InputError(
            f"nothing to draw from {results}: {reasons}; published numbers need no results: "
            "--paper icassp2024 --mode published"
        )
    for line in done.skipped:
        say(f"not drawn: {line}")
    pictures = sum(path.name.endswith(".caption.md") for path in done.files)
    for path in done.files:
        print(path)
    skipped = f", {len(done.skipped)} not drawn" if done.skipped else ""
    say(f"{pictures} figures in {out}{skipped}")


def table(
    *,
    reference: Flag = False,
    paper: str | None = None,
    metric: str | None = None,
    format: Literal["text", "markdown", "latex", "csv", "html"] = "text",
    out: Path | None = None,
    results: Results = Path("results"),
) -> None:
    """Print stored scores with intervals, one table a data set, split and protocol.

    Or published numbers. At each share of the labels the best score is marked, and those that the
    paired test does not tell from it.

    Parameters
    ----------
    reference
        The published numbers that the harness knows, with their sources and how sure they are.
    paper
        Of --reference: one work or several with commas, such as icassp2024.
    metric
        Columns, several with commas, such as map_macro,map_micro; macro mAP and ROC-AUC (and
        accuracy and F1 of classes) where it is not given.
    format
        text for the terminal, markdown, latex (booktabs), csv (full digits) or html.
    out
        A file in place of standard output; not for text.
    """
    from bench.core.progress import say
    from bench.report.figures.paper import published_csv
    from bench.report.reference import of_paper, read_published
    from bench.report.stock import read_stock
    from bench.report.table_formats import as_csv, as_html, as_latex, as_markdown, as_table
    from bench.report.tables import reference_tables, score_tables

    if paper and not reference:
        raise InputError("--paper belongs to --reference: give both")
    if out and format == "text":
        raise InputError("--out: say the file's form with --format markdown, latex, csv or html")
    if reference:
        if metric:
            raise InputError("--metric belongs to stored scores: leave it out with --reference")
        of_papers = [row for name in _names(paper) for row in of_paper(name)]
        rows = of_papers if paper else read_published()
        if format == "csv":  # as the harness keeps them, with every column
            _write(published_csv(rows), out)
            return
        tables = reference_tables(rows)
    else:
        stock = read_stock(results)
        tables = score_tables(stock, _names(metric) or None)
        if format == "csv":  # which has no place for notes in the file
            for line in stock.left_out:
                say(f"left out: {line}")
    if format == "text":
        _print(tables, as_table)
        return
    write = {"markdown": as_markdown, "latex": as_latex, "csv": as_csv, "html": as_html}[format]
    _write(write(tables), out)


def _write(text: str, out: Path | None) -> None:
    """Writes to a file and prints its name, or prints the text."""
    from bench.core.store import require_writable, write_atomically

    if out:
        require_writable(out.parent)
        write_atomically(out, text.encode())
        print(out)
    else:
        print(text, end="")


def _print(tables: "list[ScoreTable]", as_table: "Callable[[ScoreTable], Table]") -> None:
    """Prints tables; a note that several share is printed once, below the last of them."""
    from dataclasses import replace

    from bench.core.table import show

    for number, scores in enumerate(tables):
        later = {note for other in tables[number + 1 :] for note in other.notes}
        print(f"\n{scores.title}" if number else scores.title)
        shown = as_table(scores)
        show(replace(shown, notes=[note for note in shown.notes if note not in later]))


def _names(text: str | None) -> list[str]:
    """Names from a comma list, each once."""
    return list(dict.fromkeys(part.strip() for part in (text or "").split(",") if part.strip()))
