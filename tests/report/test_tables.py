"""Tables: intervals and ranks as the tests say, splits apart, every name printed as it stands."""

import csv
import html.parser
import io
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cyclopts import App

from bench import results
from bench.cli import figures
from bench.core.errors import InputError
from bench.report.compare import compare
from bench.report.comparison import Entry
from bench.report.reference import of_paper
from bench.report.setting import settings
from bench.report.stock import read_stock
from bench.report.table_formats import as_csv, as_html, as_latex, as_markdown, as_table, latex
from bench.report.tables import ALPHA, Number, reference_tables, score_tables
from bench.statistics.multiple import holm
from tests.synthetic_results import spoil, write_cells

ODD = "<script>alert('&')_%$x^2$\\{}#~|"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    write_cells(
        folder, ["simclr", "vicreg", "byol", ODD], ["magnatagatune", "magnatagatune:pons", "gtzan"]
    )
    return folder


def test_splits_never_share_a_table(stored):
    tables = score_tables(read_stock(stored))
    assert [table.title.partition(":")[0] for table in tables] == [
        "gtzan (fault-filtered)", "magnatagatune (lee)", "magnatagatune (pons)",
    ]  # fmt: skip
    for table in tables:
        assert len(table.rows) == 8  # four methods at two shares
        assert any(
            "80 test tracks" in note and table.title.partition(" ")[0] in note
            for note in table.notes
        )
        assert any("resamples of tracks, 95%" in note for note in table.notes)
    assert tables[0].columns[-2:] == ["Accuracy", "F1 (macro)"]


def test_numbers_are_the_stored_ones_and_ties_those_of_the_paired_test(stored):
    stock = read_stock(stored)
    table = score_tables(stock)[1]
    numbers = {(row[0], row[1]): row[4] for row in table.rows}
    cells = {
        name: [r for r in stock.results if r.dataset == "magnatagatune" and r.data["split"] == "lee"
               and r.spec.fraction == 1.0 and r.spec.method.name == name]
        for name in ("simclr", "vicreg", "byol", ODD)
    }  # fmt: skip
    for name, (cell,) in cells.items():
        number, metric = numbers[name, "100%"], cell.metrics["map_macro"]
        assert isinstance(number, Number)
        assert (number.value, number.low, number.high) == (metric.value, metric.low, metric.high)
    best = max(cells, key=lambda name: cells[name][0].metrics["map_macro"].value)
    others = [name for name in cells if name != best]
    path = {name: results.path_of(stored, cells[name][0]) for name in cells}
    p_values = [
        compare(
            [Entry("1", tuple(cells[best]), (path[best],)), Entry("2", tuple(cells[name]), (path[name],))], "map_macro",
            permutations=2000,
        ).pairs[0].p_value
        for name in others
    ]  # fmt: skip
    for name, p_value in zip(others, holm(np.array(p_values)), strict=True):
        assert numbers[name, "100%"].rank == ("tie" if p_value >= ALPHA else "")
        assert numbers[name, "100%"].p_value == pytest.approx(p_value)
    assert numbers[best, "100%"].rank == "best"
    assert (
        sum(number.rank == "best" for (_, share), number in numbers.items() if share == "10%") == 1
    )


def test_a_missing_cell_is_a_row_of_dashes(tmp_path):
    paths = write_cells(tmp_path, ["simclr", "vicreg"], draws=1, resamples=30)
    next(path for path in paths if "vicreg" in path.name and "-f0.1-" in path.name).unlink()
    spoil(tmp_path)
    (table,) = score_tables(read_stock(tmp_path))
    row = next(row for row in table.rows if row[:2] == ["vicreg", "10%"])
    assert row[2:4] == ["0", "0"]
    assert [cell.text for cell in row[4:]] == ["-", "-"]
    (note,) = [note for note in table.notes if note.startswith("Left out (3)")]
    assert "schema 1" in note
    assert "no whole JSON" in note


def test_cells_without_resamples_have_no_interval_and_no_test(tmp_path):
    write_cells(tmp_path, ["simclr", "vicreg"], fractions=(1.0,), resamples=0)
    (table,) = score_tables(read_stock(tmp_path))
    assert all(re.fullmatch(r"0\.\d{3}", row[4].text) for row in table.rows)


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
    before = "\\documentclass{article}\n\\usepackage{booktabs}\n\\usepackage[T1]{fontenc}\n\\begin{document}\n"
    (tmp_path / "tables.tex").write_text(before + as_latex(tables) + "\\end{document}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False
    )
    assert not done.returncode, done.stdout[-2000:]
    assert "Missing character" not in (tmp_path / "tables.log").read_text(errors="replace")


def test_published_numbers_keep_their_test_sets_apart():
    tables = reference_tables(of_paper("icassp2024"))
    assert len(tables) == 5
    assert "MTAT, split lee" in tables[1].title
    row = next(row for row in tables[1].rows if row[:2] == ["Fig. 1", "contrastive"])
    assert "0.4303 ± 0.0051" in row
    assert any("poster Fig.1" in note for note in tables[1].notes)
    assert any("measured: from the coordinates" in note for note in tables[1].notes)


def test_settings_keep_probes_apart(tmp_path):
    write_cells(
        tmp_path,
        ["simclr", "supervised", "mfcc"],
        fractions=(1.0,),
        probes=("linear", "mlp"),
        resamples=20,
    )
    stock = read_stock(tmp_path)
    assert [setting.probe for setting in settings(stock.results)] == ["linear", "mlp"]
    first, second = score_tables(stock)
    assert "probe linear" in first.title
    assert "probe mlp" in second.title
    assert {row[0] for row in first.rows} == {"simclr", "supervised", "mfcc"}


@pytest.fixture
def app() -> App:
    app = App()
    app.command(figures.figures)
    app.command(figures.table)
    return app


def call(app: App, *arguments: object) -> None:
    app(
        [str(one) for one in arguments],
        exit_on_error=False,
        print_error=False,
        result_action="return_value",
    )


def test_commands_write_and_print(app, stored, tmp_path, capsys):
    call(app, "table", "--results", stored)
    said = capsys.readouterr().out
    assert (
        said.index("gtzan (fault-filtered)")
        < said.index("magnatagatune (lee)")
        < said.index("magnatagatune (pons)")
    )
    assert ODD in said
    call(
        app,
        "table",
        "--results",
        stored,
        "--format",
        "latex",
        "--out",
        tmp_path / "made" / "table.tex",
    )
    assert "\\toprule" in (tmp_path / "made" / "table.tex").read_text()
    assert capsys.readouterr().out.strip().endswith("table.tex")
    call(app, "table", "--reference", "--paper", "tune", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 52
    assert rows[0]["paper"] == "tune"
    out = tmp_path / "figures"
    call(
        app,
        "figures",
        "--paper",
        "icassp2024",
        "--mode",
        "published",
        "--format",
        "svg",
        "--out",
        out,
    )
    assert {path.name for path in out.iterdir()} == {
        f"icassp2024-fig{number}-published.{ending}"
        for number in (1, 2)
        for ending in ("svg", "caption.md", "published.csv")
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("table", "--paper", "tune"), "--paper belongs to --reference"),
        (("table", "--out", "x.txt"), "say the file's form"),
        (("table", "--reference", "--paper", "tunes"), "did you mean 'tune'"),
        (("table", "--results", "none"), "no results in none"),
        (("table", "--reference", "--metric", "map_macro"), "--metric belongs to stored scores"),
        (("table", "--results", "STORED", "--metric", "map_makro"), "did you mean 'map_macro'"),
        (("figures", "--kind", "score"), "did you mean 'scores'"),
        (("figures", "--paper", "deezer"), "unknown paper 'deezer'"),
        (("figures", "--mode", "ours"), "--mode ours belongs to a paper"),
        (("figures", "--all", "--kind", "scores"), "--all draws every kind"),
        (("figures", "--format", "gif"), "unknown format 'gif'"),
        (("figures", "--results", "none"), "nothing to draw from none"),
    ],
)
def test_what_cannot_be_is_one_line(app, stored, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as error:
        call(app, *(stored if one == "STORED" else one for one in arguments))
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())
