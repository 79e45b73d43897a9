"""The commands on sweeps: `bench sweep`, `bench status`, `bench logs`, `bench cancel`."""

import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from bench.cli.flags import Flag, Home, Plugins, Results, begin
from bench.cli.sweep_output import print_plan, print_status
from bench.core.errors import InputError, unknown

if TYPE_CHECKING:
    from bench.sweep.cost.costs import Estimate
    from bench.sweep.launch import Launched
    from bench.sweep.plan import Plan
    from bench.sweep.read import Sweep
    from bench.sweep.state import SweepFolder

_WATCH_SECONDS = 30.0
# Sections whose settings are known only when the plug-in is loaded.
_OF_PLUGINS = {"method", "encoder", "dataset", "pretrain_dataset"}


def sweep(
    file: str,
    *,
    cluster: Literal["slurm", "local", "inline"] = "local",
    only: str = "missing,failed,stopped",
    jobs: int = 0,
    site: Path | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    home: Home = Path(".bench"),
    results: Results = Path("results"),
    plugins: Plugins = None,
    dry_run: Flag = False,
    measure: Flag = False,
    json: Flag = False,
) -> None:
    """Compute a grid of cells, on a cluster or here.

    The same command again starts what is missing or has failed. Returns at once; `bench status
    FILE` says how far it is, `bench cancel FILE` ends it.

    Parameters
    ----------
    file
        A sweep file (TOML), or the name of one that comes along: quick, icassp2024,
        clmr-limited-labels, vicreg-thesis, tune-transfer.
    cluster
        slurm: arrays of jobs. local: on this machine, a few at a time, also when the terminal is
        closed. inline: in this process, one after another.
    only
        Which jobs are started, with commas: missing, failed, stopped.
    jobs
        How many jobs run at the same time (the site's, or what GPUs and cores allow).
    site
        TOML with [site] and [resources] of your cluster, laid over those of the sweep.
    device
        Where to train.
    dry_run
        Print the plan: jobs, what is there, what is missing and why, time and disk that it will
        take. Do nothing.
    measure
        With --dry-run: run a few steps of each combination that no stored run says the time of,
        here and on --device; in a temporary folder, and nothing of it is kept.
    json
        Print the plan as one JSON document.
    """
    from bench.core.progress import say

    begin(plugins)
    read, states = _read(file, site), _states(only)
    if jobs < 0:
        raise InputError(f"--jobs {jobs}: give 1 or more")
    if measure and not dry_run:
        raise InputError("--measure belongs to --dry-run: give both")
    if dry_run:
        plan, estimated = _estimated(read, home, results, measure, device, cluster, jobs)
        print_plan(plan, estimated, as_json=json)
        return
    from bench.sweep.launch import launch

    say("checking every cell")
    done = launch(read, home, results, cluster, only=states, at_once=jobs, device=device)
    _print_launched(read.name, done, cluster, file)


def _print_launched(name: str, done: "Launched", cluster: str, file: str) -> None:
    """Prints how many cells a sweep has, and how many jobs were started for them.

    Exit status 1 where jobs that ran in this process have failed.
    """
    from bench.core.progress import say

    ready = sum(planned.done for planned in done.plan.cells)
    print(
        f"{name}: {len(done.plan.cells)} cells, {ready} were done; "
        f"{len(done.jobs)} jobs started on {cluster}"
        + f", {done.active} under way" * bool(done.active)
        + f", {done.left} left out by --only" * bool(done.left)
    )
    if cluster != "inline" and (done.jobs or done.active):
        print(f"look: bench status {file}")
    if done.failed:
        say(f"{done.failed} of {len(done.jobs)} jobs failed: bench status {file}")
        sys.exit(1)


def status(
    file: str,
    *,
    watch: Flag = False,
    all: Flag = False,
    json: Flag = False,
    home: Home = Path(".bench"),
    results: Results = Path("results"),
) -> None:
    """Say what has become of each cell of a sweep, why it waits or died, with the end of its log.

    Reads the files that the jobs left; Slurm is asked at most every 30 s.

    Parameters
    ----------
    file
        The sweep file.
    watch
        Show it again every 30 s until nothing is under way.
    all
        Every cell, also of a large sweep.
    json
        Print one JSON document.
    """
    from bench.sweep.state import require_launched
    from bench.sweep.status import ACTIVE, read_status

    name, folder = _folder(file, home)
    require_launched(folder, file)
    while True:
        state = read_status(folder, results)
        print_status(state, folder, name, as_json=json, everything=all)
        if not watch or not any(state.counts[active] for active in ACTIVE):
            return
        time.sleep(_WATCH_SECONDS)


def logs(
    cell: str,
    *,
    file: Annotated[str | None, Parameter(name="--sweep")] = None,
    lines: int = 200,
    home: Home = Path(".bench"),
) -> None:
    """Print the end of what the job of a cell has printed.

    Parameters
    ----------
    cell
        Its id, or the beginning of it, or the name of a job, as `bench status` shows them.
    file
        The sweep file; else every sweep in home is looked at.
    lines
        How many.
    """
    from bench.sweep.logs import log_of
    from bench.sweep.state import SweepFolder

    if lines < 1:
        raise InputError(f"--lines {lines}: give 1 or more")
    folders = (
        [_folder(file, home)[1]]
        if file
        else [SweepFolder(path) for path in sorted(home.resolve().glob("sweeps/*"))]
    )
    for folder in folders:
        cells = (folder.cells or {"cells": []})["cells"]
        jobs = [known["job"] for known in cells if known["id"].startswith(cell)]
        if not jobs and re.fullmatch(r"[\w-]+", cell) and (folder.path / "jobs" / cell).is_dir():
            jobs = [cell]
        if jobs:
            none = (
                f"job {jobs[0]} has left no log; with --cluster inline it prints where it was "
                "started"
            )
            print(log_of(folder, jobs[0], lines) or none)
            return
    raise InputError(f"no cell or job '{cell}' in {home}/sweeps: bench status FILE lists them")


def cancel(file: str, *, home: Home = Path(".bench")) -> None:
    """End what is under way of a sweep.

    What was computed stays, and the same sweep goes on from there.

    Parameters
    ----------
    file
        The sweep file.
    """
    from bench.sweep.launch import cancel as end
    from bench.sweep.state import require_launched

    name, folder = _folder(file, home)
    require_launched(folder, file)
    print(
        f"{name}: {end(folder)} jobs told to stop; bench sweep {file} goes on from what is stored"
    )


def _states(only: str) -> list[str]:
    """States of jobs from a comma list."""
    from bench.sweep.launch import SELECTABLE

    states = [part.strip() for part in only.split(",") if part.strip()]
    for state in states:
        if state not in SELECTABLE:
            raise unknown("--only", state, SELECTABLE)
    if not states:
        raise InputError(f"--only: give one or several of {', '.join(SELECTABLE)}")
    return states


def _read(file: str, site: Path | None) -> "Sweep":
    """A sweep, with another file's site laid over its own if one is given."""
    from bench.sweep.read import read_sweep, with_site

    read = read_sweep(file)
    return with_site(read, site) if site else read


def _estimated(
    read: "Sweep", home: Path, results: Path, measure: bool, device: str, cluster: str, jobs: int
) -> "tuple[Plan, Estimate]":
    """The plan of a sweep, and what it will cost.

    Args:
        read: the sweep.
        home: the home folder.
        results: folder of the results.
        measure: whether a few steps of each combination are run that no stored run says the time
            of.
        device: where they are run.
        cluster: where the sweep would be launched.
        jobs: how many jobs run at the same time; 0 for what the site says.
    """
    from bench.core.store import Store
    from bench.sweep.cost.estimate import estimate, left_specs, missing
    from bench.sweep.cost.rates import stored_rates
    from bench.sweep.cost.work import DataSets
    from bench.sweep.local import cap
    from bench.sweep.plan import check_settings, make_plan

    plan, store = make_plan(read, home, results, dry=True), Store(home)
    if _OF_PLUGINS & set(read.spec.settings) or read.spec.resources.pretrain.processes > 1:
        check_settings(plan)  # only where it is needed: loading torch takes seconds
    rates = stored_rates(left_specs(plan), store, results)
    if measure:
        from bench.sweep.cost.measure import measure as measured

        measured(missing(plan, rates, DataSets(store)), rates, store, device)
    left = [{"resources": job.resources.model_dump()} for job in plan.jobs if not job.done]
    at_once = 1 if cluster == "inline" else jobs or read.spec.site.jobs_at_once
    if cluster == "local" and left:
        at_once = at_once or cap(left)
    return plan, estimate(plan, home, results, rates=rates, at_once=at_once)


def _folder(file: str, home: Path) -> "tuple[str, SweepFolder]":
    """Name and folder of a sweep."""
    from bench.sweep.state import folder_of

    read = _read(file, None)
    return read.name, folder_of(home, read.name, read.identity)
