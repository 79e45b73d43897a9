"""Cells that differ in more than the method are not compared."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.report.altered import altered
from tests.report.real_runs import RUN, Main, path_of


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda content: content["data"].update(split="other", tracks_hash="0" * 16),
            "split: csv against other",
        ),
        (lambda content: content["data"].update(tags=["a", "b"]), "tag set: 4 tags against 2 tags"),
        (lambda content: content["data"].update(tracks_hash="0" * 16), "hash of tracks"),
        (lambda content: content["counts"].update(test_tracks=8), "test tracks): 9 against 8"),
        (lambda content: content["spec"]["score"].update(seed=4), "score.seed: 0 against 4"),
        (
            lambda content: content["spec"]["score"].update(by="group"),
            "score.by: track against group",
        ),
        (
            lambda content: content.update(convention="mean_probability"),
            "convention: mean_embedding against mean_p",
        ),
        (lambda content: content["spec"].update(fraction=0.7), "fraction: 1.0 against 0.7"),
        (
            lambda content: content["protocol"].update(labels="uniform over tracks"),
            "labelled subsets: balanced",
        ),
    ],
)
def test_cells_that_differ_in_more_than_the_method_are_refused(
    main: Main, stored: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    first = path_of(stored, "simclr")
    second = altered(path_of(stored, "random_init"), change, tmp_path / "other")
    status, out, err = main("compare", first, second)
    assert (status, out) == (2, "")
    assert words in err
    assert len(err.strip().splitlines()) == 1


def test_subsets_of_other_sizes_are_not_paired(main: Main, stored: Path) -> None:
    run = [*RUN, "--dataset", "tones/tracks.csv", "--fraction", "0.5", "--json"]
    assert main(*run, "--method", "random_init", "--labels.of", "dataset")[0] == 0
    assert main(*run, "--method", "simclr")[0] == 0
    status, _, err = main(
        "compare", "simclr,probe=linear", "random_init,probe=linear", "--fraction", "0.5"
    )
    assert status == 2
    assert (
        "labelled subsets: balanced over tracks against balanced over tracks, shares of the whole"
        in err
    )
