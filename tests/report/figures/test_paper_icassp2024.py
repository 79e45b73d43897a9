"""The figures of the ICASSP comparison: marks at their numbers, captions."""

import re
import shutil
from pathlib import Path
from typing import Any

from bench import results
from bench.report.figures import paper_icassp2024
from bench.report.figures.kinds import draw
from bench.report.figures.paper import Mode
from bench.report.figures.save import drawing_settings
from bench.report.reference import of_paper
from bench.report.stock import read_stock
from tests.report.altered import set_score
from tests.report.figures.cells import METHODS


def test_captions_say_data_split_probe_resamples_seeds_and_commit(drawn):
    folder, _ = drawn
    caption = (folder / "icassp2024-fig1-both.caption.md").read_text()
    for words in (
        "magnatagatune (lee)",
        "80 test tracks",
        "probe mlp",
        "60 resamples",
        "seeds 0, 1",
        "commit 0000000",
    ):
        assert words in caption
    for words in (
        "Marks: = reproduced",
        "within",
        "off",
        "missing",
        "tolerance 0.0005",
        "poster Fig.1",
    ):
        assert words in caption
    assert "Other" not in caption.split("Known reasons")[0]
    assert "other data set: MSD100 is none of those here (10)" in caption


def lines_of(stock_folder: Path, mode: Mode, number: int) -> dict[str, Any]:
    """The marks of Fig. 1 or 2 by their ids."""
    with drawing_settings():
        figure = list(paper_icassp2024.draw(read_stock(stock_folder), mode))[number].figure
        return {
            line.get_gid(): line
            for axes in figure.axes
            for line in axes.get_lines()
            if line.get_gid()
        }


def test_the_redrawn_posters_figures_stand_at_its_values(tmp_path):
    rows = of_paper("icassp2024")
    first, second = lines_of(tmp_path, "published", 0), lines_of(tmp_path, "published", 1)
    for row in rows:
        gid = f"published-{row.evaluated_on}-{row.metric}-{row.method}"
        gid = gid.replace(" ", "-").replace("_", "-")
        if row.exhibit == "Fig. 1":
            (height,) = first[gid].get_ydata()
            assert abs(height - row.value) <= row.tolerance
        else:
            line = second[gid]
            place = list(line.get_xdata()).index(row.label_fraction)
            assert abs(line.get_ydata()[place] - row.value) <= row.tolerance
    assert len(first) == 50
    assert len(second) == 30


def marks(path: Path) -> dict[str, list[tuple[str, str]]]:
    """Where the marks of an SVG stand, by their ids."""
    text = path.read_text()
    found = {}
    for gid, body in re.findall(
        r'<g id="((?:ours|published)-[^"]+)">(.*?)</g>\s*</g>', text, re.DOTALL
    ):
        found[gid] = re.findall(r'<use [^>]*x="([-\d.]+)" y="([-\d.]+)"', body)
    return found


def test_one_number_in_a_result_moves_one_mark(stored, tmp_path):
    """Nothing is typed by hand: the picture follows the stored number, and nothing else moves."""
    copy = tmp_path / "copy"
    shutil.copytree(stored, copy)
    chosen = sorted((copy / "runs").glob("vicreg-*-midiband-f1-d0-s0-*.json"))[0]
    for stage in ("before", "after"):
        draw(copy, tmp_path / stage, papers=["icassp2024"], modes=("ours",), formats=("svg",))
        value = results.read(chosen).metrics["map_macro"].value
        set_score(chosen, "map_macro", value + 0.002, value - 0.02, value + 0.02)
    before, after = (
        marks(tmp_path / stage / "icassp2024-fig1-ours.svg") for stage in ("before", "after")
    )
    assert before.keys() == after.keys()
    assert len(before) == 2 * 2 * len(METHODS)
    moved = [gid for gid in before if before[gid] != after[gid]]
    assert moved == ["ours-midiband-artist-map-macro-vicreg"]
    assert float(after[moved[0]][0][1]) < float(before[moved[0]][0][1])  # up
