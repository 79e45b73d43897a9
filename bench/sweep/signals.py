"""Signals of a job: which of them ask for a checkpoint, and which workers must not receive."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from types import FrameType

from bench.core import progress
from bench.sweep.state import Tree, slurm_id


@contextmanager
def checkpoint_on_signals(folder: Path) -> Iterator[None]:
    """Within it, USR2 and SIGTERM ask the computation for a checkpoint.

    Slurm sends SIGTERM both before it cancels a job and before it preempts one, and it puts a
    preempted job in line again only if the job has not ended by itself. So on Slurm, unless `bench
    cancel` was called, SIGTERM makes a job write its checkpoint and go on for as long as it is let.

    Args:
        folder: folder of the sweep, in which `bench cancel` leaves the file `cancelled`.
    """

    def handle(number: int, _: FrameType | None) -> None:
        name = signal.Signals(number).name.removeprefix("SIG")
        if number == signal.SIGTERM and slurm_id() and not (folder / "cancelled").exists():
            progress.ask_for_checkpoint()
            return
        progress.ask_to_stop(name)

    before = {number: signal.signal(number, handle) for number in (signal.SIGUSR2, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def signals_of_a_job(folder: Path, job: Tree) -> Iterator[None]:
    """As `checkpoint_on_signals`, and keeps the same signals from the processes started within.

    Slurm sends signals to every process of a job, and workers would die of them. A started process
    inherits the set of blocked signals; so they are blocked in this thread, and the workers go on
    until this process ends them. The thread of the heartbeat, which was started before, does not
    block them and receives them for the whole process.

    Args:
        folder: folder of the sweep.
        job: content of the job's file.
    """
    blocked = {signal.SIGUSR2, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    if job["kind"] == "prepare":
        # Otherwise the first worker starts the tracker, and Python 3.11 unblocks SIGTERM when it
        # does, so that later workers would receive it.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    try:
        with checkpoint_on_signals(folder):
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
