"""Worker processes with a time limit for each job, which holds even in C code that never returns.

Such code keeps the interpreter's lock, and a pool of the standard library would wait for it for
ever. So the parent watches each worker itself: it sends one job at a time over a pipe, gives it a
deadline, and kills the worker when that has passed. Workers are daemons, and have an alarm of their
own in case the parent is killed while they hang.
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
"""Time limit for a worker to start and to import its modules; long, for a busy machine's disk."""
ATTEMPTS = 2
"""How often a job is tried that runs into its limit: the machine may just have been asleep."""

Job = Callable[[int], Any]
"""What is done for each number; its result is sent back to the parent."""


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _serve(connection: Connection, job: Job, limit_seconds: float) -> None:
    """Runs in a worker: says that it is ready, then answers numbers until the pipe closes."""
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
            # The kernel itself ends the process when the alarm goes off, even inside C code that
            # hangs.
            signal.setitimer(signal.ITIMER_REAL, 2 * limit_seconds + 5)
        try:
            answer: tuple[str, Any] = ("done", job(number))
        except InputError as error:
            answer = ("input error", str(error))
        except OSError as error:
            parts = (error.errno, error.strerror, error.filename and str(error.filename))
            answer = ("system error", parts)
        except Exception:
            answer = ("error", traceback.format_exc())
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        connection.send(answer)


class _Worker:
    """One worker as the parent sees it.

    Attributes:
        connection: the parent's end of the pipe.
        process: the worker's process.
        number: the job that it works on; None where it has none.
        is_ready: whether it has started.
        deadline: when it must have answered, on the clock `time.monotonic`.
    """

    def __init__(self, job: Job, limit_seconds: float) -> None:
        """Starts the process."""
        # A forked process would inherit locks that the parent's other threads (torch's) hold, and
        # wait for them for ever.
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
        # That a worker has just died is noticed when its answer is received, where the message to
        # the user is made.
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
        job: what is run; it and its result can be pickled.
        numbers: what it is called with.
        describe: names the job of a number in messages, as in "track 17".
        limit_seconds: time limit of one job.
        workers: how many processes; no more are started than there are numbers.

    Yields:
        (number, result), in the order in which they are finished.

    Raises:
        InputError: a job ran into the limit ATTEMPTS times, a worker died or did not start, or the
            job raised an InputError.
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
            f"a worker process ended while {doing} (exit code {worker.process.exitcode}); it may "
            "have run out of memory. Call again: finished tracks are kept. A script that calls "
            "this must guard its main part with 'if __name__ == \"__main__\":'"
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
    """Replaces a worker that is past its deadline; its job is put back at the head of the queue.

    Returns:
        The worker itself where it is not late, else the new one.

    Raises:
        InputError: the worker never started, or its job has now run into the limit ATTEMPTS times.
    """
    is_busy = worker.number is not None or not worker.is_ready
    if not is_busy or time.monotonic() < worker.deadline or worker.connection.poll():
        return worker
    number = worker.number
    if number is None:
        raise InputError(
            f"a worker process did not start within {START_SECONDS:.0f} s; is the machine "
            "overloaded? Call again"
        )
    attempts[number] = attempts.get(number, 0) + 1
    if attempts[number] >= ATTEMPTS:
        raise InputError(
            f"{describe(number)} was not rendered within {limit_seconds:.0f} s, {ATTEMPTS} times; "
            "the synthesizer hangs on some notes. Check that symusic is of version 0.5 "
            "(pip install 'symusic<0.6'), or choose another seed"
        )
    worker.kill()
    waiting.appendleft(number)
    return _Worker(job, limit_seconds)
