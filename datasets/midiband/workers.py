"""Worker processes with a time limit that holds even where C code never returns and keeps the interpreter's lock.

A pool of the standard library would wait for ever, so the parent watches each worker itself: one
job at a time over a pipe, a deadline for each, and a kill when it passes. Workers are daemons, and
carry an alarm of their own in case the parent is killed while they hang.
"""

import contextlib
import multiprocessing
import os
import signal
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any

from bench.data.manifest import InputError

START_SECONDS = 120.0
"""Limit for a worker to start and import its modules: long, since a busy machine's disk may be
slow.
"""
ATTEMPTS = 2
"""A job that ran into the limit is tried again once, in a new worker: the machine may just have
been asleep.
"""

Job = Callable[[int], Any]


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _serve(connection: Connection, job: Job, limit_seconds: float) -> None:
    """A worker's whole life: say that it is ready, then answer numbers with results until the pipe closes."""
    # Ctrl-C reaches the whole process group; the parent decides what happens, and kills the
    # workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection.send(("ready", None))
    while True:
        try:
            number = connection.recv()
        except EOFError:
            return
        if hasattr(signal, "setitimer"):
            # The alarm's default action is taken by the kernel, so it ends this process even inside
            # hung C code.
            signal.setitimer(signal.ITIMER_REAL, 2 * limit_seconds + 5)
        try:
            answer: tuple[str, Any] = ("done", job(number))
        except InputError as error:
            answer = ("input error", str(error))
        except OSError as error:
            answer = (
                "system error",
                (error.errno, error.strerror, error.filename and str(error.filename)),
            )
        except Exception:
            answer = ("error", traceback.format_exc())
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        connection.send(answer)


class _Worker:
    """The parent's view of one worker: its process, its pipe, the job in hand and the time by which it must answer."""

    def __init__(self, job: Job, limit_seconds: float) -> None:
        """Starts the process."""
        # A fork would copy the locks of threads that the parent may have (torch's), some of them
        # held.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(
            target=_serve, args=(theirs, job, limit_seconds), daemon=True
        )
        self.process.start()
        theirs.close()
        self.number: int | None = None
        self.is_ready = False
        self.deadline = time.monotonic() + START_SECONDS

    def give(self, number: int, limit_seconds: float) -> None:
        """Hands over a job."""
        self.number = number
        self.deadline = time.monotonic() + limit_seconds
        # A worker that has just died is found by the end of its pipe, where the message for the
        # user is made.
        with contextlib.suppress(BrokenPipeError):
            self.connection.send(number)

    def kill(self) -> None:
        """Ends the process, whatever it is doing."""
        self.process.kill()
        self.process.join()
        self.connection.close()


def run(
    job: Job, numbers: list[int], describe: Callable[[int], str], limit_seconds: float, workers: int
) -> Iterator[tuple[int, Any]]:
    """Runs a job for each number, in worker processes.

    Args:
        job: picklable, as is its result.
        numbers: what it is called with.
        describe: names a job for the user, as in "track 17".
        limit_seconds: time limit of one job.
        workers: how many processes, at most one a number.

    Yields:
        (number, result), in the order in which they are finished.

    Raises:
        InputError: a job ran into the limit ATTEMPTS times, a worker died, or the job raised an
            InputError.
        OSError: the job raised one, such as for a full disk.
        RuntimeError: the job raised anything else; the message holds its traceback.
    """
    waiting = deque(numbers)
    attempts: dict[int, int] = {}
    crew = [_Worker(job, limit_seconds) for _ in range(min(workers, len(numbers)))]
    finished = 0
    try:
        while finished < len(numbers):
            nearest = min(
                worker.deadline
                for worker in crew
                if worker.number is not None or not worker.is_ready
            )
            answered = wait(
                [worker.connection for worker in crew], timeout=max(0.0, nearest - time.monotonic())
            )
            for worker in [worker for worker in crew if worker.connection in answered]:
                number = worker.number
                kind, value = _receive(worker, describe)
                if kind == "done" and number is not None:
                    finished += 1
                    yield number, value
                worker.number, worker.is_ready = None, True
                if waiting:
                    worker.give(waiting.popleft(), limit_seconds)
            crew = [
                _replace_late(worker, job, limit_seconds, waiting, attempts, describe)
                for worker in crew
            ]
    finally:
        for worker in crew:
            worker.kill()


def _receive(worker: _Worker, describe: Callable[[int], str]) -> tuple[str, Any]:
    """A worker's answer; raises where it is an error, or where the worker is dead."""
    try:
        kind, value = worker.connection.recv()
    except (EOFError, ConnectionError) as error:
        worker.process.join()
        doing = "starting" if worker.number is None else f"rendering {describe(worker.number)}"
        raise InputError(
            f"a worker process ended while {doing} (exit code {worker.process.exitcode}); it may have run out of "
            "memory. Call again: finished tracks are kept. A script that calls this must guard its main part with "
            "'if __name__ == \"__main__\":'"
        ) from error
    if kind == "input error":
        raise InputError(value)
    if kind == "system error":
        raise OSError(*value)
    if kind == "error":
        what = "a worker" if worker.number is None else describe(worker.number)
        raise RuntimeError(f"{what} failed:\n{value}")
    return kind, value


def _replace_late(
    worker: _Worker,
    job: Job,
    limit_seconds: float,
    waiting: deque[int],
    attempts: dict[int, int],
    describe: Callable[[int], str],
) -> _Worker:
    """The worker itself, or, where it is past its deadline, a new one in its place, with the job put back in front."""
    is_busy = worker.number is not None or not worker.is_ready
    if not is_busy or time.monotonic() < worker.deadline or worker.connection.poll():
        return worker
    number = worker.number
    if number is None:
        raise InputError(
            f"a worker process did not start within {START_SECONDS:.0f} s; is the machine overloaded? Call again"
        )
    attempts[number] = attempts.get(number, 0) + 1
    if attempts[number] >= ATTEMPTS:
        raise InputError(
            f"{describe(number)} was not rendered within {limit_seconds:.0f} s, {ATTEMPTS} times; the synthesizer "
            "hangs on some notes. Check that symusic is of version 0.5 (pip install 'symusic<0.6'), or choose "
            "another seed"
        )
    worker.kill()
    waiting.appendleft(number)
    return _Worker(job, limit_seconds)
