"""Files of figures: the same bytes twice, embedded fonts."""

import subprocess
import sys

from bench.report.figures.kinds import draw


def test_the_same_results_give_the_same_bytes(stored, drawn, tmp_path):
    """In this process a second time, and in another one in every format."""
    folder, _ = drawn
    again = draw(stored, tmp_path / "svg", kinds=["scores", "tags"], formats=("svg",))
    for path in again.files:
        assert path.read_bytes() == (folder / path.name).read_bytes(), path.name
    code = (
        "import sys; from pathlib import Path; from bench.report.figures.kinds import draw; "
        "draw(Path(sys.argv[1]), Path(sys.argv[2]), kinds=['ranks'])"
    )
    subprocess.run([sys.executable, "-c", code, str(stored), str(tmp_path / "other")], check=True)
    here = draw(stored, tmp_path / "here", kinds=["ranks"])
    assert {path.suffix for path in here.files} >= {".pdf", ".svg", ".png"}
    for path in here.files:
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes(), path.name


def test_fonts_are_embedded_and_letters_are_no_text_elements(stored, drawn, tmp_path):
    draw(
        stored,
        tmp_path,
        kinds=["scores"],
        papers=["vicreg-thesis"],
        modes=("both",),
        formats=("pdf",),
    )
    folder, _ = drawn
    paths = list(tmp_path.glob("*.pdf"))
    assert len(paths) == 2
    for path in paths:
        content = path.read_bytes()
        assert b"/FontFile2" in content, path.name
        assert b"/Type3" not in content, path.name
        assert b"CreationDate" not in content
    for path in folder.glob("*.svg"):
        content = path.read_text()
        assert "<text" not in content
        assert "<dc:date>" not in content
