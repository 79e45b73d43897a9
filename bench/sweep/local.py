"""The scheduler of `--cluster local`: a process that runs the jobs of one launch, some at a time.

It leads a session of its own, so that closing the terminal does not end it, and leaves the same
files as jobs on Slurm do.

All launches from one home together run no more jobs than there are places, and no two on one GPU.
A place, or a GPU, is a locked file. The job itself holds the lock for as long as it lives, even if
its scheduler is killed.
"""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from bench.core.store import read_json, write_json
from bench.sweep.snapshot import environment
from bench.sweep.state import SweepFolder, Tree, process_start, this_process

_POLL_SECONDS = 0.1
_KILL_SECONDS = 60.0
_HELPER_SECONDS = 5.0


@dataclass
class _Child:
    """A job that runs.

    Attributes:
        process: its first task, which makes the attempt.
        helpers: its other tasks, which help it to pretrain.
    """

    process: "subprocess.Popen[bytes]"
    helpers: "list[subprocess.Popen[bytes]]"

    def ended(self) -> int | None:
        """Exit status of the first task; None while it runs.

        Helpers that have not ended some seconds after it are killed.
        """
        status = self.process.poll()
        if status is not None:
            for helper in self.helpers:
                try:
                    helper.wait(_HELPER_SECONDS)
                except subprocess.TimeoutExpired:
                    helper.kill()
                    helper.wait()
        return status


def start(folder: SweepFolder, launch: Path) -> Tree:
    """Starts a scheduler for a launch and returns at once.

    Args:
        folder: folder of the sweep.
        launch: folder of the launch.

    Returns:
        The scheduler's process, as `bench.sweep.state.lives` takes it.
    """
    job = folder.job(read_json(launch / "launch.json")["jobs"][0])
    with open(launch / "scheduler.txt", "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.sweep.local", str(folder.path), str(launch)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=os.environ | environment(Path(job["code"])),
        )
    return {**this_process(), "pid": process.pid, "start": process_start(process.pid)}


def schedule(folder: SweepFolder, launch: Path) -> None:
    """Runs the jobs of a launch, those that others need first; returns when all have ended.

    SIGTERM and SIGINT make it end the running jobs and start no others.

    Args:
        folder: folder of the sweep.
        launch: folder of the launch.
    """
    scheduler = _Scheduler(folder, launch)
    told: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        told.append(number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    while scheduler.waiting or scheduler.running:
        if told:
            _end(scheduler.running)
            scheduler.waiting = []
        scheduler.start_free()
        scheduler.collect_ended()
        time.sleep(_POLL_SECONDS)


class _Scheduler:
    """The jobs of one launch: which wait, run and have ended.

    Attributes:
        waiting: names of the jobs that have not started, those that others need first.
        running: the running jobs, by name.
        ended: exit status of the others, by name.
    """

    def __init__(self, folder: SweepFolder, launch: Path) -> None:
        record = read_json(launch / "launch.json")
        self._folder, self._launch = folder, launch
        self._jobs = {name: folder.job(name) for name in record["jobs"]}
        self._most = record["at_once"] or cap(list(self._jobs.values()))
        self._places = folder.path.parent.parent / "places" / socket.gethostname()
        self._places.mkdir(parents=True, exist_ok=True)
        self._gpus = gpus()  # without any, everything runs on the CPU
        self.waiting = list(self._jobs)
        self.running: dict[str, _Child] = {}
        self.ended: dict[str, int] = {}

    def start_free(self) -> None:
        """Starts the jobs that may start now, as far as places and GPUs are free."""
        for name in list(self.waiting):
            job = self._jobs[name]
            needs = [self.ended.get(need) for need in job["needs"] if need in self._jobs]
            wanted = job["resources"]["gpus"] if self._gpus else 0
            never = "a job that it needs has failed" if any(needs) else ""
            if wanted > len(self._gpus):
                never = f"it asks for {wanted} GPUs, and there are {len(self._gpus)}"
            if never:
                self._refuse(name, never)
            elif None not in needs and len(self.running) < self._most:
                place = _lock(self._places, [f"job-{number}" for number in range(self._most)], 1)
                if place is None:
                    return
                self._start(name, wanted, place)

    def _start(self, name: str, wanted: int, place: dict[str, int]) -> None:
        """Starts a job if as many GPUs as it wants are free.

        Args:
            name: name of the job.
            wanted: number of GPUs.
            place: the locked place, which is given back.
        """
        locked = _lock(self._places, [f"gpu-{gpu}" for gpu in self._gpus], wanted)
        if locked is not None:
            self.waiting.remove(name)
            visible = [gpu.removeprefix("gpu-") for gpu in locked]
            files = (place | locked).values()
            self.running[name] = _start_tasks(self._folder, name, self._launch, visible, files)
        for file in (place | (locked or {})).values():
            os.close(file)  # the job has inherited the file and holds the lock

    def _refuse(self, name: str, why: str) -> None:
        """Ends a job that can never start."""
        self.waiting.remove(name)
        self.ended[name] = 1
        print(f"{name}: not started: {why}", flush=True)
        with suppress(OSError):
            write_json(self._launch / f"{name}.exit.json", {"code": 1, "signal": "", "note": why})

    def collect_ended(self) -> None:
        """Notes how the jobs have ended that no longer run."""
        for name, child in list(self.running.items()):
            status = child.ended()
            if status is not None:
                del self.running[name]
                self.ended[name] = status
                with suppress(OSError):  # a full disk: the other jobs may still get through
                    _note_exit(self._folder, name, self._launch, child.process.pid, status)


def gpus() -> list[str]:
    """The GPUs of this machine that may be used, by the names that CUDA_VISIBLE_DEVICES takes."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name for name in given.split(",") if name.strip() and name.strip() != "-1"]
    if not shutil.which("nvidia-smi"):
        return []
    done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    return [
        str(place) for place, line in enumerate(done.stdout.splitlines()) if line.startswith("GPU ")
    ]


def cap(jobs: list[Tree]) -> int:
    """How many jobs run at the same time where the user does not say.

    As many as there are GPUs where a job asks for one, else as many as the CPU cores allow.

    Args:
        jobs: contents of the jobs' files; only their resources are read.
    """
    if any(job["resources"]["gpus"] for job in jobs) and gpus():
        return len(gpus())
    return max(1, (os.cpu_count() or 1) // max(int(job["resources"]["cpus"]) for job in jobs))


def _lock(folder: Path, names: list[str], count: int) -> dict[str, int] | None:
    """Locks some of the named files.

    Args:
        folder: folder of the files, which are created.
        names: names of the files, in the order in which they are tried.
        count: how many to lock.

    Returns:
        Name -> descriptor of the open, locked file; None where fewer are free.
    """
    locked: dict[str, int] = {}
    for name in names:
        if len(locked) == count:
            break
        file = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            continue
        except OSError:  # no locks on this file system: each launch counts for itself
            pass
        locked[name] = file
    if len(locked) == count:
        return locked
    for file in locked.values():
        os.close(file)
    return None


def _start_tasks(
    folder: SweepFolder, name: str, launch: Path, gpus: list[str], files: Iterable[int]
) -> _Child:
    """Starts the tasks of a job.

    Args:
        folder: folder of the sweep.
        name: name of the job.
        launch: folder of the launch.
        gpus: the GPUs that it may use; without any it sees what this process sees.
        files: descriptors of the locked files that its tasks inherit.
    """
    visible = {"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus else {}
    tasks = int(folder.job(name)["resources"]["tasks"])
    world = {"WORLD_SIZE": str(tasks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    started = []
    for rank in range(tasks):
        ranks = {**world, "RANK": str(rank), "LOCAL_RANK": str(rank)} if tasks > 1 else {}
        # Takes what the first task prints before its attempt has a log, and all that helpers print.
        with open(launch / (f"{name}-task-{rank}.txt" if rank else f"{name}.txt"), "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "bench.sweep.job", str(folder.path), name, launch.name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | visible | ranks,
                pass_fds=tuple(files),
            )
        started.append(process)
    return _Child(started[0], started[1:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _note_exit(folder: SweepFolder, name: str, launch: Path, pid: int, status: int) -> None:
    """Writes down how a job's process ended, which it cannot do itself when it is killed.

    The file goes to the attempt that the process made, or to the launch if it had made none yet.

    Args:
        folder: folder of the sweep.
        name: name of the job.
        launch: folder of the launch.
        pid: id of the process.
        status: its exit status; negative for the signal that killed it.
    """
    ended = {"code": max(status, 0), "signal": signal.Signals(-status).name if status < 0 else ""}
    for attempt in reversed(folder.attempts(name)):
        if attempt.status["process"]["pid"] == pid:
            write_json(attempt.folder / "exit.json", ended)
            return
    write_json(launch / f"{name}.exit.json", ended)


def exit_in_words(ended: Tree) -> str:
    """How a process ended, for the user.

    Args:
        ended: content of an exit file: "code", "signal" and perhaps a "note".
    """
    if ended["signal"]:
        hint = "; the kernel does that when memory runs out" if ended["signal"] == "SIGKILL" else ""
        return f"killed by {ended['signal']}{hint}"
    return ended.get("note") or f"exit code {ended['code']}"


def exit_before_beginning(launch: Path, name: str) -> str:
    """How a job ended that had not made an attempt yet; "" where there is no such end.

    Args:
        launch: folder of the launch.
        name: name of the job.
    """
    path = launch / f"{name}.exit.json"
    return exit_in_words(read_json(path)) if path.is_file() else ""


def _end(running: dict[str, _Child]) -> None:
    """Has jobs write their checkpoints and end; kills those that take longer than a minute."""
    for child in running.values():  # helpers stop when the first task does
        child.process.terminate()
    deadline = time.monotonic() + _KILL_SECONDS
    for child in running.values():
        try:
            child.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.process.kill()


if __name__ == "__main__":
    schedule(SweepFolder(Path(sys.argv[1])), Path(sys.argv[2]))
