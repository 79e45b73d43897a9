"""`bench data leaks`: copies of tracks are found, and left out of pretraining."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.conftest import TINY, write_csv

Main = Callable[..., tuple[int, str, str]]


RUN = ["run", "--method", "simclr", "--steps", "2", *TINY]


@pytest.fixture
def copied(tmp_path: Path) -> tuple[Path, Path]:
    """Two CSVs of noisy melodies.

    Three of the second's test tracks are re-encoded, trimmed ones of the first.
    """
    random = np.random.default_rng(0)
    rows: dict[str, list[dict[str, object]]] = {"first": [], "second": []}
    rate = 16_000
    for number in range(16):
        notes = 110 * 2 ** (random.integers(0, 36, 24) / 12)
        time = np.arange(rate // 2) / rate
        sound = np.concatenate(
            [
                sum(np.sin(2 * np.pi * k * note * time) / k for k in range(1, 6))
                * np.exp(-3 * time)
                for note in notes
            ]
        )
        sound = 0.1 * sound + 0.01 * random.normal(size=len(sound))
        path = tmp_path / f"{number}.wav"
        split = ("train", "train", "valid", "test")[number % 4]
        row = {"label": "ab"[number // 4 % 2], "split": split, "group": f"artist {number}"}
        soundfile.write(path, sound, rate)
        rows["first" if number < 8 else "second"].append(
            {"path": path.name, **row, "track_id": path.stem}
        )
        if number in (0, 1, 2):
            soundfile.write(tmp_path / f"copy{number}.ogg", sound[rate : -rate // 2], rate)
            row = {"label": "a", "split": "test", "group": f"copies {number}"}
            rows["second"].append({"path": f"copy{number}.ogg", **row, "track_id": f"copy{number}"})
    return write_csv(tmp_path / "first.csv", rows["first"]), write_csv(
        tmp_path / "second.csv", rows["second"]
    )


def test_leaks_are_found_and_excluded(main: Main, copied: tuple[Path, Path]) -> None:
    first, second = copied
    status, out, err = main("data", "leaks", first, second, "--out", "leaks.json", "--json")
    assert status == 0, err
    found = json.loads(out)
    assert sorted(found["excluded"]) == ["0", "1", "2"]
    near = [row for row in found["leaks"] if row["kind"] == "near-duplicate"]
    assert {(row["first"], row["second"]) for row in near} == {
        ("0", "copy0"),
        ("1", "copy1"),
        ("2", "copy2"),
    }
    assert len(list(csv.DictReader(Path("leaks.csv").read_text().splitlines()))) == len(
        found["leaks"]
    )
    run = [*RUN, "--dataset", second, "--pretrain-dataset", first, "--json"]
    status, out, err = main(*run, "--exclude", "leaks.json", "--views.splits", "all")
    assert status == 0, err
    stored = json.loads(Path(json.loads(out)["files"][0]).read_text())
    assert stored["protocol"]["excluded"] == 3
    status, out, err = main(*run, "--views.splits", "all")
    assert json.loads(Path(json.loads(out)["files"][0]).read_text())["cell"] != stored["cell"]
    status, out, err = main("data", "leaks", first, second)
    assert status == 0, err
    assert "3 near-duplicate" in out
    status, out, err = main(*RUN, "--dataset", second, "--exclude", "leaks.json")
    assert status == 2
    assert "made for another data set" in err.splitlines()[-1]
