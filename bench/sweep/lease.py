"""Leases: of all attempts at a group of cells, in whatever sweep, at most one is at work.

A lease is a numbered file in the group's folder, and the attempt with the highest number holds it.
It is taken by creating the next number, which a file system, a network disk too, allows to one
process alone. So an attempt that was taken for dead and wakes up sees a higher number than its own,
and knows that it may no longer write.
"""

import os
from contextlib import suppress
from pathlib import Path

from bench.core.errors import InputError
from bench.core.store import read_json, write_json
from bench.sweep.state import Tree, beats, lives


class LostLeaseError(Exception):
    """Another attempt was given the group, because this one showed no sign of life for long."""


class Lease:
    """The right to compute a group."""

    def __init__(self, folder: Path, number: int) -> None:
        """Describes a lease that has been taken.

        Args:
            folder: folder of the group's lease files.
            number: number of the file by which it is held.
        """
        self._folder, self._number = folder, number

    @property
    def held(self) -> bool:
        """Whether no other attempt has taken the lease over."""
        return _highest(self._folder) == self._number

    def release(self) -> None:
        """Gives the lease back; of no effect where another attempt has taken it over."""
        if self.held:
            write_json(self._folder / str(self._number), {"released": True})


def take(home: Path, group: str, attempt: Path, process: Tree) -> Lease | Tree:
    """Takes the lease of a group, unless another attempt holds it.

    Args:
        home: the home folder, which holds the leases of all sweeps.
        group: name of a group of cells, a cell, or a data set to prepare.
        attempt: folder of the attempt; its file `heartbeat` shows that the holder is alive.
        process: process of the attempt (`bench.sweep.state.this_process`).

    Returns:
        The lease, or the content of the file of whoever holds it.

    Raises:
        InputError: the lease's file is damaged.
    """
    folder = home / "leases" / group
    folder.mkdir(parents=True, exist_ok=True)
    number = _highest(folder)
    current = _read(folder / str(number))
    if current and not current.get("released") and holds(current):
        return current
    mine = {"attempt": str(attempt), "process": process}
    temporary = folder / f".{number + 1}.{os.getpid()}.{attempt.parent.parent.name}"
    write_json(temporary, mine)
    # A hard link appears with its whole content, and only if the name is free.
    try:
        os.link(temporary, folder / str(number + 1))
    except FileExistsError:
        return _read(folder / str(_highest(folder)))
    except OSError:  # a file system without hard links: the file is empty for a moment
        try:
            os.close(os.open(folder / str(number + 1), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return _read(folder / str(_highest(folder)))
        write_json(folder / str(number + 1), mine)
    finally:
        temporary.unlink(missing_ok=True)
    # The file before the highest one stays, for a process that has just listed the folder.
    for old in range(max(1, number - 1), number):
        with suppress(OSError):
            (folder / str(old)).unlink(missing_ok=True)
    return Lease(folder, number + 1)


def holds(holder: Tree) -> bool:
    """Whether the attempt that a lease file names is still at work."""
    if "attempt" not in holder:  # just being written, on a file system without hard links
        return not holder.get("released")
    return beats(Path(holder["attempt"]) / "heartbeat") and lives(holder["process"]) is not False


def holder(home: Path, group: str) -> Tree | None:
    """The lease file of the attempt that is at work on a group; None where there is none.

    Args:
        home: the home folder.
        group: name of a group of cells, a cell, or a data set to prepare.
    """
    folder = home / "leases" / group
    number = _highest(folder)
    content = _read(folder / str(number)) if number else {}
    return content if content.get("attempt") and holds(content) else None


def _highest(folder: Path) -> int:
    """The highest number of a lease file; 0 where there is none."""
    try:
        return max(
            (int(entry.name) for entry in os.scandir(folder) if entry.name.isdigit()), default=0
        )
    except OSError:
        return 0


def _read(path: Path) -> Tree:
    """Content of a lease file; empty where it is missing or has no content yet."""
    try:
        return dict(read_json(path))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        if path.exists() and not path.stat().st_size:
            return {}
        raise InputError(f"the lease {path} is damaged: remove it if nothing runs") from error
