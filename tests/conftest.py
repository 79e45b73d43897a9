"""Small real data sets: tones and noises written as audio files, with a CSV."""

import csv
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE = 8_000
TINY = [
    "--train.batch_size",
    "8",
    "--train.diagnose_times",
    "2",
    "--probe.steps",
    "20",
    "--score.resamples",
    "50",
]
TINY += [
    "--encoder.width",
    "4",
    "--encoder.embedding",
    "16",
    "--encoder.heads",
    "2",
    "--encoder.seconds",
    "1.0",
]


def tone(frequency: float, seconds: float, seed: int, rate: int = RATE) -> np.ndarray:
    """A tone with a little noise, so that no two tracks are alike."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(seed).normal(size=len(time))
    return (0.4 * np.sin(2 * np.pi * frequency * time) + 0.02 * noise).astype(np.float32)


def write_csv(path: Path, rows: Iterable[dict[str, object]]) -> Path:
    """Writes rows as a CSV."""
    rows = list(rows)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Problems this small gain nothing from threads, and lose much where other processes want the cores."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tones(tmp_path: Path) -> Path:
    """36 tracks of 2 s in 3 classes (low, middle, high tones), 20 for training.

    `tones/tracks.csv` names them.
    """
    return make_tones(tmp_path / "tones")


def make_tones(folder: Path, kind: str = "label", tracks: int = 36) -> Path:
    """Writes the tones, 5 in 9 for training.

    With `kind="tags"` each has its pitch and, every other one, "even".
    """
    (folder / "audio").mkdir(parents=True)
    rows = []
    for number in range(tracks):
        name, frequency = [("low", 200.0), ("middle", 600.0), ("high", 1800.0)][number % 3]
        path = f"audio/{number:02}.wav"
        soundfile.write(folder / path, tone(frequency * (1 + number / 100), 2.0, number), RATE)
        split = (
            "train"
            if number < 20 * tracks / 36
            else "valid"
            if number < 27 * tracks / 36
            else "test"
        )
        label = name if kind == "label" else f"{name}|even" if number % 2 == 0 else name
        rows.append({"path": path, kind: label, "split": split, "group": f"artist {number}"})
    return write_csv(folder / "tracks.csv", rows)


Bench = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Runs `python -m bench` in an empty folder, with a home and a results folder there."""

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
    """Calls the command line in this process, in an empty folder: (exit status, standard output, standard error)."""
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
