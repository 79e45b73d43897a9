"""The state of every job and cell of a sweep, from the files that jobs left and from Slurm."""

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
_FULL_BYTES = 2**16  # a disk with less free space takes no file of state
_STARTING_SECONDS = 120.0  # after a launch, until Slurm must know its jobs


@dataclass(frozen=True)
class JobState:
    """The state of a job.

    Attributes:
        state: one of `STATES`.
        why: why it waits, or how it ended.
        attempt: the last attempt at it; None before the first.
        slurm: its id in Slurm; "" where it has none.
        need: name of the job that it needs and that has not ended well; "" where there is none.
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
    """The state of some jobs.

    Slurm is asked once for all of them, and not again within `max_age` seconds.

    Args:
        folder: folder of the sweep.
        names: names of the jobs, those that others need first.
        max_age: age in seconds up to which an earlier answer of Slurm is used again.

    Returns:
        Name -> state.
    """
    latest: dict[str, tuple[Path, Tree]] = {}
    for path, record in folder.launches():
        latest |= dict.fromkeys(record["jobs"], (path, record))
    records = {
        record["name"]: record for _, record in latest.values() if record["cluster"] == "slurm"
    }
    answers = queue.ask(folder.path, list(records), max_age) if records else {}
    states: dict[str, JobState] = {}
    for name in names:
        launched = latest.get(name)
        if not launched:
            states[name] = JobState("missing", "never run")
            continue
        states[name] = _state(folder, name, *launched, answers)
        if states[name].state in _BROKEN:
            # The job may have ended between two looks: its files were read before it wrote its last
            # word, and its process was looked for after it had ended. A second look tells.
            states[name] = _state(folder, name, *launched, answers)
    for name in names:
        if name in latest and (states[name].attempt is None or states[name].state == "missing"):
            states[name] = _with_needed(folder, name, states)
    return states


def _with_needed(folder: SweepFolder, name: str, states: dict[str, JobState]) -> JobState:
    """The state of a job that has not begun, as the jobs that it needs determine it.

    Args:
        folder: folder of the sweep.
        name: name of the job.
        states: states of all jobs; those that others need have been determined already.
    """
    state = states[name]
    needs = [need for need in folder.job(name)["needs"] if need in states]
    broken = [need for need in needs if states[need].state in _BROKEN]
    ahead = [need for need in needs if states[need].state in ACTIVE]
    if ahead and not broken and state.state == "queued":
        return replace(state, why=_why_needed(ahead[0], states[ahead[0]]), need=ahead[0])
    if broken and state.state != "done":
        needed = states[broken[0]]
        return JobState(needed.state, _why_needed(broken[0], needed), need=broken[0])
    return state


def _why_needed(name: str, needed: JobState) -> str:
    """Why a job waits that needs another: the first cause in the chain of needed jobs."""
    return needed.why if needed.need else f"{name}, which it needs, {needed.state}: {needed.why}"


def _state(
    folder: SweepFolder, name: str, launch: Path, record: Tree, answers: dict[str, Tree]
) -> JobState:
    """The state of a job that was launched, whatever the jobs that it needs.

    Args:
        folder: folder of the sweep.
        name: name of the job.
        launch: folder of its last launch.
        record: content of that launch's file.
        answers: what Slurm says (`bench.sweep.queue.ask`).
    """
    slurm = record.get("ids", {}).get(name, "")
    answer = answers.get(f"{record.get('name')} {slurm}") if slurm else None
    attempts = folder.attempts(name)
    # Not the last attempt alone: a node that Slurm has given up may go on with its job.
    for attempt in reversed(attempts):
        if attempt.alive:
            # An id that Slurm no longer knows may be another job's by now.
            known = slurm if answer and answer["state"] != "GONE" else ""
            return JobState("running", f"since {attempt.status['started']}", attempt, known)
    attempts = [attempt for attempt in attempts if attempt.status["launch"] == launch.name]
    if answer and queue.stuck(answer):
        last = attempts[-1] if attempts else None
        why = f"Slurm holds it back for ever: {answer['reason']}"
        return JobState("stopped", why, last, slurm, stuck=True)
    if not attempts:
        return _not_begun(launch, name, record, answer, slurm)
    return _begun(launch, name, record, answer, slurm, attempts[-1])


def _begun(
    launch: Path, name: str, record: Tree, answer: Tree | None, slurm: str, last: Attempt
) -> JobState:
    """The state of a job whose last attempt of this launch shows no sign of life.

    Args as of `_state`; `slurm` is the job's id in Slurm, and `answer` what Slurm says of that.
    """
    state, note = last.status["state"], last.status["note"]
    if state in ("done", "left"):
        # A job that needs data which another attempt prepares waits for them by itself.
        there = state == "done" or name.startswith("prepare-")
        return JobState("done" if there else "missing", note, last, slurm)
    if answer and answer["state"] in queue.WAITING and state in ("running", "requeued"):
        return JobState("queued", f"put in line again ({answer['reason']})", last, slurm)
    if state in ("failed", "stopped"):
        return JobState(state, note, last, slurm)
    young = beats(last.folder / "heartbeat", _STARTING_SECONDS)
    if state == "requeued" and (answer["state"] in queue.AT_WORK if answer else young):
        return JobState("queued", note, last, slurm)
    if answer and answer["state"] in queue.AT_WORK:
        gone = lives(last.status["process"]) is False
        why = "not heard of for a while, but Slurm says that it runs"
        return JobState("running", "ends: Slurm has not said how" if gone else why, last, slurm)
    if _just_gone(last, record):
        return JobState("running", "ends: its scheduler has not said how", last, slurm)
    state, why = _death(last, answer, _slurm_log(launch, slurm))
    return JobState(state, why + _full(last.folder), last, slurm)


def _full(folder: Path) -> str:
    """A hint that a process may have left no last word because its disk is full."""
    return "; its disk is full" if shutil.disk_usage(folder).free < _FULL_BYTES else ""


def _just_gone(last: Attempt, record: Tree) -> bool:
    """Whether the scheduler on this machine will say in a moment how an attempt ended."""
    process = record.get("process")
    if record["cluster"] != "local" or last.exit or not process or not lives(process):
        return False
    if lives(last.status["process"]) is not False:  # it lives, but is stopped
        return False
    return beats(last.folder / "heartbeat", 2 * HEARTBEAT_SECONDS)


def _not_begun(launch: Path, name: str, record: Tree, answer: Tree | None, slurm: str) -> JobState:
    """The state of a job of which a launch has made no attempt yet; args as of `_begun`."""
    young = time.time() - record["created"] < _STARTING_SECONDS
    if record["cluster"] != "slurm":
        ended = local.exit_before_beginning(launch, name)
        if ended:
            return JobState("failed", f"before it began: {ended}")
        process = record.get("process")
        if process is None and young:
            return JobState("queued", "being started")
        if process and lives(process):
            return JobState("queued", "waits for its turn")
        return JobState("missing", "its scheduler has ended")
    if answer is None or answer["state"] == "GONE":
        if young and answer is None:
            return JobState("queued", "just handed in", slurm=slurm)
        return JobState("failed", "Slurm no longer knows it, and it never began", slurm=slurm)
    if answer["state"] in queue.WAITING:
        return JobState("queued", f"waits: {answer['reason']}", slurm=slurm)
    if answer["state"] in queue.AT_WORK:
        return JobState("queued", "starting", slurm=slurm)
    state = "stopped" if answer["state"].startswith("CANCELLED") else "failed"
    return JobState(state, f"before it began: {queue.in_words(answer)}", slurm=slurm)


def _slurm_log(launch: Path, slurm: str) -> str:
    """The end of what Slurm and srun printed for a job."""
    for path in launch.glob(f"array-*/{slurm}_0_log.out") if slurm else ():
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return file.read().decode(errors="replace")
    return ""


def _death(last: Attempt, answer: Tree | None, slurm_log: str) -> tuple[str, str]:
    """The state and the cause of death of an attempt that left no last word.

    Args:
        last: the attempt.
        answer: what Slurm says of the job.
        slurm_log: the end of what Slurm printed for it.
    """
    # Not every Slurm says OUT_OF_MEMORY; some count it as a plain failure.
    if _OUT_OF_MEMORY.search(slurm_log):
        return "failed", "out of memory: more than [resources] asks for"
    known = ("GONE", "COMPLETED", *queue.AT_WORK, *queue.WAITING)
    if answer and answer["state"] not in known:
        cancelled = answer["state"].startswith("CANCELLED")
        return "stopped" if cancelled else "failed", queue.in_words(answer)
    if last.exit:
        return "failed", local.exit_in_words(last.exit)
    host = last.status["process"]["host"]
    if lives(last.status["process"]) is False:
        return "failed", f"its process is gone without a word (host {host})"
    silent = "" if beats(last.folder / "heartbeat") else ": its heart stopped"
    return "failed", f"died without a word{silent} (host {host})"


@dataclass(frozen=True)
class CellState:
    """The state of a cell.

    Attributes:
        id: id of the cell.
        label: the cell in words.
        job: name of the job that computes its result.
        state: one of `STATES`.
        why: why it waits, or how its job ended.
    """

    id: str
    label: str
    job: str
    state: str
    why: str


@dataclass(frozen=True)
class Status:
    """The state of a sweep.

    Attributes:
        cells: state of every cell.
        jobs: state of every job that has cells left to compute, and of the jobs that they need.
    """

    cells: list[CellState]
    jobs: dict[str, JobState]

    @property
    def counts(self) -> Counter[str]:
        """The number of cells in each state."""
        return Counter(cell.state for cell in self.cells)


def read_status(
    folder: SweepFolder, results_folder: Path, max_age: float = queue.QUERY_SECONDS
) -> Status:
    """Reads the state of a sweep that was launched; a cell is done when its result is stored.

    Args:
        folder: folder of the sweep.
        results_folder: folder of the results.
        max_age: age in seconds up to which an earlier answer of Slurm is used again.
    """
    cells = (folder.cells or {"cells": []})["cells"]
    done = _finished(folder, cells, results_folder)
    wanted = dict.fromkeys(cell["job"] for cell in cells if cell["id"] not in done)
    jobs = job_states(folder, with_needs(folder, list(wanted)), max_age)
    # A result is stored before its job says that it has ended, so the cells of jobs that have ended
    # by now may have got their results since the first look.
    ended = {name for name in wanted if jobs[name].state not in ACTIVE}
    done |= _finished(folder, [cell for cell in cells if cell["job"] in ended], results_folder)
    states = []
    for cell in cells:
        job = JobState("done") if cell["id"] in done else jobs[cell["job"]]
        gone = job.state == "done" and cell["id"] not in done
        state, why = ("missing", "its result is gone") if gone else (job.state, job.why)
        states.append(CellState(cell["id"], cell["label"], cell["job"], state, why))
    return Status(states, jobs)


def _finished(folder: SweepFolder, cells: list[Tree], results_folder: Path) -> set[str]:
    """Ids of the cells whose results are stored.

    The name of a result is not known as long as the data set is not prepared; of such cells the
    jobs say which they have finished.
    """
    if not cells:
        return set()
    stored = stored_names(results_folder)
    nameless = [cell for cell in cells if not cell["stem"]]
    finished = {
        job: {id_ for attempt in folder.attempts(job) for id_ in attempt.status["done"]}
        for job in dict.fromkeys(cell["job"] for cell in nameless)
    }
    named = {cell["id"] for cell in cells if cell["stem"] in stored}
    return named | {cell["id"] for cell in nameless if cell["id"] in finished[cell["job"]]}


def with_needs(folder: SweepFolder, names: list[str]) -> list[str]:
    """Adds to jobs those that they need, and those that these need.

    Args:
        folder: folder of the sweep.
        names: names of the jobs.

    Returns:
        All names, those that others need first.
    """
    launched = {name for _, record in folder.launches() for name in record["jobs"]}
    needs = {name: folder.job(name)["needs"] for name in names if name in launched}
    level = list(needs)
    levels = [list(names)]
    while level:
        level = list(
            dict.fromkeys(need for name in level for need in needs[name] if need in launched)
        )
        needs |= {name: folder.job(name)["needs"] for name in level}
        levels.append(level)
    return list(dict.fromkeys(name for level in reversed(levels) for name in level))
