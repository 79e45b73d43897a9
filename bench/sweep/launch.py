"""Launching a sweep, on Slurm, on this machine or in this process, and ending what was launched.

What is neither done nor under way becomes jobs.
"""

import math
import os
import secrets
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.progress import say
from bench.core.store import require_writable, write_json
from bench.sweep import local, slurm, snapshot
from bench.sweep.job import run_job
from bench.sweep.jobs import Job
from bench.sweep.plan import Plan, check_settings, make_plan
from bench.sweep.read import Sweep
from bench.sweep.spec import STAGES, Cluster
from bench.sweep.state import SweepFolder, Tree, lives, this_process
from bench.sweep.status import ACTIVE, JobState, job_states

SELECTABLE = ("missing", "failed", "stopped")


@dataclass(frozen=True)
class Launched:
    """What a launch did.

    Attributes:
        plan: the plan of the sweep.
        jobs: names of the jobs that were started.
        active: number of jobs that were under way already.
        left: number of jobs that are neither done nor under way, and whose state was not asked for.
        failed: number of jobs that ran in this process and failed.
    """

    plan: Plan
    jobs: list[str]
    active: int
    left: int
    failed: int = 0


def launch(
    sweep: Sweep,
    home: Path,
    results: Path,
    cluster: Cluster,
    *,
    only: Sequence[str] = SELECTABLE,
    at_once: int = 0,
    device: str = "auto",
) -> Launched:
    """Starts what is left of a sweep and returns at once; with "inline", returns when it has ended.

    Args:
        sweep: the sweep as read from its file.
        home: the home folder, for products and the state of the sweep.
        results: folder of the results.
        cluster: where jobs run.
        only: states of the jobs that are started.
        at_once: how many jobs run at the same time; 0 for what the site says.
        device: as in `bench run`.

    Returns:
        What was started and what was not.

    Raises:
        InputError: a cell is not possible, a folder cannot be written, or Slurm refuses the jobs.
    """
    if cluster == "slurm":
        slurm.require_slurm()
    plan = make_plan(sweep, home, results)
    check_settings(plan)
    _check_cluster(sweep, cluster)
    require_writable(home, results)
    with plan.folder.launching():
        names = [job.name for job in plan.jobs if not job.done]
        states = job_states(plan.folder, names, max_age=0.0)
        # The plan is made anew, since another launch may have changed what is stored. It is made
        # after the states were read: a job that ends between the two must not seem to have left
        # nothing.
        plan = make_plan(sweep, home, results)
        chosen, active, left = _choose(plan, states, only)
        if not chosen:
            return Launched(plan, [], active, left)
        (plan.folder.path / "cancelled").unlink(missing_ok=True)
        code = None if cluster == "inline" else snapshot.take(plan.folder.path / "code")
        write_json(plan.folder.path / "cells.json", plan.record())
        contents = [job.content(sweep, home, results, code, device) for job in chosen]
        for content in contents:
            plan.folder.write_job(content["name"], content)
        at_once = at_once or sweep.spec.site.jobs_at_once
        place = _start(plan.folder, contents, sweep, cluster, code, at_once)
    names = [job.name for job in chosen]
    failed = _inline(plan.folder, place, names) if cluster == "inline" else 0
    return Launched(plan, names, active, left, failed)


def _check_cluster(sweep: Sweep, cluster: Cluster) -> None:
    """Checks that the cluster can give what the sweep asks for; says what it gives otherwise.

    Raises:
        InputError: several nodes are asked of one machine.
    """
    pretrain = sweep.spec.resources.pretrain
    if cluster != "slurm" and pretrain.nodes > 1:
        raise sweep.error(
            f"--cluster {cluster} is one machine: give nodes = 1", "resources", "pretrain", "nodes"
        )
    if cluster == "slurm":
        _warn_of_early_signals(sweep)
    if cluster == "inline" and pretrain.tasks > 1:
        say(
            "--cluster inline: one process in place of the tasks; the weights are the same, "
            "up to rounding"
        )


def _warn_of_early_signals(sweep: Sweep) -> None:
    """Warns where the signal before a time limit would come as soon as a job begins.

    Such a job would be put in line again and again.
    """
    seconds = sweep.spec.site.signal_seconds
    for stage in ("prepare", *STAGES):
        hours = getattr(sweep.spec.resources, stage).hours
        if seconds >= 60 * math.ceil(60 * hours):  # Slurm's limits are whole minutes
            text = (
                f"{hours:g} h, and a job is told to stop {seconds} s (site.signal_seconds) "
                "before its end: at once"
            )
            say(str(sweep.error(text, "resources", stage, "hours")))


def _choose(
    plan: Plan, known: dict[str, JobState], only: Sequence[str]
) -> tuple[list[Job], int, int]:
    """Chooses the jobs to start; cancels the stuck Slurm jobs that they replace.

    Args:
        plan: the plan of the sweep.
        known: states of the jobs that were launched before.
        only: states of the jobs that are started.

    Returns:
        The jobs to start, the number under way, and the number left out.
    """
    waiting = [job for job in plan.jobs if not job.done]
    by_name = {job.name: job for job in waiting}
    found = {name: known.get(name, JobState("missing")) for name in by_name}
    states = {name: _as_selected(state) for name, state in found.items()}
    wanted = [job.name for job in waiting if "probe" in job.stages and states[job.name] in only]
    chosen = dict.fromkeys(wanted)
    # Jobs of other stages are chosen where a chosen one needs them, whatever their own state.
    while wanted:
        needs = [
            need
            for need in by_name[wanted.pop()].needs
            if need not in chosen and states[need] not in ACTIVE
        ]
        chosen |= dict.fromkeys(needs)
        wanted += needs
    active = sum(states[job.name] in ACTIVE for job in waiting)
    left = sum(
        "probe" in job.stages and job.name not in chosen and states[job.name] not in ACTIVE
        for job in waiting
    )
    slurm.cancel([found[name].slurm for name in chosen if found[name].stuck])
    return [job for job in waiting if job.name in chosen], active, left


def _as_selected(state: JobState) -> str:
    """The state by which a job is selected.

    A job that has ended well although one of its cells has no result counts as missing.
    """
    return "missing" if state.state == "done" else state.state


def _start(
    folder: SweepFolder,
    contents: list[Tree],
    sweep: Sweep,
    cluster: Cluster,
    code: Path | None,
    at_once: int,
) -> Path:
    """Writes a launch down and starts its jobs, but for those that run in this process.

    Args:
        folder: folder of the sweep.
        contents: contents of the jobs' files.
        sweep: the sweep.
        cluster: where jobs run.
        code: the frozen copy of the code; None where jobs run in this process.
        at_once: how many jobs run at the same time; 0 for no limit.

    Returns:
        Folder of the launch.
    """
    place = folder.new_launch()
    record: Tree = {
        "cluster": cluster,
        "created": time.time(),
        "jobs": [content["name"] for content in contents],
        "ids": {},
        "code": str(code or ""),
        "name": f"bench-{sweep.identity}-{place.name}-{secrets.token_hex(3)}",
        "at_once": at_once,
        "process": this_process() if code is None else None,
    }
    write_json(place / "launch.json", record)
    try:
        if cluster == "local":
            record["process"] = local.start(folder, place)
            write_json(place / "launch.json", record)
        elif cluster == "slurm":
            _submit(folder, place, record, contents, sweep)
    except BaseException:
        handed_in: Tree = record["ids"]
        if handed_in:
            write_json(place / "launch.json", {**record, "jobs": list(handed_in)})
        else:  # nothing was handed in: as if it had not been tried
            (place / "launch.json").unlink()
        raise
    return place


def _submit(
    folder: SweepFolder, place: Path, record: Tree, contents: list[Tree], sweep: Sweep
) -> None:
    """Hands jobs in to Slurm; writes their ids down array by array, in case the next is refused."""
    site = sweep.spec.site
    if record["at_once"]:
        site = site.model_copy(update={"jobs_at_once": record["at_once"]})
    earlier = _earlier_ids(folder, contents)
    for ids in slurm.submit(folder, place, contents, site, record["name"], earlier):
        record["ids"] |= ids
        write_json(place / "launch.json", record)


def _earlier_ids(folder: SweepFolder, contents: list[Tree]) -> dict[str, str]:
    """Slurm's ids, by name, of the jobs that a launch needs and an earlier one has handed in."""
    started = {content["name"] for content in contents}
    needed = {need for content in contents for need in content["needs"]} - started
    ids: dict[str, str] = {}
    for _, record in folder.launches():
        ids |= {name: id_ for name, id_ in record["ids"].items() if name in needed}
    return ids


def _inline(folder: SweepFolder, place: Path, names: list[str]) -> int:
    """Runs jobs in this process, one after another; returns the number that failed.

    A job that needs a failed one counts as failed and is not run.
    """
    failed: set[str] = set()
    for name in names:
        if failed & set(folder.job(name)["needs"]) or run_job(
            folder.path, name, place.name, own_process=False
        ):
            failed.add(name)
    return len(failed)


def cancel(folder: SweepFolder) -> int:
    """Ends the jobs of a sweep that are under way; what has been computed stays.

    Args:
        folder: folder of the sweep.

    Returns:
        The number of jobs that were under way.
    """
    names = sorted({name for _, record in folder.launches() for name in record["jobs"]})
    states = job_states(folder, names, max_age=0.0)
    active = {name: state for name, state in states.items() if state.state in ACTIVE}
    if not active:
        return 0
    # Tells the jobs that SIGTERM means the end, not a preemption (see `bench.sweep.signals`).
    (folder.path / "cancelled").touch()
    slurm_ids = [state.slurm for state in active.values() if state.slurm]
    if slurm_ids:
        slurm.cancel(slurm_ids)
    for _, record in folder.launches():
        process: Any = record.get("process")
        if record["cluster"] == "local" and process and lives(process):
            os.kill(process["pid"], signal.SIGTERM)
    # A local scheduler passes the signal on; one that was killed cannot, so jobs get it directly.
    for state in active.values():
        if state.attempt and not state.slurm and lives(state.attempt.status["process"]):
            with suppress(ProcessLookupError):
                os.kill(state.attempt.status["process"]["pid"], signal.SIGTERM)
    return len(active)
