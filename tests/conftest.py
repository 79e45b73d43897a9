"""Fixtures of all tests: small data sets of tones, and ways to call the command line."""

import csv
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE = 8_000
"""Sample rate of the tones, in Hz."""
TINY = [
    *("--train.batch_size", "8", "--train.diagnose_times", "2"),
    *("--probe.steps", "20", "--score.resamples", "50"),
    *("--encoder.width", "4", "--encoder.embedding", "16"),
    *("--encoder.heads", "2", "--encoder.seconds", "1.0"),
]
"""Flags of `bench run` for a cell that takes about a second on the tones."""


def tone(frequency: float, seconds: float, seed: int, rate: int = RATE) -> np.ndarray:
    """(samples,) float32: a tone with a little noise, so that no two tracks are alike.

    Args:
        frequency: of the tone, in Hz.
        seconds: its length.
        seed: of the noise.
        rate: sample rate in Hz.
    """
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(seed).normal(size=len(time))
    return (0.4 * np.sin(2 * np.pi * frequency * time) + 0.02 * noise).astype(np.float32)


def write_csv(path: Path, rows: Iterable[Mapping[str, object]]) -> Path:
    """Writes rows as a CSV with the first row's columns; returns its path."""
    rows = list(rows)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sets torch to one thread: small problems gain nothing from more, and lose on busy cores."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tones(tmp_path: Path) -> Path:
    """The CSV of 36 tracks of 2 s in 3 classes (low, middle, high tones), 20 for training."""
    return make_tones(tmp_path / "tones")


def make_tones(folder: Path, kind: str = "label", tracks: int = 36) -> Path:
    """Writes tones of 2 s and a CSV that names them.

    Args:
        folder: a new folder for `audio/` and `tracks.csv`.
        kind: "label" for one class a track (its pitch), "tags" for tags (its pitch and, of every
            other track, "even").
        tracks: number of tracks; of 36, 20 are for training, 7 for validation, 9 for the test.

    Returns:
        The CSV.
    """
    (folder / "audio").mkdir(parents=True)
    rows = []
    for number in range(tracks):
        name, frequency = [("low", 200.0), ("middle", 600.0), ("high", 1800.0)][number % 3]
        path = f"audio/{number:02}.wav"
        soundfile.write(folder / path, tone(frequency * (1 + number / 100), 2.0, number), RATE)
        place = 36 * number / tracks
        split = "train" if place < 20 else "valid" if place < 27 else "test"
        label = name if kind == "label" else f"{name}|even" if number % 2 == 0 else name
        rows.append({"path": path, kind: label, "split": split, "group": f"artist {number}"})
    return write_csv(folder / "tracks.csv", rows)


Bench = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Runs `python -m bench` in a process of its own, in an empty folder.

    The function takes the arguments of the command; `status` is the exit status that is asserted,
    or None for any, and `timeout` is in seconds.
    """

    def call(
        *arguments: object, status: int | None = 0, timeout: float = 240
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "bench", *map(str, arguments)]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=timeout, check=False
        )
        if status is not None:
            assert done.returncode == status, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done

    return call


@pytest.fixture
def main(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Calls the command line in this process, in an empty folder.

    The function takes the arguments of the command and returns the exit status, standard output and
    standard error.
    """
    from bench.cli.main import main as command

    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        status = 0
        try:
            command([str(argument) for argument in arguments])
        except SystemExit as stopped:
            status = int(stopped.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return call
