"""What has become of every job and cell of a sweep, read from the files that the jobs left and from Slurm's word."""

import re
import shutil
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from bench.sweep import local, queue
from bench.sweep.plan import stored_names
from bench.sweep.state import HEARTBEAT_SECONDS, Attempt, SweepFolder, Tree, beats, lives

STATES = ("done", "running", "queued", "stopped", "failed", "missing")
ACTIVE = ("running", "queued")
_BROKEN = ("failed", "stopped", "missing")
_TAIL_BYTES = 4000
_OUT_OF_MEMORY = re.compile(r"exceeded (job )?memory limit|oom.kill", re.IGNORECASE)
_FULL_BYTES = 2**16  # less is free: no file of state fits
_STARTING_SECONDS = 120.0  # after a launch, until Slurm must know its jobs


@dataclass(frozen=True)
class JobState:
    """What has become of a job.

    Attributes:
        state: one of STATES.
        why: it waits, or ended.
        attempt: the last one; None before the first.
        slurm: its id in Slurm, or "".
        need: the job that it needs and that did not end well, or has not ended; "" for none.
        stuck: whether Slurm keeps it in line and will never start it.
    """

    state: str
    why: str = ""
    attempt: Attempt | None = None
    slurm: str = ""
    need: str = ""
    stuck: bool = False


def job_states(
    folder: SweepFolder, names: list[str], max_age: float = queue.QUERY_SECONDS
) -> dict[str, JobState]:
    """The state of jobs.

    Slurm is asked once for all of them, and not again within `max_age` seconds.
    """
    latest: dict[str, tuple[Path, Tree]] = {}
    for path, record in folder.launches():
        latest |= dict.fromkeys(record["jobs"], (path, record))
    records = {
        record["name"]: record for _, record in latest.values() if record["cluster"] == "slurm"
    }
    said = queue.ask(folder.path, list(records), max_age) if records else {}
    found: dict[str, JobState] = {}
    for name in names:
        known = latest.get(name)
        found[name] = (
            _state(folder, name, *known, said) if known else JobState("missing", "never run")
        )
        if known and found[name].state in _BROKEN:
            # Its files may have been read before its last word, and its process looked for after
            # that: once more.
            found[name] = _state(folder, name, *known, said)
    for name in names:  # those first that others need
        if name in latest and (found[name].attempt is None or found[name].state == "missing"):
            needs = [one for one in folder.job(name)["needs"] if one in found]
            broken = [one for one in needs if found[one].state in _BROKEN]
            ahead = [one for one in needs if found[one].state in ACTIVE]
            if (
                ahead and not broken and found[name].state == "queued"
            ):  # why that waits is what there is to know
                need = found[ahead[0]]
                why = (
                    need.why
                    if need.need
                    else f"{ahead[0]}, which it needs, {need.state}: {need.why}"
                )
                found[name] = replace(found[name], why=why, need=ahead[0])
            if broken and found[name].state != "done":
                need = found[broken[0]]
                why = (
                    need.why
                    if need.need
                    else f"{broken[0]}, which it needs, {need.state}: {need.why}"
                )
                found[name] = JobState(need.state, why, need=broken[0])
    return found


def _state(
    folder: SweepFolder, name: str, launch: Path, record: Tree, said: dict[str, Tree]
) -> JobState:
    slurm = record.get("ids", {}).get(name, "")
    word = said.get(f"{record.get('name')} {slurm}") if slurm else None
    attempts = folder.attempts(name)
    for one in reversed(
        attempts
    ):  # not the last alone: a node that Slurm has given up may go on with its job
        if one.alive:  # where Slurm no longer knows it, its id may be another job's by now
            known = slurm if word and word["state"] != "GONE" else ""
            return JobState("running", f"since {one.status['started']}", one, known)
    attempts = [one for one in attempts if one.status["launch"] == launch.name]
    if word and queue.stuck(word):
        last = attempts[-1] if attempts else None
        return JobState(
            "stopped", f"Slurm holds it back for ever: {word['reason']}", last, slurm, stuck=True
        )
    if not attempts:
        return _not_begun(launch, name, record, word, slurm)
    last = attempts[-1]
    state, note = last.status["state"], last.status["note"]
    if state in ("done", "left"):
        # Who needs data that another attempt prepares waits for them by itself.
        there = state == "done" or name.startswith("prepare-")
        return JobState("done" if there else "missing", note, last, slurm)
    if word and word["state"] in queue.WAITING and state in ("running", "requeued"):
        return JobState("queued", f"put in line again ({word['reason']})", last, slurm)
    if state in ("failed", "stopped"):
        return JobState(state, note, last, slurm)
    young = beats(last.folder / "heartbeat", _STARTING_SECONDS)
    if state == "requeued" and (word["state"] in queue.AT_WORK if word else young):
        return JobState("queued", note, last, slurm)
    if word and word["state"] in queue.AT_WORK:
        gone = lives(last.status["process"]) is False
        why = (
            "ends: Slurm has not said how"
            if gone
            else "not heard of for a while, but Slurm says that it runs"
        )
        return JobState("running", why, last, slurm)
    if _just_gone(last, record):
        return JobState("running", "ends: its scheduler has not said how", last, slurm)
    state, why = _death(last, word, _slurm_log(launch, slurm))
    return JobState(state, why + _full(last.folder), last, slurm)


def _full(folder: Path) -> str:
    """A hint where a process may have said nothing since it could not."""
    return "; its disk is full" if shutil.disk_usage(folder).free < _FULL_BYTES else ""


def _just_gone(last: Attempt, record: Tree) -> bool:
    """Whether the scheduler on this machine will say in a moment how an attempt ended."""
    process = record.get("process")
    if record["cluster"] != "local" or last.exit or not process or not lives(process):
        return False
    if lives(last.status["process"]) is not False:  # but stands still
        return False
    return beats(last.folder / "heartbeat", 2 * HEARTBEAT_SECONDS)


def _not_begun(launch: Path, name: str, record: Tree, word: Tree | None, slurm: str) -> JobState:
    young = time.time() - record["created"] < _STARTING_SECONDS
    if record["cluster"] != "slurm":
        ended = local.exit_before_beginning(launch, name)
        if ended:
            return JobState("failed", f"before it began: {ended}")
        process = record.get("process")
        if process is None and young:
            return JobState("queued", "being started")
        alive = lives(process) if process else False
        return (
            JobState("queued", "waits for its turn")
            if alive
            else JobState("missing", "its scheduler has ended")
        )
    if word is None or word["state"] == "GONE":
        if young and word is None:
            return JobState("queued", "just handed in", slurm=slurm)
        return JobState("failed", "Slurm no longer knows it, and it never began", slurm=slurm)
    if word["state"] in queue.WAITING:
        return JobState("queued", f"waits: {word['reason']}", slurm=slurm)
    if word["state"] in queue.AT_WORK:
        return JobState("queued", "starting", slurm=slurm)
    cancelled = word["state"].startswith("CANCELLED")
    return JobState(
        "stopped" if cancelled else "failed",
        f"before it began: {queue.in_words(word)}",
        slurm=slurm,
    )


def _slurm_log(launch: Path, slurm: str) -> str:
    """The end of what Slurm and srun wrote beside a job."""
    for path in launch.glob(f"array-*/{slurm}_0_log.out") if slurm else ():
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return file.read().decode(errors="replace")
    return ""


def _death(last: Attempt, word: Tree | None, slurm_log: str) -> tuple[str, str]:
    """Names how an attempt ended that said nothing."""
    if _OUT_OF_MEMORY.search(slurm_log):  # where Slurm counts it as a plain failure
        return "failed", "out of memory: more than [resources] asks for"
    if word and word["state"] not in ("GONE", "COMPLETED", *queue.AT_WORK, *queue.WAITING):
        return "stopped" if word["state"].startswith("CANCELLED") else "failed", queue.in_words(
            word
        )
    if last.exit:
        return "failed", local.exit_in_words(last.exit)
    if lives(last.status["process"]) is False:
        return (
            "failed",
            f"its process is gone without a word (host {last.status['process']['host']})",
        )
    silent = "" if beats(last.folder / "heartbeat") else ": its heart stopped"
    return "failed", f"died without a word{silent} (host {last.status['process']['host']})"


@dataclass(frozen=True)
class CellState:
    """What has become of a cell."""

    id: str
    label: str
    job: str
    state: str
    why: str


@dataclass(frozen=True)
class Status:
    """What has become of a sweep.

    Attributes:
        cells: every cell.
        jobs: every job that has cells left to compute, and those that prepare data.
    """

    cells: list[CellState]
    jobs: dict[str, JobState]

    @property
    def counts(self) -> Counter[str]:
        """How many cells are in which state."""
        return Counter(one.state for one in self.cells)


def read_status(
    folder: SweepFolder, results_folder: Path, max_age: float = queue.QUERY_SECONDS
) -> Status:
    """Reads the state of a sweep that was launched; a cell is done when its result is stored."""
    cells = (folder.cells or {"cells": []})["cells"]
    done = _finished(folder, cells, results_folder)
    wanted = dict.fromkeys(cell["job"] for cell in cells if cell["id"] not in done)
    jobs = job_states(folder, _with_needs(folder, list(wanted)), max_age)
    # A result is stored before its job says that it has ended: whose job has may have got one since
    # the first look.
    ended = {name for name in wanted if jobs[name].state not in ACTIVE}
    done |= _finished(folder, [cell for cell in cells if cell["job"] in ended], results_folder)
    found = []
    for cell in cells:
        job = JobState("done") if cell["id"] in done else jobs[cell["job"]]
        gone = job.state == "done" and cell["id"] not in done
        state, why = ("missing", "its result is gone") if gone else (job.state, job.why)
        found.append(CellState(cell["id"], cell["label"], cell["job"], state, why))
    return Status(found, jobs)


def _finished(folder: SweepFolder, cells: list[Tree], results_folder: Path) -> set[str]:
    """The ids of those cells that are done."""
    if not cells:
        return set()
    stored = stored_names(results_folder)
    # Before the data were prepared the name of a result was not known: then the job says what it
    # has finished.
    nameless = dict.fromkeys(cell["job"] for cell in cells if not cell["stem"])
    said = {
        job: {one for attempt in folder.attempts(job) for one in attempt.status["done"]}
        for job in nameless
    }
    named = {cell["id"] for cell in cells if cell["stem"] in stored}
    return named | {
        cell["id"] for cell in cells if not cell["stem"] and cell["id"] in said[cell["job"]]
    }


def _with_needs(folder: SweepFolder, names: list[str]) -> list[str]:
    """Jobs with those that they need, and those that these need, first."""
    ordered: dict[str, None] = {}
    started = {name for _, record in folder.launches() for name in record["jobs"]}
    needs = {name: folder.job(name)["needs"] for name in names if name in started}
    level = list(needs)
    levels = [list(names)]
    while level:
        level = list(dict.fromkeys(one for name in level for one in needs[name] if one in started))
        needs |= {name: folder.job(name)["needs"] for name in level}
        levels.append(level)
    for one in reversed(levels):
        ordered |= dict.fromkeys(one)
    return list(ordered)


def log_of(folder: SweepFolder, job: str, lines: int) -> str:
    """The end of what a job printed.

    Of the one that it needs and that failed, where that kept it from starting.
    """
    states = job_states(folder, _with_needs(folder, [job]))
    while states[job].need:
        job = states[job].need
    return log_end(folder, job, states[job], lines)


def log_end(folder: SweepFolder, job: str, state: JobState, lines: int) -> str:
    """The end of what a job printed: of its attempt, or, before that had a log, of what started it.

    Where a job of several tasks failed, with what the others printed.
    """
    launch, record = next(
        (one for one in reversed(folder.launches()) if job in one[1]["jobs"]), (None, {})
    )
    paths, helpers = [state.attempt.folder / "log.txt"] if state.attempt else [], []
    if launch:
        slurm = record.get("ids", {}).get(job)
        slurm_logs = sorted(launch.glob(f"array-*/{slurm}_*_log.out"))
        first = [path for path in slurm_logs if path.name == f"{slurm}_0_log.out"]
        paths += [launch / f"{job}.txt", *first]
        helpers = [
            *sorted(launch.glob(f"{job}-task-*.txt")),
            *(path for path in slurm_logs if path not in first),
        ]
    said = next((end for path in paths if (end := _end(path, lines))), "")
    for number, path in enumerate(helpers if state.state == "failed" else [], start=1):
        end = "\n".join(
            line for line in _end(path, lines).splitlines() if not line.startswith("submitit INFO")
        )
        said += f"\n--- task {number}:\n{end}" if end else ""
    return said


def _end(path: Path, lines: int) -> str:
    """The last lines of a file; "" where there is none."""
    if not path.is_file():
        return ""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 400 * lines))
        text = file.read().decode(errors="replace").splitlines()
    return "\n".join(text[-lines:])
