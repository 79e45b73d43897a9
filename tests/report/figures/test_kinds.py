"""Figures from stored results: marks at their numbers, the same bytes twice, and nothing that crashes them."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import results
from bench.core.errors import InputError
from bench.report.figures import label_efficiency, paper_icassp2024
from bench.report.figures.curves import Point
from bench.report.figures.embeddings import main_directions
from bench.report.figures.kinds import KINDS, PAPERS, Drawn, draw
from bench.report.figures.layout import logarithmic
from bench.report.figures.picture_of_table import picture_of_table
from bench.report.figures.save import drawing_settings
from bench.report.figures.style import COLUMN, PAGE, styles
from bench.report.reference import of_paper
from bench.report.stock import read_stock
from bench.report.tables import Number, ScoreTable
from tests.conftest import TINY, make_tones
from tests.report.test_reference import set_score
from tests.synthetic_results import spoil, write_cells, write_degraded

ODD = "<script>alert('&')_%$x^2$\\{}#~"
TAGS = [f"tag {number}" for number in range(8)]  # few: labels of tags are what takes time to draw
METHODS = ("simclr", "vicreg", "byol", "supervised", "random_init")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    write_cells(
        folder, METHODS, ("midiband", "magnatagatune"), (0.1, 1.0), 2, 2, ("mlp",), 60, tags=TAGS
    )
    return folder


@pytest.fixture(scope="module")
def drawn(stored: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Drawn]:
    folder = tmp_path_factory.mktemp("drawn")
    return folder, draw(stored, folder, kinds=list(KINDS), papers=list(PAPERS), formats=("svg",))


def test_every_kind_is_drawn_or_named(drawn):
    folder, done = drawn
    names = {path.name for path in done.files}
    for start in (
        "scores",
        "fractions",
        "training",
        "diagnostics",
        "tags",
        "tag-differences",
        "ranks",
        "cost",
    ):
        assert any(name.startswith(f"{start}-") for name in names), start
    for start in (
        "variance",
        "label-efficiency",
        "icassp2024-fig1",
        "icassp2024-fig2",
        "clmr-labels",
        "clmr-transfer",
    ):
        assert any(name.startswith(f"{start}-") for name in names), start
    for start in ("tune-table-s1", "tune-table-s2", "tune-fig-s4", "vicreg-thesis-abstract"):
        assert {
            f"{start}-both.tex",
            f"{start}-both.md",
            f"{start}-both.svg",
            f"{start}-both.marks.csv",
        } <= names
    said = " ".join(done.skipped)
    for kind in (
        "embeddings: embeddings lie in home",
        "robustness: no stored cell",
        "vicreg-thesis-ours",
        "tune-ours",
    ):
        assert kind in said
    for path in folder.glob("*.svg"):
        assert path.with_suffix(".caption.md").is_file()


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


def lines_of(stock_folder: Path, mode: str, number: int) -> dict[str, Any]:
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
        gid = f"published-{row.evaluated_on.replace(' ', '-')}-{row.metric.replace('_', '-')}-{row.method}"
        gid = gid.replace("barlow_twins", "barlow-twins")
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


def test_a_method_looks_the_same_in_every_figure():
    alone, together = styles(["vicreg"]), styles(["vicreg", "simclr", "new one", "another"])
    assert alone["vicreg"] == together["vicreg"]
    assert styles(["new one"])["new one"] == together["new one"]
    assert len({(style.colour, style.marker) for style in together.values()}) == 4
    variants = styles(["vicreg", "vicreg (train.steps=800)"])
    assert {(style.colour, style.marker) for style in variants.values()} == {
        (alone["vicreg"].colour, alone["vicreg"].marker)
    }
    assert len({style.line for style in variants.values()}) == 2


def damage_one_method(folder: Path) -> None:
    write_cells(folder, ["vicreg"], fractions=(1.0,), resamples=30, tags=TAGS)


def damage_one_draw(folder: Path) -> None:
    write_cells(folder, ["vicreg", "simclr"], draws=1, resamples=30, tags=TAGS)


def damage_no_resamples(folder: Path) -> None:
    write_cells(folder, ["vicreg", "simclr"], resamples=0, tags=TAGS)


def damage_nan_tags(folder: Path) -> None:
    write_cells(folder, ["vicreg", "simclr"], resamples=30, tags=["a", "b", "c"], unknown_tags=2)


def damage_missing_cells(folder: Path) -> None:
    paths = write_cells(
        folder,
        METHODS[::2],
        ("midiband", "magnatagatune"),
        probes=("mlp",),
        resamples=30,
        tags=TAGS,
    )
    for path in paths[::3]:
        path.unlink()
    paths[1].with_suffix(".npz").unlink()


def damage_names(folder: Path) -> None:
    write_cells(
        folder,
        ["simclr", ODD],
        ["midiband", "a & b <i>$\\"],
        resamples=30,
        tags=[ODD, "x" * 200, "$", "a|b\n"],
    )


def damage_files(folder: Path) -> None:
    write_cells(folder, ["simclr", "vicreg"], resamples=30, tags=TAGS)
    spoil(folder)


def damage_values(folder: Path) -> None:
    """An .npz whose list of files is whole, but whose arrays cannot be read."""
    paths = write_cells(folder, ["simclr", "vicreg"], resamples=30, tags=TAGS)
    path = paths[0].with_suffix(".npz")
    content = bytearray(path.read_bytes())
    content[200:400] = bytes(200)
    path.write_bytes(content)


def damage_resamples(folder: Path) -> None:
    """Cells of one series with different numbers of resamples."""
    write_cells(folder, ["simclr", "vicreg"], resamples=30, draws=1, tags=TAGS)
    for path in write_cells(folder, ["simclr", "vicreg"], resamples=50, draws=2, tags=TAGS):
        if "-d0-" in path.name:
            path.unlink()


DAMAGES = [
    damage_one_method,
    damage_one_draw,
    damage_no_resamples,
    damage_nan_tags,
    damage_missing_cells,
    damage_names,
    damage_files,
    damage_values,
    damage_resamples,
]


@pytest.mark.parametrize(
    "damage", DAMAGES, ids=lambda damage: damage.__name__.removeprefix("damage_")
)
@pytest.mark.filterwarnings("error::RuntimeWarning", "error::UserWarning")
def test_whatever_is_stored_is_drawn_or_named(tmp_path, damage: Callable[[Path], None]):
    damage(tmp_path / "results")
    write_degraded(tmp_path / "results")
    out = tmp_path / "out"
    done = draw(
        tmp_path / "results",
        out,
        kinds=list(KINDS),
        papers=["clmr"],
        modes=("both",),
        formats=("svg",),
    )
    for kind in ("scores", "robustness"):
        assert any(path.name.startswith(f"{kind}-") for path in done.files)
    for path in done.files:
        assert path.stat().st_size
        if path.suffix == ".svg":
            assert "<script>" not in path.read_text()
    if damage in (damage_files, damage_values):
        assert done.notes
        caption = next((tmp_path / "out").glob("scores-*.caption.md")).read_text()
        for note in done.notes:
            assert note in caption
    if damage is damage_files:
        assert any("schema 1" in note for note in done.notes)
        assert any("no whole JSON" in note for note in done.notes)
    if damage is damage_missing_cells:
        assert any("lost its resampled values" in note for note in done.notes)
    if damage is damage_nan_tags:
        caption = next((tmp_path / "out").glob("tags-*.caption.md")).read_text()
        assert "Without a score, for want of test tracks with and without it (2): b, c." in caption


def test_data_sets_whose_names_differ_in_odd_letters_have_files_of_their_own(tmp_path):
    write_cells(tmp_path, ["simclr"], ["a & b", "a $ b", "a_b"], (1.0,), resamples=30, tags=TAGS)
    done = draw(tmp_path, tmp_path / "out", kinds=["tags", "training", "cost"], formats=("svg",))
    names = [path.name for path in done.files]
    assert len(set(names)) == len(names)
    for kind in ("tags", "training", "diagnostics", "cost"):
        assert sum(name.startswith(f"{kind}-a-b") and name.endswith(".svg") for name in names) == 3


def test_nothing_stored_is_said(tmp_path):
    done = draw(tmp_path / "none", tmp_path / "out", kinds=list(KINDS))
    assert not done.files
    assert len(done.skipped) == len(KINDS)
    with pytest.raises(InputError, match="unknown kind of figure 'score'; did you mean 'scores'"):
        draw(tmp_path, tmp_path, kinds=["score"])
    with pytest.raises(InputError, match="unknown format 'gif'"):
        draw(tmp_path, tmp_path, kinds=["scores"], formats=["gif"])


def test_labels_needed_are_interpolated_over_the_logarithm():
    curve = [Point(0.01, 0.2, 0.2, 0.2), Point(0.1, 0.3, 0.3, 0.3), Point(1.0, 0.5, 0.5, 0.5)]
    assert label_efficiency.needed(curve, 0.4) == (pytest.approx(10**-0.5), "")
    assert label_efficiency.needed(curve, 0.3) == (pytest.approx(0.1), "")
    assert label_efficiency.needed(curve, 0.1) == (0.01, "at most")
    share, how = label_efficiency.needed(curve, 0.6)
    assert np.isnan(share)
    assert how == "not reached"
    # A curve that falls again: the first crossing counts.
    assert (
        label_efficiency.needed([curve[0], Point(0.1, 0.4, 0, 0), Point(1.0, 0.3, 0, 0)], 0.4)[0]
        == 0.1
    )


def test_main_directions_are_those_of_a_known_cloud():
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(300, 2)) * (3, 1)
    vectors = np.column_stack([hidden[:, 0], -hidden[:, 0], hidden[:, 1]]) + 1e-6 * rng.normal(
        size=(300, 3)
    )
    points, shares = main_directions(vectors)
    assert shares == pytest.approx([2 / 3, 1 / 3], abs=1e-3)
    assert abs(np.corrcoef(points[:, 0], hidden[:, 0])[0, 1]) == pytest.approx(1, abs=1e-3)
    again, _ = main_directions(vectors)
    np.testing.assert_array_equal(points, again)
    flat, _ = main_directions(np.ones((5, 1)))
    assert flat.shape == (5, 2)


def test_a_real_run_is_drawn_with_the_map_of_its_embeddings(bench, tmp_path):
    tracks = make_tones(tmp_path / "tones", kind="tags")
    bench(
        "run",
        "--method",
        "random_init",
        "--dataset",
        tracks,
        "--fraction",
        "0.5,1.0",
        "--draws",
        "2",
        *TINY,
    )
    kinds = ["scores", "fractions", "tags", "variance", "embeddings"]
    command = (
        "figures",
        "--kind",
        ",".join(kinds),
        "--home",
        ".bench",
        "--format",
        "svg",
        "--out",
        "out",
    )
    done = bench(*command)
    names = {path.name for path in (tmp_path / "out").glob("*.svg")}
    assert {name.partition("-")[0] for name in names} == set(kinds)
    assert "5 figures in out" in done.stderr
    caption = next((tmp_path / "out").glob("embeddings-*.caption.md")).read_text()
    assert "Embeddings of the test tracks: tracks (" in caption
    assert "9 test tracks" in caption
    shutil.rmtree(tmp_path / ".bench")
    done = bench(
        "figures",
        "--kind",
        "embeddings,scores",
        "--home",
        ".bench",
        "--format",
        "svg",
        "--out",
        "again",
    )
    assert "not drawn: embeddings: the embeddings of no stored cell lie in .bench" in done.stderr


def test_numbers_of_logarithmic_axes_are_plain():
    """No text is read as mathematics, so that matplotlib's own labels would print as formulas."""
    with drawing_settings():
        import matplotlib.pyplot as plt

        for numbers, some in (([0.0002, 0.7], {"0.001", "0.1"}), ([6.0, 40.0], {"10", "20"})):
            figure, axes = plt.subplots()
            axes.plot(numbers, numbers)
            logarithmic(axes.yaxis)
            figure.draw_without_rendering()
            labels = {label.get_text() for label in axes.get_yticklabels(which="both")}
            assert some <= labels
            assert not any("$" in label for label in labels)
            plt.close(figure)


def test_points_of_the_paper_that_we_lack_are_marked_as_missing(stored):
    """Ours has 10 and 100 % of the labels; the paper's 1, 5 and 20 % are marked all the same."""
    with drawing_settings():
        figure = list(paper_icassp2024.draw(read_stock(stored), "both"))[1].figure
        axes = next(one for one in figure.axes if one.get_title() == "MTAT")
        signs = [(text.get_text(), float(text.get_position()[0])) for text in axes.texts]
    assert sorted(share for sign, share in signs if sign == "-") == sorted(
        [0.01, 0.05, 0.2] * 5 + [0.1, 1.0] * 2
    )
    assert len(signs) == 25


def test_a_wide_table_is_no_wider_than_a_page():
    rows: list[list[Any]] = [["x" * 90, "y" * 60, "z" * 50, Number(0.5, 0.4, 0.6, "best")]]
    with drawing_settings():
        figure = picture_of_table(ScoreTable("title", ["a", "b", "c", "d"], rows, words=3))
        assert COLUMN < figure.get_figwidth() <= PAGE
        assert "0.500 [0.400, 0.600]" in {text.get_text() for text in figure.axes[0].texts}


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
