"""What is on disk of a sweep: its folder in home, its jobs, and each attempt at one with status, heartbeat and log.

There is no daemon and no database: each file has one writer, is written under a temporary name and
renamed, and what has become of a job is read from the files that it left.

    sweeps/NAME-ID/cells.json              the cells, the jobs that compute them, where their results will lie
    sweeps/NAME-ID/jobs/JOB/job.json       what a job computes
    sweeps/NAME-ID/jobs/JOB/attempts/0001/ status.json, heartbeat, log.txt; exit.json of the process
    that started it
    sweeps/NAME-ID/launches/0001/          launch.json: which jobs were started together, and how
    sweeps/NAME-ID/code/HASH/              the code that they run
"""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bench.core.errors import InputError
from bench.core.store import read_json, write_json

HEARTBEAT_SECONDS = 5.0
_STALE_SECONDS = 60.0
Tree = dict[str, Any]


def stale_seconds() -> float:
    """How old a heartbeat may be, in seconds.

    BENCH_STALE_SECONDS, where a file system shows changes late.
    """
    return float(os.environ.get("BENCH_STALE_SECONDS", _STALE_SECONDS))


@cache
def machine() -> str:
    """Names this machine, since it was started, as seen from this container: where process ids mean the same."""
    parts = [socket.gethostname()]
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        pass
    return " ".join(parts)


def process_start(pid: int) -> str | None:
    """When a process was started, in the kernel's ticks.

    None where there is no such process, or none but a zombie.
    """
    try:
        fields = (
            Path(f"/proc/{pid}/stat")
            .read_text(encoding="utf-8", errors="replace")
            .rpartition(")")[2]
            .split()
        )
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def this_process() -> Tree:
    """What another process needs to know whether this one lives."""
    return {
        "machine": machine(), "host": socket.gethostname(), "pid": os.getpid(), "start": process_start(os.getpid()),
    }  # fmt: skip


def lives(process: Tree) -> bool | None:
    """Whether a process lives; None where that cannot be seen from here."""
    if process.get("machine") != machine() or not Path("/proc/self/stat").exists():
        return None
    return bool(process_start(process["pid"]) == process["start"])


def beats(path: Path, within: float | None = None) -> bool:
    """Whether a heartbeat is fresh: no older than `within` seconds, or than those after which nobody waits for one."""
    try:
        return time.time() - path.stat().st_mtime < (stale_seconds() if within is None else within)
    except OSError:
        return False


@dataclass(frozen=True)
class Attempt:
    """One attempt at a job, as found on disk.

    Attributes:
        folder: of the attempt.
        status: what it wrote last.
    """

    folder: Path
    status: Tree

    @property
    def alive(self) -> bool:
        """Whether it is at work: it says so, its heart beats, and its process is not known to be gone."""
        running = self.status.get("state") == "running"
        return (
            running
            and beats(self.folder / "heartbeat")
            and lives(self.status["process"]) is not False
        )

    @property
    def exit(self) -> Tree:
        """How its process ended, as the process that started it saw."""
        path = self.folder / "exit.json"
        return dict(read_json(path)) if path.is_file() else {}


def read_attempt(folder: Path) -> Attempt:
    """An attempt as found on disk.

    One that was killed before it could say anything has an empty status.
    """
    try:
        return Attempt(folder, read_json(folder / "status.json"))
    except (OSError, ValueError):
        return Attempt(folder, {})


class SweepFolder:
    """The folder of one sweep."""

    def __init__(self, path: Path) -> None:
        """Names it; nothing is created."""
        self.path = path

    @property
    def cells(self) -> Tree | None:
        """What the last launch wrote of the cells; None before the first."""
        path = self.path / "cells.json"
        return dict(read_json(path)) if path.is_file() else None

    def job(self, name: str) -> Tree:
        """What a job computes."""
        return dict(read_json(self.path / "jobs" / name / "job.json"))

    def write_job(self, name: str, content: Tree) -> None:
        """Says what a job computes."""
        folder = self.path / "jobs" / name
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "job.json", content)

    def attempts(self, name: str) -> list[Attempt]:
        """The attempts at a job, in their order."""
        try:
            folders = sorted(
                entry.path for entry in os.scandir(self.path / "jobs" / name / "attempts")
            )
        except OSError:
            return []
        found = [read_attempt(Path(folder)) for folder in folders]
        return [one for one in found if one.status]

    def new_attempt(self, name: str) -> Path:
        """A fresh folder for an attempt."""
        return _numbered(self.path / "jobs" / name / "attempts")

    def new_launch(self) -> Path:
        """A fresh folder for a launch."""
        return _numbered(self.path / "launches")

    def launches(self) -> list[tuple[Path, Tree]]:
        """The launches, in their order."""
        paths = sorted(self.path.glob("launches/*/launch.json"))
        return [(path.parent, read_json(path)) for path in paths]

    @contextmanager
    def launching(self) -> Iterator[None]:
        """Held while it is decided what to launch, so that two launches at once do not start a job twice.

        Where the file system has no locks, the leases of the groups alone keep attempts apart.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.path / "launch.lock", "a") as file:
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _numbered(parent: Path) -> Path:
    """Makes the folder with the next number; two that want one at the same time get two."""
    parent.mkdir(parents=True, exist_ok=True)
    number = 1 + max(
        (int(entry.name) for entry in os.scandir(parent) if entry.name.isdigit()), default=0
    )
    while True:
        folder = parent / f"{number:04}"
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1


def folder_of(home: Path, name: str, identity: str) -> SweepFolder:
    """The folder of a sweep in home."""
    return SweepFolder(home.resolve() / "sweeps" / f"{name}-{identity}")


def require_launched(folder: SweepFolder, name: str) -> Tree:
    """What is known of the cells of a sweep.

    Raises:
        InputError: it was never launched, or has been changed since.
    """
    cells = folder.cells
    if cells is None:
        stem = folder.path.name.rpartition("-")[0]
        launches = [path.parent.name for path in folder.path.parent.glob("*/cells.json")]
        others = [one for one in sorted(launches) if one.rpartition("-")[0] == stem]
        if others:
            raise InputError(
                f"sweep {name} as it is now was not launched from this home; with other axes or settings it was "
                f"({', '.join(others)}): undo the change to see or cancel that, or bench sweep {name} --dry-run"
            )
        raise InputError(
            f"sweep {name} was not launched from this home: bench sweep {name} --dry-run shows its plan"
        )
    return cells
