"""Real runs of two methods on small files, in a process of their own."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bench import results
from tests.conftest import TINY, make_tones

Main = Callable[..., tuple[int, str, str]]
RUN = ["run", "--steps", "3", *TINY, "--probe.patience", "2"]


def run_two_methods(folder: Path, command: list[str], *further: str) -> None:
    """Makes tones with tags in `folder`, and runs `random_init` and `simclr` on them there."""
    tracks = make_tones(folder / "tones", kind="tags")
    what = ["--method", "random_init,simclr", "--dataset", str(tracks)]
    subprocess.run(
        [sys.executable, "-m", "bench", *command, *what, *further],
        cwd=folder,
        check=True,
        capture_output=True,
    )


def path_of(folder: Path, method: str, fraction: float = 1.0) -> Path:
    """The file of the first stored cell of a method at a fraction, with pretraining seed 0."""
    result = next(
        cell
        for cell in results.read_all(folder)[0]
        if cell.spec.method.name == method and cell.spec.fraction == fraction and not cell.spec.seed
    )
    return folder / "runs" / f"{results.file_stem(result.spec, result.cell)}.json"
