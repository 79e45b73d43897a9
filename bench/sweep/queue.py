"""What Slurm says of a sweep's jobs: one query for all of them, and what it has said is kept, since it forgets.

`squeue --states=all` lists jobs for some minutes after they ended (MinJobAge); `sacct`, where there
is one, for longer. Answers are matched by the launch's own job name as well as by id, for ids start
again from 1 when a cluster's state is wiped.
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
_STUCK = ("launch failed requeued held", "dependencyneversatisfied")
AT_WORK = ("RUNNING", "COMPLETING", "STAGE_OUT", "SIGNALING", "STOPPED", "RESIZING")
_NO_LOG = 53  # what slurmd says of a job whose log it cannot open
_IN_WORDS = {
    "TIMEOUT": "over its time limit",
    "OUT_OF_MEMORY": "out of memory",
    "NODE_FAIL": "its node failed",
    "PREEMPTED": "preempted",
    "BOOT_FAIL": "its node did not start",
    "DEADLINE": "over its deadline",
}


def ask(folder: Path, names: Sequence[str], max_age: float = QUERY_SECONDS) -> dict[str, Tree]:
    """What Slurm says of the jobs of those names.

    Args:
        folder: of the sweep; `slurm.json` there keeps the answers.
        names: job names of its launches.
        max_age: an answer that is no older, in seconds, is taken in place of a new one.

    Returns:
        "NAME ID" -> {"state", "reason", "exit"}.
    """
    path = folder / "slurm.json"
    if not names:
        return dict(_kept(path)["jobs"])
    with suppress(OSError), open(folder / "slurm.lock", "a") as file:
        with suppress(OSError):  # where there are no locks, two that ask at the same moment both do
            fcntl.flock(file, fcntl.LOCK_EX)
        return _asked(path, names, max_age)
    return _asked(path, names, max_age)  # in somebody else's home


def _kept(path: Path) -> Tree:
    return dict(read_json(path)) if path.is_file() else {"asked": 0.0, "jobs": {}, "error": ""}


def _asked(path: Path, names: Sequence[str], max_age: float) -> dict[str, Tree]:
    kept = _kept(path)
    if time.time() - kept["asked"] < max_age:
        return dict(kept["jobs"])
    jobs, error = _squeue(names)
    known: dict[str, Tree] = dict(kept["jobs"])
    for key, one in known.items():
        if key not in jobs and not error and one["state"] in (*WAITING, *AT_WORK):
            one["state"] = "GONE"
    known |= jobs
    gone = [key for key, one in known.items() if one["state"] == "GONE"]
    if gone and shutil.which("sacct"):
        known |= _sacct(names)
    with suppress(OSError):  # a full disk
        answered = kept.get("answered", 0.0) if error else time.time()
        write_json(
            path, {"asked": time.time(), "answered": answered, "jobs": known, "error": error}
        )
    return known


def silence(folder: Path) -> str:
    """What there is to say where Slurm has not answered the last time that it was asked of a sweep.

    "" where it has.
    """
    kept = _kept(folder / "slurm.json")
    if not kept["error"]:
        return ""
    minutes = (time.time() - kept.get("answered", 0.0)) / 60
    last = (
        f"what stands here of its jobs is {minutes:.0f} min old"
        if kept.get("answered")
        else "it never has"
    )
    return f"{kept['error']}: {last}"


def stuck(job: Tree) -> bool:
    """Whether a waiting job will never start by itself, though nobody has held it by hand."""
    held = str(job.get("reason")).lower().replace("_", " ") in _STUCK
    return job["state"] in ("REQUEUE_HOLD", "SPECIAL_EXIT") or (job["state"] in WAITING and held)


def in_words(job: Tree) -> str:
    """How a job ended, for a person."""
    state = str(job["state"]).split()[0]
    code, _, number = str(job.get("exit") or "0:0").partition(":")
    if state.startswith("CANCELLED"):
        return (
            "cancelled (scancel)"
            if job.get("reason") in (None, "", "None")
            else f"cancelled ({job['reason']})"
        )
    words = _IN_WORDS.get(state, state.lower())
    if job.get("reason") == "OutOfMemory":
        words = "out of memory"
    if state == "FAILED":
        code_number = int(code) if code.isdigit() else 0
        killed = int(number) if number.isdigit() else 0
        if code_number > 128:
            killed = code_number - 128
        words = f"killed by signal {killed}" if killed else f"exit code {code}"
        if killed == _NO_LOG:
            words = "its log could not be opened"
    return f"{words} (Slurm: {state})"


def _squeue(names: Sequence[str]) -> tuple[dict[str, Tree], str]:
    columns = "JobArrayID:|,Name:|,State:|,Reason:|,exit_code:"
    command = [
        "squeue",
        "--noheader",
        "--array",
        "--states=all",
        f"--name={','.join(names)}",
        "-O",
        columns,
    ]
    done = _run(command)
    if done is None:
        return {}, "squeue does not answer"
    found = {}
    for line in done.splitlines():
        parts = [part.strip() for part in line.split("|")]
        if len(parts) >= 5:
            raw = int(parts[4]) if parts[4].isdigit() else 0  # squeue prints what wait() returned
            ended = f"{raw >> 8}:{raw & 127}"
            found[f"{parts[1]} {parts[0]}"] = {"state": parts[2], "reason": parts[3], "exit": ended}
    return found, ""


def _sacct(names: Sequence[str]) -> dict[str, Tree]:
    columns = "JobID,JobName%60,State,Reason,ExitCode"
    done = _run(
        [
            "sacct",
            "--noheader",
            "-P",
            "-X",
            f"--name={','.join(names)}",
            "-o",
            columns,
            "-S",
            "now-30days",
        ]
    )
    found = {}
    for line in (done or "").splitlines():
        job, name, state, reason, code = line.split("|")[:5]
        found[f"{name} {job}"] = {"state": state.split()[0], "reason": reason, "exit": code}
    return found


def _run(command: list[str]) -> str | None:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
