"""Tables of scores as Markdown, LaTeX, CSV, HTML and terminal text.

Every name is escaped, so that it is printed as it stands.
"""

import csv
import html
import re
from collections.abc import Iterable
from io import StringIO

import numpy as np

from bench.core.table import Table
from bench.report.tables import Number, ScoreTable


def as_markdown(tables: Iterable[ScoreTable]) -> str:
    """The tables in GitHub's Markdown, one below the other."""
    parts = []
    for table in tables:
        lines = [f"### {_md(table.title)}", "", "| " + " | ".join(map(_md, table.columns)) + " |"]
        lines.append(
            "|"
            + "|".join(
                "---" if place < table.words else "---:" for place in range(len(table.columns))
            )
            + "|"
        )
        lines += ["| " + " | ".join(_md_cell(cell) for cell in row) + " |" for row in table.rows]
        parts.append("\n".join([*lines, "", *(f"{_md(note)}\n" for note in table.notes)]))
    return "\n".join(parts)


def _md_cell(cell: str | Number) -> str:
    if isinstance(cell, str):
        return _md(cell)
    text = _md(cell.text)
    return (
        f"**{text}**" if cell.rank == "best" else f"<u>{text}</u>" if cell.rank == "tie" else text
    )


def _md(text: str) -> str:
    text = html.escape(" ".join(text.split()), quote=False)
    for sign in "\\`*_[]|$#~":
        text = text.replace(sign, f"\\{sign}")
    return text


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "±": r"$\pm$", "≈": r"$\approx$",
    "≠": r"$\neq$", "…": r"\ldots{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
}  # fmt: skip


def latex(text: str) -> str:
    """Escapes text so that LaTeX prints it as it stands."""
    escaped = "".join(_LATEX.get(sign, sign) for sign in " ".join(text.split()))
    return re.sub("-(?=-)", "-{}", escaped)  # hyphens in a row would become a dash


def as_latex(tables: Iterable[ScoreTable]) -> str:
    """The tables in LaTeX, for the package booktabs; notes stand in their captions."""
    parts = ["% \\usepackage{booktabs}; \\usepackage[T1]{fontenc} for the quotes"]
    for table in tables:
        aligned = "".join(
            "l" if place < table.words else "r" for place in range(len(table.columns))
        )
        lines = [
            r"\begin{table}",
            r"\centering",
            r"\small",
            rf"\begin{{tabular}}{{{aligned}}}",
            r"\toprule",
        ]
        lines += [" & ".join(map(latex, table.columns)) + r" \\", r"\midrule"]
        lines += [" & ".join(_latex_cell(cell) for cell in row) + r" \\" for row in table.rows]
        caption = " ".join([f"{latex(table.title)}.", *(latex(note) for note in table.notes)])
        lines += [r"\bottomrule", r"\end{tabular}", rf"\caption{{{caption}}}", r"\end{table}"]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _latex_cell(cell: str | Number) -> str:
    if isinstance(cell, str):
        return latex(cell)
    text = latex(cell.text)
    # A bracket at the start of a cell would be read as an option of the line break before it.
    text = f"{{{text}}}" if text.startswith("[") else text
    return (
        rf"\textbf{{{text}}}"
        if cell.rank == "best"
        else rf"\underline{{{text}}}"
        if cell.rank == "tie"
        else text
    )


def as_csv(tables: Iterable[ScoreTable]) -> str:
    """The tables as one CSV, with the title of the table in the first column.

    Each score has a row of its own, with metric, value, interval, rank and p-value in full digits.
    """
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header: list[str] = []
    for table in tables:
        scores = [place for place in range(len(table.columns)) if _is_number(table, place)]
        plain = [place for place in range(len(table.columns)) if place not in scores]
        heading = ["table", *(table.columns[place] for place in plain)]
        heading += ["metric", "value", "low", "high", "rank", "p_to_best"] if scores else []
        if heading != header:
            writer.writerow(heading)
            header = heading
        for row in table.rows:
            words = [table.title, *(str(row[place]) for place in plain)]
            for place in scores:
                number = row[place]
                assert isinstance(number, Number)
                values = [number.value, number.low, number.high]
                numbers = ["" if value is None or np.isnan(value) else value for value in values]
                p_value = "" if np.isnan(number.p_value) else number.p_value
                writer.writerow([*words, table.columns[place], *numbers, number.rank, p_value])
            if not scores:
                writer.writerow(words)
    return text.getvalue()


def _is_number(table: ScoreTable, place: int) -> bool:
    return any(isinstance(row[place], Number) for row in table.rows)


def as_html(tables: Iterable[ScoreTable]) -> str:
    """The tables in HTML, without a page around them."""
    parts = []
    for table in tables:
        lines = ["<table>", f"<caption>{html.escape(table.title)}</caption>", "<thead><tr>"]
        lines += [f'<th scope="col">{html.escape(column)}</th>' for column in table.columns]
        lines += ["</tr></thead>", "<tbody>"]
        for row in table.rows:
            cells = [_html_cell(cell, header=place == 0) for place, cell in enumerate(row)]
            lines.append("<tr>" + "".join(cells) + "</tr>")
        lines += ["</tbody>", "</table>", *(f"<p>{html.escape(note)}</p>" for note in table.notes)]
        parts.append("\n".join(lines))
    return "\n".join(parts) + "\n"


def _html_cell(cell: str | Number, *, header: bool) -> str:
    if isinstance(cell, Number):
        text = html.escape(cell.text)
        inner = (
            f"<strong>{text}</strong>"
            if cell.rank == "best"
            else f"<u>{text}</u>"
            if cell.rank == "tie"
            else text
        )
        return f"<td>{inner}</td>"
    return (
        f'<th scope="row">{html.escape(cell)}</th>' if header else f"<td>{html.escape(cell)}</td>"
    )


def plain(cell: str | Number) -> str:
    """A cell as text for the terminal."""
    if isinstance(cell, str):
        return cell
    return cell.text + {"best": " *", "tie": " ~"}.get(cell.rank, "")


def as_table(table: ScoreTable) -> Table:
    """A table for the terminal: * follows the best score, ~ one that is not told from the best."""
    rows = [[plain(cell) for cell in row] for row in table.rows]
    return Table(table.columns, rows, table.notes, words=table.words)
