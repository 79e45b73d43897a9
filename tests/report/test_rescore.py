"""`bench rescore` on real runs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bench import results
from tests.report.real_runs import RUN, Main


def test_damaged_logits_are_one_line(main: Main, stored: Path) -> None:
    for path in (stored.parent / ".bench/probed").glob("*/mean_embedding.npy"):
        path.write_bytes(path.read_bytes()[:60])
    status, out, err = main("rescore", "--resamples", "10")
    assert (status, out) == (0, "0 cells scored anew, 24 left out\n")
    assert "is damaged (mean_embedding.npy has 60 bytes" in err
    assert "`bench run` makes it again" in err


def test_rescoring_trains_nothing_and_its_resamples_go_on_from_the_old_ones(
    main: Main, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import bench.stages.run

    for module, name in (
        (bench.stages.run, "pretrain"),
        (bench.stages.run, "embed_all"),
        (bench.stages.run, "probe_all"),
    ):
        monkeypatch.setattr(module, name, lambda *_: pytest.fail("a stage was done again"))
    before, _ = results.read_all(stored)
    status, out, err = main("rescore", "--resamples", "120")
    assert status == 0, err
    assert f"{len(before)} cells scored anew, 0 left out" in out
    after, _ = results.read_all(stored)
    assert len(after) == 2 * len(before)
    old = next(cell for cell in before if cell.spec.method.name == "simclr")
    same = old.spec.model_copy(
        update={"score": old.spec.score.model_copy(update={"resamples": 120})}
    )
    new = next(cell for cell in after if cell.spec == same)
    assert new.metrics["map_macro"].value == old.metrics["map_macro"].value
    first, more = (
        results.read_values(results.path_of(stored, cell)).resampled["map_macro"]
        for cell in (old, new)
    )
    assert len(more) == 120
    np.testing.assert_array_equal(more[:50], first)
    # The same cells asked for by `bench run` are found; the comparison takes those with most
    # resamples.
    run = [*RUN, "--method", "simclr", "--dataset", "tones/tracks.csv", "--probe", "mlp", "--json"]
    status, out, err = main("compare", "simclr", "random_init", "--json")
    assert {pair["resamples"] for pair in json.loads(out)["pairs"]} == {120}
    assert main("rescore", "--resamples", "120")[1].startswith("0 cells")
    assert main(*run[:1], "--help")[0] == 0
    status, out, err = main("rescore", "--by", "group", "--score.confidence", "0.9")
    assert status == 0, err
    assert any(cell.spec.score.by == "group" for cell in results.read_all(stored)[0])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "say what is to be scored otherwise"),
        (["--resamples", "-1"], "score.resamples = -1"),
        (["--score.resample", "9"], "did you mean 'score.resamples'"),
        (["--resamples", "9", "--results", "nowhere"], "no results in nowhere"),
    ],
)
def test_bad_rescoring_is_one_line(
    main: Main, stored: Path, arguments: list[str], words: str
) -> None:
    status, _, err = main("rescore", *arguments)
    assert status == 2
    assert words in err.splitlines()[-1]


def test_rescoring_says_which_logits_are_gone(main: Main, stored: Path) -> None:
    shutil.rmtree(stored.parent / ".bench/probed")
    status, out, err = main("rescore", "--resamples", "10")
    assert status == 0
    assert out.startswith("0 cells scored anew, 24 left out")
    assert "`bench run` makes it" in err
