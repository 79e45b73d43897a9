"""The gallery in docs shows every kind of figure under the names that are drawn."""

import re
from pathlib import Path

from bench.report.figures.kinds import KINDS, PAPERS, draw
from tests.report.figures.cells import TAGS
from tests.synthetic_results import write_cells, write_degraded


def test_the_gallery_shows_every_kind_and_paper_once():
    text = (Path(__file__).resolve().parents[3] / "docs" / "gallery.md").read_text()
    headings = re.findall(r"^### (\S+)$", text, re.MULTILINE)
    assert sorted(headings) == sorted([*KINDS, *PAPERS])
    for name in KINDS:
        assert text.count(f"--kind {name} ") == 1
    for name in PAPERS:
        assert text.count(f"bench figures --paper {name} ") == 1


def test_the_gallerys_pictures_have_the_names_that_are_drawn(drawn, tmp_path):
    """The pictures of a `quick` comparison on midiband are where the page looks for them."""
    write_cells(tmp_path, ["simclr", "random_init"], ["midiband"], draws=2, resamples=30, tags=TAGS)
    write_degraded(tmp_path)
    kinds = [
        "scores",
        "fractions",
        "training",
        "tags",
        "cost",
        "variance",
        "label-efficiency",
        "robustness",
    ]
    done = draw(tmp_path, tmp_path / "out", kinds=kinds, formats=("svg",))
    text = (Path(__file__).resolve().parents[3] / "docs" / "gallery.md").read_text()
    shown = set(re.findall(r"results/figures/(\S+)\.png", text))
    assert len(shown) > 15
    # The names of papers' figures do not depend on what is stored.
    assert shown <= {path.stem for path in [*done.files, *drawn[1].files] if path.suffix == ".svg"}
