"""One attempt at a job: what a node runs.

It writes its status and heartbeat, holds leases, and stops when told to.
"""

import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing import resource_tracker
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from bench.core import progress
from bench.core.errors import InputError, LostProcessError
from bench.core.progress import Stopped, say
from bench.core.store import Store, explain, write_json
from bench.core.world import World, end_process
from bench.results import code_version, now
from bench.settings.specs import RunSpec
from bench.sweep import lease, snapshot
from bench.sweep.spec import PRODUCTS
from bench.sweep.state import HEARTBEAT_SECONDS, SweepFolder, Tree, read_attempt, this_process

if TYPE_CHECKING:
    from bench.stages.pretrain.processes import Processes

_STALE_EXIT = 75  # EX_TEMPFAIL of sysexits.h
_LOOK_AGAIN_SECONDS = 1.0


class _FencedStore(Store):
    """A home in which an attempt that has lost its lease finishes nothing, and makes what its job is there for."""

    def __init__(self, home: Path, attempt: "_Attempt", job: Tree) -> None:
        super().__init__(home)
        self._guard, self._folder = attempt.guard, attempt.folder
        self._others = {
            product: stage for stage, product in PRODUCTS.items() if stage not in job["stages"]
        }

    @property
    def worker(self) -> str:
        return str(self._folder)

    def abandoned(self, worker: str) -> bool:
        """Whether an attempt that holds a lock is taken for dead, so that its lease was given to this one."""
        return bool(worker) and not read_attempt(Path(worker)).alive

    def produce(self, stage: str, key: str, make: Callable[[Path], None]) -> Path:
        if stage in self._others and not self.has(stage, key):
            raise InputError(
                f"what {self._others[stage]} makes is gone, and this job does not make it: launch the sweep again"
            )

        def guarded(folder: Path) -> None:
            self._guard()
            make(folder)
            self._guard()

        return super().produce(stage, key, guarded)


class _Attempt:
    """The files of the attempt at work in this process."""

    def __init__(self, folder: Path, launch: str) -> None:
        self.folder = folder
        self.leases: list[lease.Lease] = []
        self.status: Tree = {
            "state": "running", "process": this_process(), "launch": launch, "started": now(), "done": [], "note": "",
            "slurm": slurm_id(), "restarts": int(os.environ.get("SLURM_RESTART_COUNT", 0)),
        }  # fmt: skip
        self._over = threading.Event()
        (folder / "heartbeat").touch()
        self.write()

    def write(self, **changes: Any) -> None:
        self.status |= changes
        write_json(self.folder / "status.json", self.status)

    def guard(self) -> None:
        """Called before anything is written that others read.

        Raises:
            LostLeaseError: another attempt has taken over.
            Stopped: the attempt was told to stop.
        """
        if not all(one.held for one in self.leases):
            raise lease.LostLeaseError
        if progress.stopping():
            raise Stopped(progress.stopping())

    def beat(self) -> None:
        """Shows life as long as this process has a right to.

        Ends it where another attempt has taken over.
        """
        while not self._over.wait(HEARTBEAT_SECONDS):
            if not all(one.held for one in self.leases):
                say("another attempt has taken over, since this one had not been heard of: ending")
                os._exit(_STALE_EXIT)
            with suppress(OSError):  # a full or distant disk: the next beat may do
                os.utime(self.folder / "heartbeat")

    def end(self) -> None:
        self._over.set()
        for one in self.leases:
            with suppress(OSError):
                one.release()


def slurm_id() -> str:
    """The job's id as Slurm prints it; "" outside Slurm."""
    array, place = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{place}" if array else os.environ.get("SLURM_JOB_ID", "")


def run_job(folder: Path, name: str, launch: str, *, own_process: bool = True) -> int:
    """Makes one attempt at a job.

    Args:
        folder: of the sweep.
        name: of the job.
        launch: number of the launch that started it.
        own_process: whether the process is the attempt's alone: its output goes to the attempt's
            log, it runs frozen code, and signals tell it to stop.

    Returns:
        Exit status: 0 when all is done or in other hands, 1 when something failed or what others
        need is not there.
    """
    sweep = SweepFolder(folder)
    job = sweep.job(name)
    attempt = _Attempt(sweep.new_attempt(name), launch)
    threading.Thread(target=attempt.beat, daemon=True).start()
    progress.ask_to_stop("")
    try:
        if own_process:
            _log_to(attempt.folder / "log.txt")
            attempt.write(code=snapshot.check(Path(job["code"])))
        else:
            attempt.write(code=code_version())
        with _signals_of_a_job(folder, job) if own_process else _nothing():
            return _work(job, attempt, name)
    except Stopped as stopped:
        return _stopped(attempt, str(stopped), job)
    except lease.LostLeaseError:
        say("another attempt has taken over, since this one had not been heard of: ending")
        return _STALE_EXIT  # its status is no longer its own to write
    except KeyboardInterrupt:
        attempt.write(state="stopped", note="interrupted", ended=now())
        raise
    except SystemExit as exit_:
        attempt.write(state="failed", note=f"exited with code {exit_.code}", ended=now())
        raise
    except BaseException as error:
        if isinstance(error, InputError) and progress.stopping():  # a worker was told to stop, too
            say(f"bench: {error}")
            return _stopped(attempt, progress.stopping(), job)
        error = explain(error) or error if isinstance(error, OSError) else error  # a full disk
        known = isinstance(error, InputError | LostProcessError)
        note = str(error) if known else f"{type(error).__name__}: {error}"
        with suppress(OSError):  # the disk may be full: then the log, or Slurm, says what happened
            attempt.write(state="failed", note=note, ended=now())
        print(f"bench: {error}" if known else traceback.format_exc(), file=sys.stderr, flush=True)
        return 1
    finally:
        attempt.end()


def assist_job(folder: Path, name: str) -> int:
    """Takes part in the pretrainings of a job's attempt, as one of its tasks after the first.

    It writes nothing but what it prints, and its end is no failure: what keeps it from its part,
    the first task learns.

    Args:
        folder: of the sweep.
        name: of the job.

    Returns:
        Exit status: 0, or Slurm would take the whole job for failed, whatever the first task says
        of it.
    """
    from bench.stages.pretrain.processes import joined
    from bench.stages.run import assist
    from bench.stages.session import Place

    job = SweepFolder(folder).job(name)
    os.chdir(job["cwd"])
    progress.ask_to_stop("")
    try:
        with _signals(folder), joined(World.from_environment(), job["device"]) as processes:
            assist(
                Place(
                    Store(Path(job["home"])),
                    Path(job["results"]),
                    job["device"],
                    processes=processes,
                )
            )
    except Stopped:
        pass
    except (InputError, LostProcessError) as error:
        say(f"bench: {error}")
    except Exception:
        traceback.print_exc()
    return 0


@contextmanager
def _joined(job: Tree) -> Iterator["Processes | None"]:
    """With the other tasks of the job; None where there are none."""
    world = World.from_environment()
    if world.size == 1:
        yield None
        return
    from bench.stages.pretrain.processes import joined

    with joined(world, job["device"]) as processes:
        yield processes


def _work(job: Tree, attempt: _Attempt, name: str) -> int:
    os.chdir(job["cwd"])
    with _joined(
        job
    ) as processes:  # the others wait to be told what to train, or that there is nothing
        return _compute_free(job, attempt, name, processes)


def _compute_free(job: Tree, attempt: _Attempt, name: str, processes: "Processes | None") -> int:
    """Computes what no other attempt is at."""
    taken, others = _take(job, attempt, Path(job["home"]))
    if others:
        say(
            f"{name}: {len(others)} of {len(job['leases'])} parts are in work by {others[0]}: left to it"
        )
    missed = set(job["leases"]) - taken
    cells = [cell for cell in job["cells"] if not missed & {cell["group"], f"cell-{cell['id']}"}]
    if not taken or (job["kind"] == "cells" and not cells):
        attempt.write(
            state="left", note=f"left to {others[0]}: launch again when that has ended", ended=now()
        )
        # Jobs that need this one's product are not to start before it is there; a data set they
        # wait for themselves.
        return 0 if job["kind"] == "prepare" or "probe" in job["stages"] else 1
    failed = (
        _prepare(job, attempt)
        if job["kind"] == "prepare"
        else _compute(job, attempt, cells, processes)
    )
    note = (
        f"{failed[0]}" + (f" (and {len(failed) - 1} more)" if len(failed) > 1 else "")
        if failed
        else ""
    )
    attempt.write(state="failed" if failed else "done", note=note, ended=now())
    return 1 if failed else 0


def _take(job: Tree, attempt: _Attempt, home: Path) -> tuple[set[str], list[str]]:
    """Takes the leases of a job.

    Returns the names of those it got, and the attempts that hold the others. Slurm can put a job in
    line again, since it lost a node, while the process there lives. The new attempt waits until
    that one has ended or is taken for dead, for nobody else would do its work.
    """
    taken: set[str] = set()
    others: list[str] = []
    for name in job["leases"]:
        while True:
            got = lease.take(home, name, attempt.folder, this_process())
            if isinstance(got, lease.Lease):
                attempt.leases.append(got)
                taken.add(name)
                break
            other = got.get("attempt", "another attempt")
            if not attempt.status["restarts"] or Path(other).parent != attempt.folder.parent:
                others.append(other)
                break
            attempt.guard()
            time.sleep(_LOOK_AGAIN_SECONDS)
    return taken, others


def _prepare(job: Tree, attempt: _Attempt) -> list[str]:
    from bench.settings.specs import PlugIn
    from bench.stages.prepare.stage import prepared

    store = _FencedStore(Path(job["home"]), attempt, job)
    prepared(PlugIn.model_validate(job["dataset"]), job["rate"], store, "dataset")
    return []


def _compute(
    job: Tree, attempt: _Attempt, cells: list[Tree], processes: "Processes | None"
) -> list[str]:
    """The stages of a job for cells.

    What goes wrong with one group does not keep the next from its turn.
    """
    from bench.stages.run import encode, run
    from bench.stages.session import Place

    bases = {base: RunSpec.model_validate(spec) for base, spec in job["bases"].items()}
    store = _FencedStore(Path(job["home"]), attempt, job)
    place = Place(store, Path(job["results"]), job["device"], attempt.guard)
    place = replace(place, processes=processes) if processes else place
    failed: list[str] = []
    for group in job["groups"]:
        own = [cell for cell in cells if cell["group"] == group]
        specs = [bases[cell["base"]].model_copy(update=cell["at"]) for cell in own]
        try:
            if "probe" not in job["stages"]:
                encode(specs, place, embed="embed" in job["stages"])
                continue
            for index, result in run(specs, place):
                attempt.status["done"].append(own[index]["id"])
                attempt.write()
                score = result.metrics["map_macro"].value
                say(f"cell {own[index]['id']}: {own[index]['label']}: mAP {score:.3f}")
        except InputError as error:
            say(f"bench: {error}")
            attempt.guard()  # a worker may have been told to stop, too
            failed.append(str(error))
        except Exception as error:
            if len(job["groups"]) == 1 or isinstance(
                error, lease.LostLeaseError | LostProcessError | OSError
            ):
                raise
            traceback.print_exc()
            failed.append(f"{type(error).__name__}: {error}")
    return failed


def _stopped(attempt: _Attempt, why: str, job: Tree) -> int:
    """Says that a checkpoint was written, and has Slurm put the job in line again where it is to go on."""
    requeue = why in ("USR2",) and bool(attempt.status["slurm"])
    if requeue and attempt.status["restarts"] >= job["requeues"]:
        attempt.write(
            state="stopped",
            note=f"put in line {job['requeues']} times (site.requeues)",
            ended=now(),
        )
        return 1
    if not requeue:
        attempt.write(
            state="stopped", note=f"told to stop ({why}); goes on from its checkpoint", ended=now()
        )
        return 1
    attempt.write(
        state="requeued", note="told to make room; goes on from its checkpoint", ended=now()
    )
    attempt.end()
    done = subprocess.run(
        ["scontrol", "requeue", attempt.status["slurm"]],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:  # it may be doing so already: Slurm's word on the job tells
        say(f"Slurm would not put it in line again: {done.stderr.strip()}")
        return 1
    time.sleep(30)  # Slurm ends this process; leaving by itself first could count as the job's end
    return 1


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _signals(folder: Path) -> Iterator[None]:
    """USR2 and SIGTERM ask for a checkpoint.

    Slurm sends SIGTERM before it cancels a job and before it preempts one, which it puts in line
    again only if the job has not ended by itself. So on Slurm a job that is not cancelled by `bench
    cancel` writes its checkpoint and goes on for as long as it is let.
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
def _signals_of_a_job(folder: Path, job: Tree) -> Iterator[None]:
    """As `_signals`.

    And what Slurm sends to every process of a job is left to this one, for workers would die of it.
    What it starts inherits the signals that are blocked here, and works on until this process ends
    it. The thread of the heartbeat, which was started before, receives them.
    """
    told = {signal.SIGUSR2, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, told)
    if job["kind"] == "prepare":
        # else the first worker starts it, and Python 3.11 then lets SIGTERM through
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, told)
    try:
        with _signals(folder):
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _log_to(path: Path) -> None:
    """Sends everything that this process prints, C libraries included, to the attempt's log."""
    with open(path, "ab", buffering=0) as log:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


def run_task(folder: Path, name: str, launch: str) -> int:
    """What each task of a job does: the first makes the attempt, the others help it to pretrain.

    Returns:
        Exit status. A process that is one of several ends here, by itself (see
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


if __name__ == "__main__":
    sys.exit(run_task(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
