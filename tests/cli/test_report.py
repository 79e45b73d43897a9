"""The command `bench report`."""

import pytest
from cyclopts import App

from bench.cli.report import report as report_command
from tests.synthetic_results import spoil, write_cells


def test_the_command(tmp_path, capsys):
    write_cells(tmp_path / "results", ("vicreg",), ("midiband",), (1.0,), 1)
    spoil(tmp_path / "results")
    app = App()
    app.command(report_command)
    with pytest.raises(SystemExit, match="0"):
        app(["report", "--out", str(tmp_path / "out"), "--results", str(tmp_path / "results")])
    out, err = capsys.readouterr()
    assert "index.html: 1 runs" in out
    assert "3 files left out" in out
    assert err.count("left out: runs/") == 3
