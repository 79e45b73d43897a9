"""The scheduler of `--cluster local`: a process of its own that runs a launch's jobs, a few at a time.

It leads a session of its own, so that a closed terminal does not end it, and leaves the same files
as Slurm's jobs do. Of all launches from one home together no more jobs run than there are places,
and no two on one GPU: a place is a locked file, and the job holds the lock for as long as it lives,
also when its scheduler was killed.
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
    """A job at work: its first task, which is the attempt, and those that help it to pretrain."""

    process: "subprocess.Popen[bytes]"
    helpers: "list[subprocess.Popen[bytes]]"

    def ended(self) -> int | None:
        """Its exit status; None while it is at work.

        Helpers that outlive the first task are ended.
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
    """Starts a scheduler for a launch and returns at once; what names its process."""
    job = folder.job(read_json(launch / "launch.json")["jobs"][0])
    with open(launch / "scheduler.txt", "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.sweep.local", str(folder.path), str(launch)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            env=os.environ | environment(Path(job["code"])),
        )  # fmt: skip
    return {**this_process(), "pid": process.pid, "start": process_start(process.pid)}


def schedule(folder: SweepFolder, launch: Path) -> None:
    """Runs a launch's jobs, those first that others need; ends when all have ended."""
    record = read_json(launch / "launch.json")
    jobs = {name: folder.job(name) for name in record["jobs"]}
    most = record["at_once"] or cap(list(jobs.values()))
    places = folder.path.parent.parent / "places" / socket.gethostname()
    places.mkdir(parents=True, exist_ok=True)
    slots = gpus()  # without any, all runs on the CPU
    waiting, running, ended = list(jobs), dict[str, _Child](), dict[str, int]()
    told: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        told.append(number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    while waiting or running:
        if told:
            _end(running)
            waiting = []
        for name in list(waiting):
            job = jobs[name]
            needs = [ended.get(one) for one in job["needs"] if one in jobs]
            wanted = job["resources"]["gpus"] if slots else 0
            never = "a job that it needs has failed" if any(needs) else ""
            if wanted > len(slots):
                never = f"it asks for {wanted} GPUs, and there are {len(slots)}"
            if never:
                waiting.remove(name)
                ended[name] = 1
                print(f"{name}: not started: {never}", flush=True)
                with suppress(OSError):
                    write_json(
                        launch / f"{name}.exit.json", {"code": 1, "signal": "", "note": never}
                    )
            elif None not in needs and len(running) < most:
                own = _take(places, [f"job-{place}" for place in range(most)], 1)
                if own is None:
                    break
                taken = _take(places, [f"gpu-{one}" for one in slots], wanted)
                if taken is not None:
                    waiting.remove(name)
                    visible = [one.removeprefix("gpu-") for one in taken]
                    running[name] = _start(folder, name, launch, visible, (own | taken).values())
                for place in (own | (taken or {})).values():
                    os.close(place)
        for name, child in list(running.items()):
            status = child.ended()
            if status is not None:
                del running[name]
                ended[name] = status
                with suppress(OSError):  # a full disk: the other jobs may still get through
                    _note_exit(folder, name, launch, child.process.pid, status)
        time.sleep(_POLL_SECONDS)


def gpus() -> list[str]:
    """The GPUs of this machine that may be used, by the names that CUDA_VISIBLE_DEVICES takes."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [one for one in given.split(",") if one.strip() and one.strip() != "-1"]
    if not shutil.which("nvidia-smi"):
        return []
    done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    return [
        str(place) for place, line in enumerate(done.stdout.splitlines()) if line.startswith("GPU ")
    ]


def cap(jobs: list[Tree]) -> int:
    """How many run at once: as many as there are GPUs for those that need one.

    Else as the processor's cores allow.
    """
    if any(job["resources"]["gpus"] for job in jobs) and gpus():
        return len(gpus())
    return max(1, (os.cpu_count() or 1) // max(int(job["resources"]["cpus"]) for job in jobs))


def _take(folder: Path, names: list[str], count: int) -> dict[str, int] | None:
    """Locks as many of the named places as wanted: name -> open file; None where fewer are free."""
    found: dict[str, int] = {}
    for name in names:
        if len(found) == count:
            break
        file = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            continue
        except OSError:  # no locks on this file system: each launch counts for itself
            pass
        found[name] = file
    if len(found) == count:
        return found
    for file in found.values():
        os.close(file)
    return None


def _start(
    folder: SweepFolder, name: str, launch: Path, gpus: list[str], places: Iterable[int]
) -> _Child:
    visible = {"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus else {}
    tasks = int(folder.job(name)["resources"]["tasks"])
    world = {"WORLD_SIZE": str(tasks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    started = []
    for rank in range(tasks):
        own = {**world, "RANK": str(rank), "LOCAL_RANK": str(rank)} if tasks > 1 else {}
        # What is printed before the attempt has a log of its own, and all that helpers print.
        with open(launch / (f"{name}-task-{rank}.txt" if rank else f"{name}.txt"), "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "bench.sweep.job", str(folder.path), name, launch.name],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=os.environ | visible | own,
                pass_fds=tuple(places),
            )  # fmt: skip
        started.append(process)
    return _Child(started[0], started[1:])


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _note_exit(folder: SweepFolder, name: str, launch: Path, pid: int, status: int) -> None:
    """Says how a process ended, which it cannot say itself when it is killed.

    Maybe before it had made an attempt.
    """
    ended = {"code": max(status, 0), "signal": signal.Signals(-status).name if status < 0 else ""}
    for attempt in reversed(folder.attempts(name)):
        if attempt.status["process"]["pid"] == pid:
            write_json(attempt.folder / "exit.json", ended)
            return
    write_json(launch / f"{name}.exit.json", ended)


def exit_in_words(ended: Tree) -> str:
    """How a process ended, for a person."""
    hint = "; the kernel does that when memory runs out" if ended["signal"] == "SIGKILL" else ""
    return (
        f"killed by {ended['signal']}{hint}"
        if ended["signal"]
        else ended.get("note") or f"exit code {ended['code']}"
    )


def exit_before_beginning(launch: Path, name: str) -> str:
    """How a job of a launch ended before it had made an attempt; "" where it did not."""
    path = launch / f"{name}.exit.json"
    return exit_in_words(read_json(path)) if path.is_file() else ""


def _end(running: dict[str, _Child]) -> None:
    """Has the jobs write their checkpoints and end."""
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
