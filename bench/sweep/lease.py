"""Leases: of all attempts at a group of cells, in whatever sweep, at most one is at work.

A lease is a numbered file, and the highest number holds. It is taken by creating the next number,
which the file system grants to one process alone, on network disks too; so who was taken for dead
and wakes up sees a higher number than its own, and may no longer write.
"""

import os
from contextlib import suppress
from pathlib import Path

from bench.core.errors import InputError
from bench.core.store import read_json, write_json
from bench.sweep.state import Tree, beats, lives


class LostLeaseError(Exception):
    """Another attempt was given the group, since this one had not been heard of."""


class Lease:
    """The right to compute a group."""

    def __init__(self, folder: Path, number: int) -> None:
        """Of the folder of the group's leases, held under a number."""
        self._folder, self._number = folder, number

    @property
    def held(self) -> bool:
        """Whether no other attempt has taken it over."""
        return _highest(self._folder) == self._number

    def release(self) -> None:
        """Gives it back."""
        if self.held:
            write_json(self._folder / str(self._number), {"released": True})


def take(home: Path, group: str, attempt: Path, process: Tree) -> Lease | Tree:
    """Takes the lease of a group.

    Args:
        home: holds the leases of all sweeps.
        group: of cells, or a data set to prepare.
        attempt: whose `heartbeat` says that the holder lives.
        process: of the holder (`state.this_process`).

    Returns:
        The lease, or who holds it.
    """
    folder = home / "leases" / group
    folder.mkdir(parents=True, exist_ok=True)
    number = _highest(folder)
    holder = _read(folder / str(number))
    if holder and not holder.get("released") and holds(holder):
        return holder
    mine = {"attempt": str(attempt), "process": process}
    temporary = folder / f".{number + 1}.{os.getpid()}.{attempt.parent.parent.name}"
    write_json(temporary, mine)
    try:
        os.link(temporary, folder / str(number + 1))
    except FileExistsError:
        return _read(folder / str(_highest(folder)))
    except OSError:  # a file system without hard links
        try:
            os.close(os.open(folder / str(number + 1), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return _read(folder / str(_highest(folder)))
        write_json(folder / str(number + 1), mine)
    finally:
        temporary.unlink(missing_ok=True)
    for old in range(max(1, number - 1), number):  # the last but one stays, for who looks for it
        with suppress(OSError):
            (folder / str(old)).unlink(missing_ok=True)
    return Lease(folder, number + 1)


def holds(holder: Tree) -> bool:
    """Whether the holder of a lease is at work."""
    if "attempt" not in holder:  # just being written, where there are no hard links
        return not holder.get("released")
    return beats(Path(holder["attempt"]) / "heartbeat") and lives(holder["process"]) is not False


def holder(home: Path, group: str) -> Tree | None:
    """Who is at work on a group; None where nobody is."""
    folder = home / "leases" / group
    number = _highest(folder)
    found = _read(folder / str(number)) if number else {}
    return found if found.get("attempt") and holds(found) else None


def _highest(folder: Path) -> int:
    try:
        return max(
            (int(entry.name) for entry in os.scandir(folder) if entry.name.isdigit()), default=0
        )
    except OSError:
        return 0


def _read(path: Path) -> Tree:
    try:
        return dict(read_json(path))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        if path.exists() and not path.stat().st_size:
            return {}
        raise InputError(f"the lease {path} is damaged: remove it if nothing runs") from error
