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
_QUIET_SECONDS = 2.0


_interrupts: list[int] = []


@contextmanager
def interruptible() -> Iterator[None]:
    """Makes Ctrl-C take effect at the next progress report at the latest.

    Python raises KeyboardInterrupt wherever the program stands. In the callback of a C library,
    such as that in which torch writes a checkpoint, it is printed and lost, and a training of days
    goes on.
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


def ask_to_stop(why: str) -> None:
    """Has the work of this process write a checkpoint and raise `Stopped` at its next report but one; "" takes it back.

    Not at the next one: what is reported then may be a step that no checkpoint was written after.
    """
    _asked.update(stop=why, checkpoint=why, reported="")


def ask_for_checkpoint() -> None:
    """Has training write a checkpoint after this step, and go on."""
    _asked["checkpoint"] = "asked"


def stopping() -> str:
    """Why the process is to stop; "" where it is not."""
    return _asked["stop"]


def checkpoint_wanted() -> bool:
    """Whether a checkpoint is asked for, beside those that are due.

    Asked once, it is wanted once.
    """
    wanted, _asked["checkpoint"] = bool(_asked["checkpoint"]), ""
    return wanted


class Report(Protocol):
    """Called as work goes on."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Says that `done` of `total` are done; `note` stands behind the numbers."""
        ...


def say(text: str) -> None:
    """One line on standard error."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def progress(title: str, unit: str) -> Iterator[Report]:
    """Shows how far a piece of work is, how fast it goes, and what is left.

    Args:
        title: what is done, such as "prepare midiband".
        unit: what is counted, such as "tracks".
    """
    if sys.stderr.isatty():
        with _bar(title, unit) as report:
            yield _heeding(report)
    else:
        yield _heeding(_lines(title, unit))


def silent() -> Report:
    """A report that shows nothing, and heeds Ctrl-C all the same."""
    return _heeding(lambda done, total, note="": None)


def _heeding(report: Report) -> Report:
    def heed(done: int, total: int, note: str = "") -> None:
        if _interrupts:
            raise KeyboardInterrupt
        if stopping() and _asked["reported"]:
            raise Stopped(stopping())
        _asked["reported"] = stopping()
        report(done, total, note)

    return heed


def _lines(title: str, unit: str) -> Report:
    start = last = time.monotonic()
    first_done: int | None = None

    def report(done: int, total: int, note: str = "") -> None:
        nonlocal last, first_done
        now = time.monotonic()
        if first_done is None:
            first_done = done
        finished = done >= total
        # Work of under two seconds is not worth a line.
        if (finished and now - start > _QUIET_SECONDS) or (
            not finished and now - last >= _LINE_SECONDS
        ):
            last = now
            speed = (done - first_done) / max(now - start, 1e-9)
            left = "" if finished or speed == 0 else f", {(total - done) / speed:.0f} s left"
            say(
                f"{title}: {done}/{total} {unit}, {speed:.1f} {unit}/s{left}{'; ' + note if note else ''}"
            )

    return report


@contextmanager
def _bar(title: str, unit: str) -> Iterator[Report]:
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
