"""`bench subsets`, imported subsets and presets, on real runs."""

import json
from pathlib import Path

import pytest

from tests.report.real_runs import RUN, Main


def test_subsets_go_out_and_come_back(main: Main, stored: Path) -> None:
    tracks = "tones/tracks.csv"
    status, out, err = main(
        "subsets",
        "export",
        "--dataset",
        tracks,
        "--fraction",
        "0.4,7",
        "--draws",
        "2",
        "--out",
        "s",
    )
    assert status == 0, err
    files = sorted(Path("s").glob("*.json"))
    assert len(files) == 4
    content = json.loads(files[0].read_text())
    assert files[0].stem.endswith(content["hash"])
    assert content["hash"] in out
    assert len(content["tracks"]) == 8
    assert set(content["positives"]) == {"even", "high", "low", "middle"}
    status, out, err = main("subsets", "import", files[0], "--dataset", tracks)
    assert status == 0, err
    assert content["hash"] in out
    run = [*RUN, "--method", "simclr", "--dataset", tracks, "--probe", "mlp", "--json"]
    status, out, err = main(*run, "--subset", content["hash"])
    assert status == 0, err
    imported = json.loads(Path(json.loads(out)["files"][0]).read_text())
    assert imported["probe"]["subset"] == content["hash"]
    # The same tracks, so the same scores as the draw that was exported.
    status, out, err = main(*run, "--fraction", "0.4", "--draws", "1")
    drawn = json.loads(Path(json.loads(out)["files"][0]).read_text())
    assert drawn["probe"]["subset"] == content["hash"]
    assert drawn["metrics"] == imported["metrics"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["run", "--method", "simclr", "--subset", "0123456789abcdef"],
            "no subset 0123456789abcdef",
        ),
        (["run", "--method", "simclr", "--subset", "x", "--fraction", "0.1"], "leave --fraction"),
        (
            ["run", "--method", "simclr", "--preset", "deezer", "--draws", "2"],
            "says which tracks are labelled",
        ),
        (["run", "--method", "simclr", "--preset", "deezr"], "deezer"),
        (["run", "--method", "simclr", "--labels.scheme", "even", "--dry-run"], "labels.scheme"),
        (["run", "--method", "simclr", "--probe-seeds", "0"], "--probe-seeds 0"),
        (
            ["run", "--method", "simclr", "--labels.subset", "0123456789abcdef"],
            "give --subset HASH",
        ),
        (["run", "--method", "simclr", "--probe.learning_rates", "[0.1, 0.1]"], "stands twice"),
        (
            [
                "run",
                "--method",
                "simclr",
                "--views.exclude",
                "0123456789abcdef",
                "--dataset",
                "CSV",
            ],
            "give --exclude FILE",
        ),
        (["run", "--method", "simclr", "--seed", "0,x"], "--seed 'x'"),
        (
            ["run", "--method", "simclr", "--resamples", "5", "--score.resamples", "6"],
            "given twice",
        ),
        (["subsets", "export", "--dataset", "CSV", "--fraction", "0.4"], "--out"),
        (
            ["subsets", "export", "--dataset", "CSV", "--fraction", "99", "--out", "s"],
            "99 labelled tracks are asked",
        ),
        (["subsets", "import", "--dataset", "CSV"], "give one or more files"),
        (["subsets", "import", "none.json", "--dataset", "CSV"], "cannot read none.json"),
    ],
)
def test_bad_labelled_sets_are_one_line(
    main: Main, stored: Path, arguments: list[str], words: str
) -> None:
    csv = str(stored.parent / "tones/tracks.csv")
    status, out, err = main(*[csv if argument == "CSV" else argument for argument in arguments])
    assert (status, out) == (2, "")
    assert words in err.splitlines()[-1]


def test_presets_are_the_published_subsets(main: Main, stored: Path) -> None:
    tracks = str(stored.parent / "tones/tracks.csv")
    run = ["run", "--method", "random_init", "--dataset", tracks, "--dry-run", "--json"]
    status, out, err = main(*run, "--preset", "deezer")
    assert status == 0, err
    specs = json.loads(out)["specs"]
    assert [(spec["fraction"], spec["draw"]) for spec in specs] == [
        *((fraction, draw) for fraction in (0.01, 0.05, 0.1, 0.2) for draw in range(4)), (1.0, 0)
    ]  # fmt: skip
    assert {spec["labels"]["scheme"] for spec in specs} == {"uniform"}
    status, out, err = main(*run, "--preset", "clmr")
    specs = json.loads(out)["specs"]
    assert [spec["fraction"] for spec in specs] == [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
    assert {(spec["labels"]["scheme"], spec["labels"]["of"]) for spec in specs} == {
        ("balanced", "dataset")
    }
