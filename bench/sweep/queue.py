"""What Slurm says of a sweep's jobs, asked for all of them at once and kept in a file.

Slurm forgets: `squeue --states=all` lists a job for some minutes after it ended (MinJobAge), and
`sacct`, where there is an accounting database, for longer. Answers are matched by the job name of
the launch as well as by id, because ids start again from 1 when a cluster's state is wiped.
"""

import fcntl
import shutil
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from bench.core.store import read_json, write_json
from bench.sweep.state import Tree

QUERY_SECONDS = 30.0
WAITING = (
    "PENDING",
    "REQUEUED",
    "REQUEUE_HOLD",
    "REQUEUE_FED",
    "SUSPENDED",
    "CONFIGURING",
    "SPECIAL_EXIT",
)
AT_WORK = ("RUNNING", "COMPLETING", "STAGE_OUT", "SIGNALING", "STOPPED", "RESIZING")
_STUCK = ("launch failed requeued held", "dependencyneversatisfied")
_NO_LOG = 53  # signal number that slurmd reports for a job whose log it cannot open
_IN_WORDS = {
    "TIMEOUT": "over its time limit",
    "OUT_OF_MEMORY": "out of memory",
    "NODE_FAIL": "its node failed",
    "PREEMPTED": "preempted",
    "BOOT_FAIL": "its node did not start",
    "DEADLINE": "over its deadline",
}


def ask(folder: Path, names: Sequence[str], max_age: float = QUERY_SECONDS) -> dict[str, Tree]:
    """Asks Slurm for the jobs of some launches.

    Args:
        folder: folder of the sweep; `slurm.json` there keeps the answers.
        names: job names of the launches.
        max_age: a kept answer is used again if it is younger, in seconds.

    Returns:
        For every job, by "NAME ID": its "state", "reason" and "exit" as Slurm has them. The state
        is "GONE" of a job that Slurm no longer knows.
    """
    path = folder / "slurm.json"
    if not names:
        return dict(_kept(path)["jobs"])
    with suppress(OSError), open(folder / "slurm.lock", "a") as file:
        with suppress(OSError):  # on a file system without locks, two may ask at the same moment
            fcntl.flock(file, fcntl.LOCK_EX)
        return _asked(path, names, max_age)
    return _asked(path, names, max_age)  # the home of another user, which cannot be written


def _kept(path: Path) -> Tree:
    """The answers that are kept, with the times at which Slurm was asked and last answered."""
    return dict(read_json(path)) if path.is_file() else {"asked": 0.0, "jobs": {}, "error": ""}


def _asked(path: Path, names: Sequence[str], max_age: float) -> dict[str, Tree]:
    """As `ask`, while the lock is held."""
    kept = _kept(path)
    if time.time() - kept["asked"] < max_age:
        return dict(kept["jobs"])
    jobs, error = _squeue(names)
    known: dict[str, Tree] = dict(kept["jobs"])
    for key, job in known.items():
        if key not in jobs and not error and job["state"] in (*WAITING, *AT_WORK):
            job["state"] = "GONE"
    known |= jobs
    gone = [key for key, job in known.items() if job["state"] == "GONE"]
    if gone and shutil.which("sacct"):
        known |= _sacct(names)
    with suppress(OSError):  # a full disk
        answered = kept.get("answered", 0.0) if error else time.time()
        write_json(
            path, {"asked": time.time(), "answered": answered, "jobs": known, "error": error}
        )
    return known


def silence(folder: Path) -> str:
    """Says that Slurm did not answer when it was last asked for a sweep, and how old its word is.

    Args:
        folder: folder of the sweep.

    Returns:
        A line for the user; "" where Slurm has answered.
    """
    kept = _kept(folder / "slurm.json")
    if not kept["error"]:
        return ""
    if not kept.get("answered"):
        return f"{kept['error']}: it never has"
    minutes = (time.time() - kept["answered"]) / 60
    return f"{kept['error']}: what stands here of its jobs is {minutes:.0f} min old"


def stuck(job: Tree) -> bool:
    """Whether a waiting job will never start by itself, though no user holds it.

    Slurm holds jobs whose node failed to start them, and jobs that depend on a failed one.

    Args:
        job: an answer of `ask`.
    """
    held = str(job.get("reason")).lower().replace("_", " ") in _STUCK
    return job["state"] in ("REQUEUE_HOLD", "SPECIAL_EXIT") or (job["state"] in WAITING and held)


def in_words(job: Tree) -> str:
    """How a job ended, for the user.

    Args:
        job: an answer of `ask`.
    """
    state = str(job["state"]).split()[0]
    if state.startswith("CANCELLED"):
        by = "scancel" if job.get("reason") in (None, "", "None") else job["reason"]
        return f"cancelled ({by})"
    words = _IN_WORDS.get(state, state.lower())
    if job.get("reason") == "OutOfMemory":
        words = "out of memory"
    if state == "FAILED":
        words = _exit_in_words(str(job.get("exit") or "0:0"))
    return f"{words} (Slurm: {state})"


def _exit_in_words(text: str) -> str:
    """The end of a failed job, from Slurm's "CODE:SIGNAL"."""
    code, _, number = text.partition(":")
    status = int(code) if code.isdigit() else 0
    killed = int(number) if number.isdigit() else 0
    if status > 128:  # a shell reports a signal as 128 and its number
        killed = status - 128
    if killed == _NO_LOG:
        return "its log could not be opened"
    return f"killed by signal {killed}" if killed else f"exit code {code}"


def _squeue(names: Sequence[str]) -> tuple[dict[str, Tree], str]:
    """What squeue says of jobs, as `ask` returns it, and what is wrong where it says nothing."""
    command = ["squeue", "--noheader", "--array", "--states=all", f"--name={','.join(names)}"]
    command += ["-O", "JobArrayID:|,Name:|,State:|,Reason:|,exit_code:"]
    text = _run(command)
    if text is None:
        return {}, "squeue does not answer"
    jobs = {}
    for line in text.splitlines():
        parts = [part.strip() for part in line.split("|")]
        if len(parts) >= 5:
            raw = int(parts[4]) if parts[4].isdigit() else 0  # what the system call wait() returned
            ended = f"{raw >> 8}:{raw & 127}"
            jobs[f"{parts[1]} {parts[0]}"] = {"state": parts[2], "reason": parts[3], "exit": ended}
    return jobs, ""


def _sacct(names: Sequence[str]) -> dict[str, Tree]:
    """What the accounting database says of jobs of the last 30 days, as `ask` returns it."""
    command = ["sacct", "--noheader", "-P", "-X", f"--name={','.join(names)}"]
    command += ["-o", "JobID,JobName%60,State,Reason,ExitCode", "-S", "now-30days"]
    jobs = {}
    for line in (_run(command) or "").splitlines():
        job, name, state, reason, code = line.split("|")[:5]
        jobs[f"{name} {job}"] = {"state": state.split()[0], "reason": reason, "exit": code}
    return jobs


def _run(command: list[str]) -> str | None:
    """What a command prints; None where it fails or takes longer than a minute."""
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
