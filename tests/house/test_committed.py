"""The project's own results: whole, and what the committed figures show."""

import re
from pathlib import Path

import numpy as np
import pytest

import bench
from bench.report.figures.kinds import KINDS, PAPERS, draw
from bench.results import read_all

ROOT = Path(bench.__file__).resolve().parent.parent
RESULTS, FIGURES = ROOT / "results/quick", ROOT / "results/figures"


def test_the_comparison_is_whole():
    results, left_out = read_all(RESULTS)
    assert not left_out
    cells: dict[str, set[tuple[int, float, int]]] = {}
    for result in results:
        spec = result.spec
        cells.setdefault(spec.method.name, set()).add((spec.seed, spec.fraction, spec.draw))
    methods = {
        "random_init",
        "mfcc",
        "simclr",
        "byol",
        "barlow_twins",
        "vicreg",
        "clustering",
        "supervised",
    }
    assert set(cells) == methods
    for method, found in cells.items():
        assert {seed for seed, _, _ in found} == {0, 1, 2}, method
        assert {fraction for _, fraction, _ in found} == {0.01, 0.05, 0.1, 0.2, 1.0}, method
    assert len({result.data["hash"] for result in results}) == 1


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    out = tmp_path_factory.mktemp("figures")
    draw(RESULTS, out, kinds=list(KINDS), papers=list(PAPERS), formats=("png",))
    return out


def test_committed_figures_show_the_committed_results(drawn):
    names = {path.name for path in drawn.iterdir()}
    committed = {path.name for path in FIGURES.iterdir() if path.name != "scores.md"}
    assert names == committed, "make figures"
    for name in sorted(names):
        if not name.endswith(".png"):
            assert (drawn / name).read_bytes() == (FIGURES / name).read_bytes(), (
                f"{name}: make figures"
            )


def test_committed_pictures_look_alike(drawn):
    """Not the same bytes: another version of matplotlib moves a pixel."""
    from matplotlib.image import imread

    for path in sorted(drawn.glob("*.png")):
        mine, theirs = imread(path), imread(FIGURES / path.name)
        assert np.abs(np.array(mine.shape[:2]) - theirs.shape[:2]).max() <= 4, (
            f"{path.name}: make figures"
        )
        height, width = np.minimum(mine.shape[:2], theirs.shape[:2])
        difference = np.abs(mine[:height, :width] - theirs[:height, :width]).mean()
        assert difference < 0.03, f"{path.name} differs by {difference:.3f} of 1: make figures"


def test_the_gallery_shows_what_is_there():
    pictures = re.findall(
        r"\]\(\.\./results/figures/([^)]+\.png)\)", (ROOT / "docs/gallery.md").read_text("utf-8")
    )
    assert pictures
    assert not [name for name in pictures if not (FIGURES / name).is_file()]
