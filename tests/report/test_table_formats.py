"""Tables in every form print every name as it stands."""

import csv
import html.parser
import io
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bench.report.reference import of_paper
from bench.report.stock import read_stock
from bench.report.table_formats import as_csv, as_html, as_latex, as_markdown, as_table, latex
from bench.report.tables import reference_tables, score_tables
from tests.report.odd_names import ODD, write_odd


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_odd(tmp_path_factory.mktemp("stored"))


class Texts(html.parser.HTMLParser):
    """What a browser would show of a table, and the elements that it would build."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_every_form_prints_odd_names_as_they_stand(stored):
    tables = score_tables(read_stock(stored))
    page = Texts()
    page.feed(as_html(tables))
    assert ODD in page.texts
    assert "script" not in page.tags
    assert page.tags >= {"table", "caption", "th", "td", "strong"}
    text = as_markdown(tables)
    assert "<script>" not in text
    assert "&lt;script&gt;alert('&amp;')\\_%\\$x^2\\$\\\\{}\\#\\~\\|" in text
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert (
        len({len(re.findall(r"(?<!\\)\|", line)) for line in lines if "Accuracy" not in line}) <= 2
    )
    rows = list(csv.reader(io.StringIO(as_csv(tables))))
    assert {len(row) for row in rows} == {11}
    assert ODD in {row[1] for row in rows}
    assert all(0 <= float(row[6]) <= 1 for row in rows[1:])
    body = as_latex(tables)
    for sign in (
        "\\&",
        "\\%",
        "\\_",
        "\\$",
        "\\textless{}script\\textgreater{}",
        "\\textbackslash{}",
        "\\{\\}",
        "\\#",
    ):
        assert sign in body
    assert body.count("\\toprule") == body.count("\\bottomrule") == 3
    assert "\\textbf{" in body
    assert as_table(tables[0]).rows[0][4].endswith((" *", " ~", "]"))


def test_latex_escapes_everything_that_it_would_read():
    assert latex("a_b & 50% $x$ #1 {y} ~ ^ \\ <z>") == (
        r"a\_b \& 50\% \$x\$ \#1 \{y\} \textasciitilde{} \textasciicircum{} \textbackslash{} "
        r"\textless{}z\textgreater{}"
    )


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no TeX here: pdflatex not found")
def test_tex_sets_every_table(stored, tmp_path):
    tables = [*score_tables(read_stock(stored)), *reference_tables(of_paper("icassp2024"))]
    before = (
        "\\documentclass{article}\n\\usepackage{booktabs}\n\\usepackage[T1]{fontenc}\n"
        "\\begin{document}\n"
    )
    (tmp_path / "tables.tex").write_text(before + as_latex(tables) + "\\end{document}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False
    )
    assert not done.returncode, done.stdout[-2000:]
    assert "Missing character" not in (tmp_path / "tables.log").read_text(errors="replace")
