"""Launching a sweep: what is not done and not under way becomes jobs, on Slurm, on this machine, or in this process."""

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
from bench.sweep.plan import Job, Plan, check_settings, make_plan
from bench.sweep.read import Sweep
from bench.sweep.spec import STAGES, Cluster
from bench.sweep.state import SweepFolder, Tree, lives, this_process
from bench.sweep.status import ACTIVE, JobState, job_states

SELECTABLE = ("missing", "failed", "stopped")


@dataclass(frozen=True)
class Launched:
    """What a launch did.

    Attributes:
        plan: of the sweep.
        jobs: names of the jobs that were started.
        active: how many were under way already.
        left: how many are neither done nor under way nor were asked for.
        failed: how many of those that ran in this process failed.
    """

    plan: Plan
    jobs: list[str]
    active: int
    left: int
    failed: int = 0


def launch(
    sweep: Sweep, home: Path, results: Path, cluster: Cluster, *, only: Sequence[str] = SELECTABLE,
    at_once: int = 0, device: str = "auto",
) -> Launched:  # fmt: skip
    """Starts what is left of a sweep and returns at once (with "inline": when it is done).

    Args:
        sweep: as read.
        home: of products and of the sweep's state.
        results: results folder.
        cluster: where jobs run.
        only: states of jobs that are started.
        at_once: how many jobs run at the same time; 0 for what the site says.
        device: as in `bench run`.

    Raises:
        InputError: a cell cannot be, a folder cannot be written, or Slurm refuses the jobs.
    """
    if cluster == "slurm":
        slurm.require_slurm()
    plan = make_plan(sweep, home, results)
    check_settings(plan)
    if cluster != "slurm" and sweep.spec.resources.pretrain.nodes > 1:
        raise sweep.error(
            f"--cluster {cluster} is one machine: give nodes = 1", "resources", "pretrain", "nodes"
        )
    if cluster == "slurm":
        _warn_of_early_signals(sweep)
    if cluster == "inline" and sweep.spec.resources.pretrain.tasks > 1:
        say(
            "--cluster inline: one process in place of the tasks; the weights are the same, up to rounding"
        )
    require_writable(home, results)
    with plan.folder.launching():
        names = [job.name for job in plan.jobs if not job.done]
        states = job_states(plan.folder, names, max_age=0.0)
        # Anew, for another launch may have changed what is there; and after that look, lest a job
        # that ends meanwhile seems to have left nothing.
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
        place, names = plan.folder.new_launch(), [job.name for job in chosen]
        record: Tree = {
            "cluster": cluster, "created": time.time(), "jobs": names, "ids": {}, "code": str(code or ""),
            "name": f"bench-{sweep.identity}-{place.name}-{secrets.token_hex(3)}",
            "at_once": at_once or sweep.spec.site.jobs_at_once, "process": this_process() if code is None else None,
        }  # fmt: skip
        write_json(place / "launch.json", record)
        try:
            _start(plan.folder, place, record, contents, sweep)
        except BaseException:
            handed_in: Tree = record["ids"]
            if handed_in:
                write_json(place / "launch.json", {**record, "jobs": list(handed_in)})
            else:  # nothing was: as if it had not been tried
                (place / "launch.json").unlink()
            raise
    failed = _inline(plan.folder, place, names) if cluster == "inline" else 0
    return Launched(plan, names, active, left, failed)


def _warn_of_early_signals(sweep: Sweep) -> None:
    """Says so where a job is told to stop as soon as it begins, and so would be put in line again and again."""
    seconds = sweep.spec.site.signal_seconds
    for stage in ("prepare", *STAGES):
        hours = getattr(sweep.spec.resources, stage).hours
        if seconds >= 60 * math.ceil(60 * hours):
            text = f"{hours:g} h, and a job is told to stop {seconds} s (site.signal_seconds) before its end: at once"
            say(str(sweep.error(text, "resources", stage, "hours")))


def _choose(
    plan: Plan, known: dict[str, JobState], only: Sequence[str]
) -> tuple[list[Job], int, int]:
    """The jobs to start, how many are under way, how many are left out."""
    waiting = [job for job in plan.jobs if not job.done]
    found = {job.name: known.get(job.name, JobState("missing")) for job in waiting}
    states = {name: _as_selected(state) for name, state in found.items()}
    by_name = {job.name: job for job in waiting}
    wanted: list[str] = []
    for job in waiting:  # what is only needed by others is chosen with them
        if "probe" in job.stages and states[job.name] in only:
            wanted.append(job.name)
    chosen = dict.fromkeys(wanted)
    while wanted:
        needs = [
            one
            for one in by_name[wanted.pop()].needs
            if one not in chosen and states[one] not in ACTIVE
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
    """A job that is done, though a cell of it has no result, is a missing one."""
    return "missing" if state.state == "done" else state.state


def _start(
    folder: SweepFolder, place: Path, record: Tree, contents: list[Tree], sweep: Sweep
) -> None:
    if record["cluster"] == "local":
        record["process"] = local.start(folder, place)
        write_json(place / "launch.json", record)
    elif record["cluster"] == "slurm":
        site = sweep.spec.site
        if record["at_once"]:
            site = site.model_copy(update={"jobs_at_once": record["at_once"]})
        earlier = _earlier_ids(folder, contents)
        for made in slurm.submit(folder, place, contents, site, record["name"], earlier):
            record["ids"] |= made
            write_json(place / "launch.json", record)


def _earlier_ids(folder: SweepFolder, contents: list[Tree]) -> dict[str, str]:
    """Ids of jobs that this launch needs and an earlier one has handed in."""
    started = {content["name"] for content in contents}
    needed = {one for content in contents for one in content["needs"]} - started
    found: dict[str, str] = {}
    for _, record in folder.launches():
        found |= {name: one for name, one in record["ids"].items() if name in needed}
    return found


def _inline(folder: SweepFolder, place: Path, names: list[str]) -> int:
    """Runs jobs in this process, one after another; returns how many failed."""
    failed: set[str] = set()
    for name in names:
        if failed & set(folder.job(name)["needs"]) or run_job(
            folder.path, name, place.name, own_process=False
        ):
            failed.add(name)
    return len(failed)


def cancel(folder: SweepFolder) -> int:
    """Ends what is under way of a sweep; what has been computed stays.

    Returns how many jobs that were.
    """
    names = sorted({name for _, record in folder.launches() for name in record["jobs"]})
    states = job_states(folder, names, max_age=0.0)
    active = {name: state for name, state in states.items() if state.state in ACTIVE}
    if not active:
        return 0
    (folder.path / "cancelled").touch()
    slurm_ids = [state.slurm for state in active.values() if state.slurm]
    if slurm_ids:
        slurm.cancel(slurm_ids)
    for _, record in folder.launches():
        process: Any = record.get("process")
        if record["cluster"] == "local" and process and lives(process):
            os.kill(process["pid"], signal.SIGTERM)
    for state in active.values():
        if state.attempt and not state.slurm and lives(state.attempt.status["process"]):
            with suppress(ProcessLookupError):  # of a scheduler that was killed
                os.kill(state.attempt.status["process"]["pid"], signal.SIGTERM)
    return len(active)
