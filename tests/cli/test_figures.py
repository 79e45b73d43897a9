"""The commands `bench table` and `bench figures`."""

import csv
import io
from pathlib import Path

import pytest
from cyclopts import App

from bench.cli import figures
from bench.core.errors import InputError
from tests.report.odd_names import ODD, write_odd


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_odd(tmp_path_factory.mktemp("stored"))


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
