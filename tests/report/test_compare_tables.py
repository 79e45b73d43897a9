"""The tables of a comparison."""

from pathlib import Path
from typing import Any

from tests.report.altered import altered
from tests.report.real_runs import Main, path_of


def test_the_tables_name_protocol_and_unknown_sources(main: Main, stored: Path) -> None:
    status, out, err = main("compare", "simclr", "random_init", "--fraction", "1.0")
    assert status == 0, err
    for words in (
        "simclr",
        "random_init",
        "p (Holm)",
        "detectable",
        "split csv",
        "balanced over tracks",
    ):
        assert words in out
    assert "what a single score depends on" in out
    assert "label draw: not known: one label draw" in out


def test_two_splits_of_one_data_set_stand_apart(main: Main, stored: Path) -> None:
    """Both are compared, each with itself, and the table tells them apart."""

    def other(content: dict[str, Any]) -> None:
        content["data"].update(split="other", tracks_hash="ab" * 8)
        content["spec"]["dataset"]["name"] = "elsewhere/tracks.csv"
        content["cell"] = content["cell"][::-1]

    for method in ("simclr", "random_init"):
        altered(path_of(stored, method), other, stored)
    status, out, err = main(
        "compare", "simclr", "random_init", "--fraction", "1.0", "--dataset", "tones/tracks.csv"
    )
    assert status == 0, err
    assert "tracks (csv, " in out
    assert "tracks (other, ababab)" in out
