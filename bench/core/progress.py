"""Progress on standard error: a bar on a terminal, a plain line now and then elsewhere."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

_LINE_SECONDS = 10.0
"""Time between two lines of progress, where they are not written on a terminal."""
_QUIET_SECONDS = 2.0
"""Work that takes less is not worth a line."""

_interrupts: list[int] = []
"""The signals of Ctrl-C that have come in and may have been lost."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Makes Ctrl-C take effect at the next progress report at the latest.

    Python raises KeyboardInterrupt wherever the program stands. Inside a callback of a C library,
    such as the one in which torch writes a checkpoint, the exception is printed and lost, and a
    training of days would go on.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(number: int, _: FrameType | None) -> None:
        _interrupts.append(number)
        raise KeyboardInterrupt

    _interrupts.clear()
    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Stopped(BaseException):
    """The process was told to stop, and has written what it needs to go on."""


_asked = {"stop": "", "checkpoint": "", "reported": ""}
"""What this process is asked to do, with the reasons; "reported": the reason at the last report."""


def ask_to_stop(why: str) -> None:
    """Makes the running work write a checkpoint, and raise `Stopped` at its next report but one.

    Not at the next report, since it may be that of a step after which no checkpoint was written.

    Args:
        why: the reason, for messages; "" takes the request back.
    """
    _asked.update(stop=why, checkpoint=why, reported="")


def ask_for_checkpoint() -> None:
    """Makes training write a checkpoint after the current step, and go on."""
    _asked["checkpoint"] = "asked"


def stopping() -> str:
    """The reason for which the process is to stop; "" where it is not."""
    return _asked["stop"]


def checkpoint_wanted() -> bool:
    """Whether a checkpoint was asked for, beyond those that are due.

    Reading the answer withdraws the request, so that one request gives one checkpoint.
    """
    wanted, _asked["checkpoint"] = bool(_asked["checkpoint"]), ""
    return wanted


class Report(Protocol):
    """A function that work calls after each item, to show how far it is."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Shows the progress.

        Args:
            done: number of items that are done.
            total: number of items in all.
            note: text behind the numbers.
        """
        ...


def say(text: str) -> None:
    """Prints one line on standard error."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def progress(title: str, unit: str) -> Iterator[Report]:
    """Shows how far a piece of work is, how fast it goes, and how long it will still take.

    Args:
        title: what is done, such as "prepare midiband".
        unit: what is counted, such as "tracks".

    Yields:
        The function that the work calls after each item.
    """
    if sys.stderr.isatty():
        with _bar(title, unit) as report:
            yield _heeding(report)
    else:
        yield _heeding(_lines(title, unit))


def silent() -> Report:
    """A report that shows nothing; requests to stop take effect at it all the same."""
    return _heeding(lambda done, total, note="": None)


def _heeding(report: Report) -> Report:
    """Adds to a report that Ctrl-C and requests to stop take effect there."""

    def heed(done: int, total: int, note: str = "") -> None:
        if _interrupts:
            raise KeyboardInterrupt
        if stopping() and _asked["reported"]:
            raise Stopped(stopping())
        _asked["reported"] = stopping()
        report(done, total, note)

    return heed


def _lines(title: str, unit: str) -> Report:
    """A report that prints a line now and then, for logs."""
    start = last = time.monotonic()
    first_done: int | None = None

    def report(done: int, total: int, note: str = "") -> None:
        nonlocal last, first_done
        now = time.monotonic()
        if first_done is None:
            first_done = done
        finished = done >= total
        if (finished and now - start > _QUIET_SECONDS) or (
            not finished and now - last >= _LINE_SECONDS
        ):
            last = now
            speed = (done - first_done) / max(now - start, 1e-9)
            left = "" if finished or speed == 0 else f", {(total - done) / speed:.0f} s left"
            behind = f"; {note}" if note else ""
            say(f"{title}: {done}/{total} {unit}, {speed:.1f} {unit}/s{left}{behind}")

    return report


@contextmanager
def _bar(title: str, unit: str) -> Iterator[Report]:
    """A report that moves a bar, for terminals."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True))
    with bar:
        task = bar.add_task(title, total=None, note="")

        def report(done: int, total: int, note: str = "") -> None:
            bar.update(task, completed=done, total=total, note=note)

        yield report
