"""The program that a job runs: one attempt at the job, from its first status to its exit status.

`python -m bench.sweep.job FOLDER JOB LAUNCH` starts it. The attempt writes its status and
heartbeat, holds leases on what it computes, and writes a checkpoint when it is told to stop.
"""

import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.core import progress
from bench.core.errors import InputError, LostProcessError
from bench.core.progress import Stopped, say
from bench.core.store import Store, explain
from bench.core.versions import code_version, now
from bench.core.world import World, end_process
from bench.sweep import lease, snapshot
from bench.sweep.attempt import STALE_EXIT, RunningAttempt
from bench.sweep.compute import compute
from bench.sweep.signals import checkpoint_on_signals, signals_of_a_job
from bench.sweep.state import SweepFolder, Tree


def run_job(folder: Path, name: str, launch: str, *, own_process: bool = True) -> int:
    """Makes one attempt at a job.

    Args:
        folder: folder of the sweep.
        name: name of the job.
        launch: number of the launch that started it.
        own_process: whether the process belongs to the attempt alone. If so, its output goes to the
            attempt's log, it must run the frozen copy of the code, and signals tell it to stop.

    Returns:
        Exit status: 0 when everything is done or another attempt is at it; 1 when something failed
        or a product that later jobs need is missing.
    """
    sweep = SweepFolder(folder)
    job = sweep.job(name)
    attempt = RunningAttempt(sweep.new_attempt(name), launch)
    threading.Thread(target=attempt.beat, daemon=True).start()
    progress.ask_to_stop("")
    try:
        if own_process:
            _log_to(attempt.folder / "log.txt")
            attempt.write(code=snapshot.check(Path(job["code"])))
        else:
            attempt.write(code=code_version())
        with signals_of_a_job(folder, job) if own_process else _unchanged_signals():
            return compute(job, attempt, name)
    except Stopped as stopped:
        return _stopped(attempt, str(stopped), job)
    except lease.LostLeaseError:
        say("another attempt has taken over, since this one had not been heard of: ending")
        return STALE_EXIT  # without a lease the attempt may no longer write its status
    except KeyboardInterrupt:
        attempt.write(state="stopped", note="interrupted", ended=now())
        raise
    except SystemExit as exit_:
        attempt.write(state="failed", note=f"exited with code {exit_.code}", ended=now())
        raise
    except BaseException as error:
        # A worker that was told to stop, too, shows as an InputError of this process.
        if isinstance(error, InputError) and progress.stopping():
            say(f"bench: {error}")
            return _stopped(attempt, progress.stopping(), job)
        return _failed(attempt, error)
    finally:
        attempt.end()


def _failed(attempt: RunningAttempt, error: BaseException) -> int:
    """Writes down and prints an error that ended an attempt; returns the exit status."""
    error = explain(error) or error if isinstance(error, OSError) else error  # a full disk
    known = isinstance(error, InputError | LostProcessError)
    note = str(error) if known else f"{type(error).__name__}: {error}"
    with suppress(OSError):  # with a full disk the log, or Slurm, must say what happened
        attempt.write(state="failed", note=note, ended=now())
    text = f"bench: {error}" if known else traceback.format_exc()
    print(text, file=sys.stderr, flush=True)
    return 1


def _stopped(attempt: RunningAttempt, why: str, job: Tree) -> int:
    """Notes that an attempt has stopped, and has Slurm put the job in line again if it should.

    Args:
        attempt: the attempt, whose checkpoint is written.
        why: name of the signal that stopped it; USR2 comes from Slurm before the time limit and
            before a preemption, and the job is then put in line again.
        job: content of the job's file.

    Returns:
        The exit status.
    """
    requeue = why in ("USR2",) and bool(attempt.status["slurm"])
    if requeue and attempt.status["restarts"] >= job["requeues"]:
        note = f"put in line {job['requeues']} times (site.requeues)"
        attempt.write(state="stopped", note=note, ended=now())
        return 1
    if not requeue:
        note = f"told to stop ({why}); goes on from its checkpoint"
        attempt.write(state="stopped", note=note, ended=now())
        return 1
    note = "told to make room; goes on from its checkpoint"
    attempt.write(state="requeued", note=note, ended=now())
    attempt.end()
    command = ["scontrol", "requeue", attempt.status["slurm"]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:  # Slurm may be doing so already; its own state of the job then counts
        say(f"Slurm would not put it in line again: {done.stderr.strip()}")
        return 1
    # Slurm ends this process. If it ended by itself first, that could count as the end of the job.
    time.sleep(30)
    return 1


def assist_job(folder: Path, name: str) -> int:
    """Takes part in the pretrainings of a job, as one of its tasks after the first.

    It writes nothing but what it prints, and its end is no failure: the first task learns what
    keeps it from its part.

    Args:
        folder: folder of the sweep.
        name: name of the job.

    Returns:
        Exit status 0: with another one Slurm would take the whole job for failed, whatever the
        first task says.
    """
    from bench.stages.assist import assist
    from bench.stages.pretrain.processes import joined
    from bench.stages.session import Place

    job = SweepFolder(folder).job(name)
    os.chdir(job["cwd"])
    progress.ask_to_stop("")
    home, results, device = Path(job["home"]), Path(job["results"]), job["device"]
    try:
        with (
            checkpoint_on_signals(folder),
            joined(World.from_environment(), device) as processes,
        ):
            assist(Place(Store(home), results, device, processes=processes))
    except Stopped:
        pass
    except (InputError, LostProcessError) as error:
        say(f"bench: {error}")
    except Exception:
        traceback.print_exc()
    return 0


def run_task(folder: Path, name: str, launch: str) -> int:
    """Runs one task of a job: the first makes the attempt, the others help it to pretrain.

    Args:
        folder: folder of the sweep.
        name: name of the job.
        launch: number of the launch that started it.

    Returns:
        Exit status. A process that is one of several does not return: it is ended here (see
        `bench.core.world.end_process`).
    """
    world = World.from_environment()
    if world.size == 1:
        return run_job(folder, name, launch)
    status = 1
    try:
        status = assist_job(folder, name) if world.rank else run_job(folder, name, launch)
    except SystemExit as exit_:
        status = exit_.code if isinstance(exit_.code, int) else 1
    end_process(status)
    return status


@contextmanager
def _unchanged_signals() -> Iterator[None]:
    """Leaves signals as they are, where the process is not the attempt's alone."""
    yield


def _log_to(path: Path) -> None:
    """Sends all output of this process, also that of C libraries, to the end of a file."""
    with open(path, "ab", buffering=0) as log:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


if __name__ == "__main__":
    sys.exit(run_task(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
