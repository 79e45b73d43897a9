"""What the downloads of one call share: folder, patience with servers, progress, stop signal."""

import threading
from dataclasses import dataclass
from pathlib import Path

from bench.data.manifest import Progress


@dataclass(frozen=True)
class Patience:
    """How long a download waits, and how often it is tried again.

    Attributes:
        connect_seconds: how long a connection may take to be made.
        stall_seconds: how long no byte may arrive before a connection counts as dropped.
        attempts: how many may fail one after the other; those that brought at least 1 MiB do not
            count.
        first_wait_seconds: wait before the second attempt; each further wait is twice as long.
        longest_wait_seconds: a server that asks for a longer wait counts as out of reach.
    """

    connect_seconds: float = 20.0
    stall_seconds: float = 60.0
    attempts: int = 7
    first_wait_seconds: float = 1.0
    longest_wait_seconds: float = 600.0


class StoppedError(Exception):
    """The download was stopped because of the error of another file."""


class Meter:
    """Adds up the bytes of files that arrive at the same time."""

    def __init__(self, progress: Progress) -> None:
        """Calls `progress` with (done, total) bytes, from one thread at a time."""
        self._progress, self._lock = progress, threading.Lock()
        self._done: dict[str, int] = {}
        self._total: dict[str, int] = {}

    def at(self, name: str, done: int, total: int | None) -> None:
        """Reports how many bytes of a file have arrived, of how many (None where not known)."""
        with self._lock:
            self._done[name], self._total[name] = done, max(done, total or 0)
            self._progress(sum(self._done.values()), sum(self._total.values()))


@dataclass(frozen=True)
class Job:
    """What all downloads of one call share.

    Attributes:
        folder: the data set's root.
        workers: how many files arrive at the same time.
        patience: with servers and networks.
        meter: takes the progress.
        stop: set when an error has ended the work for all files.
    """

    folder: Path
    workers: int
    patience: Patience
    meter: Meter
    stop: threading.Event

    def go_on(self) -> None:
        """Raises StoppedError where another file's error has ended the work."""
        if self.stop.is_set():
            raise StoppedError
