"""Stored runs to export, and calls of `bench import`."""

from pathlib import Path

import pytest

from bench.cli.main import main as bench_main
from bench.core.store import Store
from bench.weights import export
from tests.conftest import TINY, make_tones
from tests.weights.runs import run_of

SMALL = [*TINY, "--train.steps", "3"]


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three runs on tones: a pretext task, supervised, hand-made features."""
    folder = tmp_path_factory.mktemp("export")
    make_tones(folder / "tones")
    for method, settings in (
        ("vicreg", SMALL),
        ("supervised", SMALL),
        ("mfcc", ["--encoder.seconds", "1.0"]),
    ):
        places = [
            "--home",
            folder / ".bench",
            "--results",
            folder / "results",
            "--dataset",
            folder / "tones/tracks.csv",
        ]
        with pytest.raises(SystemExit) as ended:
            bench_main(["run", "--method", method, *map(str, places), *settings])
        assert not ended.value.code
    return folder


@pytest.fixture(scope="session")
def exported(place: Path) -> Path:
    export.export(
        run_of(place, "vicreg"), Store(place / ".bench"), place / "results", place / "vicreg", False
    )
    return place / "vicreg"


@pytest.fixture
def take(main, tmp_path):
    """Imports a file; returns where it was written, and what was said."""

    def call(file: Path, *flags: object) -> tuple[Path, str]:
        out = tmp_path / "out.safetensors"
        status, said, err = main("import", file, "--out", out, *flags)
        assert status == 0, err
        return out, said

    return call


@pytest.fixture
def refused(main, tmp_path):
    """What `bench import` says of a file that it refuses, in one line, and writes nothing."""

    def call(file: Path, *flags: object) -> str:
        before = sorted(tmp_path.iterdir())
        status, _, err = main("import", file, "--out", tmp_path / "never.safetensors", *flags)
        assert status == 2, err
        assert err.startswith("bench: ")
        assert len(err.splitlines()) == 1
        assert sorted(tmp_path.iterdir()) == before
        return str(err)

    return call
