"""The files of a sweep on disk: its folder in home, its jobs, and every attempt at a job.

There is no daemon and no database: each file has one writer, is written under a temporary name and
renamed, and the state of a job is read from the files that it left.

    sweeps/NAME-ID/cells.json               the cells, their jobs and the names of their results
    sweeps/NAME-ID/jobs/JOB/job.json        what a job computes
    sweeps/NAME-ID/jobs/JOB/attempts/0001/  status.json, heartbeat and log.txt of an attempt;
                                            exit.json, written by the process that started it
    sweeps/NAME-ID/launches/0001/           launch.json: the jobs started together, and where
    sweeps/NAME-ID/code/HASH/               the copy of the code that the jobs run
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
    """The age in seconds from which a heartbeat no longer counts as a sign of life.

    The environment variable BENCH_STALE_SECONDS sets it, for file systems that show changes late.
    """
    return float(os.environ.get("BENCH_STALE_SECONDS", _STALE_SECONDS))


@cache
def machine() -> str:
    """A name for where process ids have the same meaning: host, boot and process namespace.

    Two containers on one host, or one host before and after a restart, have different names.
    """
    parts = [socket.gethostname()]
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        pass
    return " ".join(parts)


def process_start(pid: int) -> str | None:
    """The time at which a process was started, in the kernel's clock ticks since boot.

    Together with the process id it identifies a process, since ids are used again.

    Returns:
        The time as text, or None where no such process runs (a zombie counts as none).
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field, the program's name in brackets, may itself hold blanks and brackets.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def this_process() -> Tree:
    """What another process needs to tell whether this one still runs (see `lives`)."""
    pid = os.getpid()
    return {
        "machine": machine(),
        "host": socket.gethostname(),
        "pid": pid,
        "start": process_start(pid),
    }


def slurm_id() -> str:
    """The id of this job as Slurm prints it, such as `17_3` in an array; "" outside Slurm."""
    array, place = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{place}" if array else os.environ.get("SLURM_JOB_ID", "")


def lives(process: Tree) -> bool | None:
    """Whether a process still runs; None where that cannot be seen from this machine.

    Args:
        process: what `this_process` returned in that process.
    """
    if process.get("machine") != machine() or not Path("/proc/self/stat").exists():
        return None
    return bool(process_start(process["pid"]) == process["start"])


def beats(path: Path, within: float | None = None) -> bool:
    """Whether a heartbeat file was touched recently.

    Args:
        path: the file; a missing one counts as not touched.
        within: the greatest age in seconds; `stale_seconds` where it is not given.
    """
    try:
        return time.time() - path.stat().st_mtime < (stale_seconds() if within is None else within)
    except OSError:
        return False


@dataclass(frozen=True)
class Attempt:
    """One attempt at a job, as its files describe it.

    Attributes:
        folder: folder of the attempt.
        status: content of its `status.json`, as last written; empty where there is none.
    """

    folder: Path
    status: Tree

    @property
    def alive(self) -> bool:
        """Whether the attempt is still at work.

        It must say that it runs, have a fresh heartbeat, and its process must not be known to have
        ended.
        """
        running = self.status.get("state") == "running"
        return (
            running
            and beats(self.folder / "heartbeat")
            and lives(self.status["process"]) is not False
        )

    @property
    def exit(self) -> Tree:
        """How the process ended, written by the process that started it; empty if unknown."""
        path = self.folder / "exit.json"
        return dict(read_json(path)) if path.is_file() else {}


def read_attempt(folder: Path) -> Attempt:
    """Reads an attempt from its folder.

    An attempt that was killed before it wrote its first status has an empty status.
    """
    try:
        return Attempt(folder, read_json(folder / "status.json"))
    except (OSError, ValueError):
        return Attempt(folder, {})


class SweepFolder:
    """The folder of one sweep in home, and the reading and writing of its files."""

    def __init__(self, path: Path) -> None:
        """Keeps the path; creates nothing.

        Args:
            path: the folder, which need not exist yet.
        """
        self.path = path

    @property
    def cells(self) -> Tree | None:
        """Content of `cells.json`, written by the last launch; None before the first launch."""
        path = self.path / "cells.json"
        return dict(read_json(path)) if path.is_file() else None

    def job(self, name: str) -> Tree:
        """Reads what a job computes (see `bench.sweep.jobs.Job.content`)."""
        return dict(read_json(self.path / "jobs" / name / "job.json"))

    def write_job(self, name: str, content: Tree) -> None:
        """Writes what a job computes."""
        folder = self.path / "jobs" / name
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "job.json", content)

    def attempts(self, name: str) -> list[Attempt]:
        """The attempts at a job that wrote a status, the oldest first."""
        try:
            folders = sorted(
                entry.path for entry in os.scandir(self.path / "jobs" / name / "attempts")
            )
        except OSError:
            return []
        attempts = [read_attempt(Path(folder)) for folder in folders]
        return [attempt for attempt in attempts if attempt.status]

    def new_attempt(self, name: str) -> Path:
        """Makes a new folder for an attempt at a job."""
        return _numbered(self.path / "jobs" / name / "attempts")

    def new_launch(self) -> Path:
        """Makes a new folder for a launch."""
        return _numbered(self.path / "launches")

    def launches(self) -> list[tuple[Path, Tree]]:
        """Folder and `launch.json` of every launch, the oldest first."""
        paths = sorted(self.path.glob("launches/*/launch.json"))
        return [(path.parent, read_json(path)) for path in paths]

    @contextmanager
    def launching(self) -> Iterator[None]:
        """Holds a lock so that two launches at the same time do not start a job twice.

        On a file system without locks, only the leases (`bench.sweep.lease`) keep two attempts from
        computing the same cells.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.path / "launch.lock", "a") as file:
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _numbered(parent: Path) -> Path:
    """Makes the folder with the next free number.

    mkdir succeeds for one process alone, so two that want a folder at the same time get two.
    """
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
    """The folder of a sweep.

    Args:
        home: the home folder.
        name: name of the sweep.
        identity: digest of its grid (`bench.sweep.read.Sweep.identity`).
    """
    return SweepFolder(home.resolve() / "sweeps" / f"{name}-{identity}")


def require_launched(folder: SweepFolder, name: str) -> Tree:
    """The content of a sweep's `cells.json`.

    Args:
        folder: folder of the sweep.
        name: the sweep file as the user named it, for the message.

    Raises:
        InputError: it was never launched, or its grid has been changed since.
    """
    cells = folder.cells
    if cells is None:
        stem = folder.path.name.rpartition("-")[0]
        launched = [path.parent.name for path in folder.path.parent.glob("*/cells.json")]
        others = [other for other in sorted(launched) if other.rpartition("-")[0] == stem]
        if others:
            raise InputError(
                f"sweep {name} as it is now was not launched from this home; with other axes or "
                f"settings it was ({', '.join(others)}): undo the change to see or cancel that, "
                f"or bench sweep {name} --dry-run"
            )
        raise InputError(
            f"sweep {name} was not launched from this home: bench sweep {name} --dry-run shows "
            "its plan"
        )
    return cells
