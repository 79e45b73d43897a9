"""Every kind of figure: drawn, or named with the reason, whatever is stored."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.core.errors import InputError
from bench.report.figures.kinds import KINDS, draw
from tests.report.figures.cells import METHODS, ODD, TAGS
from tests.synthetic_results import spoil, write_cells, write_degraded


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


def test_nothing_stored_is_said(tmp_path):
    done = draw(tmp_path / "none", tmp_path / "out", kinds=list(KINDS))
    assert not done.files
    assert len(done.skipped) == len(KINDS)
    with pytest.raises(InputError, match="unknown kind of figure 'score'; did you mean 'scores'"):
        draw(tmp_path, tmp_path, kinds=["score"])
    with pytest.raises(InputError, match="unknown format 'gif'"):
        draw(tmp_path, tmp_path, kinds=["scores"], formats=["gif"])
