"""Worker processes: a time limit for each job, and errors that reach the caller."""

# mypy does not know that `bench.datasets` is the folder `datasets` (see `bench/__init__.py`).
# mypy: disable-error-code="import-not-found"

import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from bench.datasets.midiband import workers

from bench.data.manifest import InputError


def hang(number: int) -> int:
    """A render that never returns when it comes to number 2."""
    if number == 2:
        time.sleep(600)
    return number


def hang_once(marker: Path, number: int) -> int:
    """A render that hangs the first time it comes to number 1."""
    if number == 1 and not marker.exists():
        marker.touch()
        time.sleep(600)
    return number


def refuse(number: int) -> int:
    """A render that cannot go on."""
    raise InputError("the sounds are missing")


def fail(number: int) -> int:
    """A render with a mistake in it."""
    raise KeyError(number)


def die(number: int) -> int:
    """A render whose process is ended from outside, as by a lack of memory."""
    signal.raise_signal(signal.SIGTERM)
    return number


def run(job: Any, numbers: int, limit_seconds: float = 0.5) -> list[tuple[int, Any]]:
    return sorted(
        workers.run(
            job, list(range(numbers)), lambda number: f"track {number}", limit_seconds, workers=2
        )
    )


def test_a_hung_worker_is_killed_and_its_track_named(monkeypatch: pytest.MonkeyPatch) -> None:
    crew: list[Any] = []
    start = workers._Worker.__init__

    def remember(self: Any, *arguments: Any) -> None:
        start(self, *arguments)
        crew.append(self.process)

    monkeypatch.setattr(workers._Worker, "__init__", remember)
    with pytest.raises(InputError, match=r"track 2 was not rendered within 0 s.*symusic"):
        run(hang, 4, limit_seconds=0.4)
    assert len(crew) == 3  # two to begin with, and one for the second attempt
    assert not any(process.is_alive() for process in crew)


def test_a_track_that_hangs_once_is_made_the_second_time(tmp_path: Path) -> None:
    assert run(partial(hang_once, tmp_path / "hung"), 3) == [(0, 0), (1, 1), (2, 2)]


@pytest.mark.parametrize(
    ("job", "error", "message"),
    [
        (refuse, InputError, "the sounds are missing"),
        (fail, RuntimeError, "KeyError"),
        (die, InputError, r"rendering track \d \(exit code -15\)"),
    ],
)
def test_errors_of_workers_reach_the_caller(job: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        run(job, 2)
