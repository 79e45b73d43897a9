"""Maps of embeddings."""

import shutil

import numpy as np
import pytest

from bench.report.figures.embeddings import main_directions
from tests.conftest import TINY, make_tones


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
