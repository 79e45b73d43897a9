"""The folder of a report."""

from pathlib import Path

import pytest

from bench.core.errors import InputError
from bench.report.html.write import write_report
from tests.synthetic_results import write_cells


def test_a_folder_that_is_no_report_is_left_alone(tmp_path):
    write_cells(tmp_path / "results", ("vicreg",), ("midiband",), (1.0,), 1)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"no report \(thesis.tex\)"):
        write_report(tmp_path / "results", mine)
    out = tmp_path / "out"
    write_report(tmp_path / "results", out)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"notes\.txt"):
        write_report(tmp_path / "results", out)
    (out / "notes.txt").unlink()
    (out / "runs" / "stale.html").write_text("of an earlier report")
    write_report(tmp_path / "results", out)
    assert not (out / "runs" / "stale.html").exists()
    for wrong in (tmp_path / "results", tmp_path, mine / "thesis.tex"):
        with pytest.raises(InputError):
            write_report(tmp_path / "results", wrong)
    with pytest.raises(InputError, match="no results folder"):
        write_report(tmp_path / "nowhere", out)
    assert {path.name for path in tmp_path.iterdir()} == {"results", "mine", "out"}


def test_a_report_that_fails_leaves_the_earlier_one(tmp_path, monkeypatch):
    write_cells(tmp_path / "results", ("vicreg",), ("midiband",), (1.0,), 1)
    out = tmp_path / "out"
    write_report(tmp_path / "results", out)
    before = (out / "index.html").read_bytes()
    write, calls = Path.write_bytes, []

    def full(path: Path, content: bytes) -> int:
        calls.append(path)
        if len(calls) == 3:
            raise OSError(28, "No space left on device", str(path))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="no space left"):
        write_report(tmp_path / "results", out)
    assert (out / "index.html").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"results", "out"}
