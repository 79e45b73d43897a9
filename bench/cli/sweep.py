"""The commands about sweeps: `bench sweep`, `bench status`, `bench logs`, `bench cancel`."""

import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from bench.cli.flags import Flag, Home, Plugins, Results, begin
from bench.core.errors import InputError, unknown

if TYPE_CHECKING:
    from bench.sweep.cost.costs import Estimate
    from bench.sweep.plan import Plan
    from bench.sweep.read import Sweep
    from bench.sweep.state import SweepFolder
    from bench.sweep.status import Status

_ROWS = 60  # of a table in a terminal; `--all` shows the rest
_WATCH_SECONDS = 30.0
_LOG_LINES = 5
_OF_PLUGINS = {
    "method",
    "encoder",
    "dataset",
    "pretrain_dataset",
}  # whose settings are known once they are loaded


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
    found = _read(file, site)
    states = _states(only)
    if jobs < 0:
        raise InputError(f"--jobs {jobs}: give 1 or more")
    if measure and not dry_run:
        raise InputError("--measure belongs to --dry-run: give both")
    if dry_run:
        plan, estimated = _estimated(found, home, results, measure, device, cluster, jobs)
        _print_plan(plan, estimated, as_json=json)
        return
    from bench.sweep.launch import launch

    say("checking every cell")
    done = launch(found, home, results, cluster, only=states, at_once=jobs, device=device)
    cells = len(done.plan.cells)
    ready = sum(one.done for one in done.plan.cells)
    print(
        f"{found.name}: {cells} cells, {ready} were done; {len(done.jobs)} jobs started on {cluster}",
        end="",
    )
    print(
        f", {done.active} under way" * bool(done.active)
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

    found, folder = _folder(file, home)
    require_launched(folder, file)
    while True:
        state = read_status(folder, results)
        _print_status(state, folder, found.name, as_json=json, everything=all)
        if not watch or not any(state.counts[one] for one in ACTIVE):
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
    from bench.sweep.state import SweepFolder
    from bench.sweep.logs import log_of

    if lines < 1:
        raise InputError(f"--lines {lines}: give 1 or more")
    folders = (
        [_folder(file, home)[1]]
        if file
        else [SweepFolder(one) for one in sorted(home.resolve().glob("sweeps/*"))]
    )
    for folder in folders:
        cells = (folder.cells or {"cells": []})["cells"]
        jobs = [one["job"] for one in cells if one["id"].startswith(cell)]
        if not jobs and re.fullmatch(r"[\w-]+", cell) and (folder.path / "jobs" / cell).is_dir():
            jobs = [cell]
        if jobs:
            said = log_of(folder, jobs[0], lines)
            print(
                said
                or f"job {jobs[0]} has left no log; with --cluster inline it prints where it was started"
            )
            return
    raise InputError(f"no cell or job '{cell}' in {home}/sweeps: bench status FILE lists them")


def cancel(file: str, *, home: Home = Path(".bench")) -> None:
    """End what is under way of a sweep.

    What was computed stays, and the same sweep goes on from there. Parameters
    ----------
    file
        The sweep file.
    """
    from bench.sweep.launch import cancel as end
    from bench.sweep.state import require_launched

    found, folder = _folder(file, home)
    require_launched(folder, file)
    print(
        f"{found.name}: {end(folder)} jobs told to stop; bench sweep {file} goes on from what is stored"
    )


def _states(only: str) -> list[str]:
    from bench.sweep.launch import SELECTABLE

    found = [one.strip() for one in only.split(",") if one.strip()]
    for one in found:
        if one not in SELECTABLE:
            raise unknown("--only", one, SELECTABLE)
    if not found:
        raise InputError(f"--only: give one or several of {', '.join(SELECTABLE)}")
    return found


def _read(file: str, site: Path | None) -> "Sweep":
    from bench.sweep.read import read_sweep, with_site

    found = read_sweep(file)
    return with_site(found, site) if site else found


def _estimated(
    found: "Sweep", home: Path, results: Path, measure: bool, device: str, cluster: str, jobs: int
) -> "tuple[Plan, Estimate]":
    """The plan, and what it will cost, from stored runs and, if wanted, from a few steps of each combination."""
    from bench.core.store import Store
    from bench.sweep.cost.estimate import estimate, left_specs, missing
    from bench.sweep.cost.rates import stored_rates
    from bench.sweep.cost.work import DataSets
    from bench.sweep.local import cap
    from bench.sweep.plan import check_settings, make_plan

    plan, store = make_plan(found, home, results, dry=True), Store(home)
    if _OF_PLUGINS & set(found.spec.settings) or found.spec.resources.pretrain.processes > 1:
        check_settings(plan)  # takes the seconds that torch takes to load
    rates = stored_rates(left_specs(plan), store, results)
    if measure:
        from bench.sweep.cost.measure import measure as measured

        measured(missing(plan, rates, DataSets(store)), rates, store, device)
    left = [{"resources": job.resources.model_dump()} for job in plan.jobs if not job.done]
    at_once = 1 if cluster == "inline" else jobs or found.spec.site.jobs_at_once
    if cluster == "local" and left:
        at_once = at_once or cap(left)
    return plan, estimate(plan, home, results, rates=rates, at_once=at_once)


def _folder(file: str, home: Path) -> "tuple[Sweep, SweepFolder]":
    from bench.sweep.state import folder_of

    found = _read(file, None)
    return found, folder_of(home, found.name, found.identity)


def _print_plan(plan: "Plan", estimated: "Estimate", *, as_json: bool) -> None:
    import json as json_module

    from bench.core.table import Table, show

    done = sum(one.done for one in plan.cells)
    left = [job for job in plan.jobs if not job.done]
    if as_json:
        content: dict[str, Any] = {
            "cells": [
                {"id": one.cell.id, "label": one.cell.label, "done": one.done, "why": one.why}
                for one in plan.cells
            ],
            "jobs": [
                {
                    "name": job.name,
                    "kind": job.kind,
                    "stages": job.stages,
                    "cells": len(job.cells),
                    "needs": job.needs,
                    "done": job.done,
                }
                for job in plan.jobs
            ],
            "estimate": estimated.in_words(),
            "costs": estimated.as_json(),
        }
        print(json_module.dumps(content, indent=1))
        return
    rows = []
    for job in left[:_ROWS]:
        waiting = [one for one in job.cells if not one.done]
        why = waiting[0].why if waiting else "not prepared"
        what = (
            waiting[0].cell.label
            if waiting
            else f"prepare {job.dataset.name if job.dataset else ''}"
        )
        needs = job.resources
        asks = f"{needs.gpus} GPU, {needs.cpus} CPU, {needs.memory_gb:g} GiB, {needs.hours:g} h"
        asks = f"{needs.nodes} nodes of {asks}" if needs.nodes > 1 else asks
        does = ", ".join(job.stages) or "prepare"
        rows.append([job.name, what, f"{len(waiting)} of {len(job.cells)}", does, asks, why])
    show(Table(["job", "first cell", "cells to do", "stages", "asks for", "why"], rows, words=6))
    if len(left) > _ROWS:
        print(f"and {len(left) - _ROWS} more jobs")
    print(
        f"{len(plan.cells)} cells: {done} done, {len(plan.cells) - done} to do in {len(left)} jobs"
    )
    again = sum(one.why.startswith("made again") for one in plan.cells)
    if again:
        print(f"{again} cells are made again, for what they depend on has changed")
    print(estimated.in_words() + "\nnothing was done (--dry-run)")


def _print_status(
    state: "Status", folder: "SweepFolder", name: str, *, as_json: bool, everything: bool
) -> None:
    import json as json_module

    from bench.sweep.queue import silence
    from bench.sweep.logs import log_end
    from bench.sweep.status import ACTIVE, STATES

    counts = {one: state.counts[one] for one in STATES if state.counts[one]}
    if as_json:
        cells = [vars(one) for one in state.cells]
        print(json_module.dumps({"sweep": name, "counts": counts, "cells": cells}, indent=1))
        return
    shown = (
        state.cells
        if everything or len(state.cells) <= _ROWS
        else [one for one in state.cells if one.state != "done"]
    )
    rows = [
        [one.id, one.label, one.state, one.job, one.why]
        for one in (shown if everything else shown[:_ROWS])
    ]
    widths = [max((len(row[place]) for row in rows), default=0) for place in range(4)]
    for row in rows:  # plainly: a table of thousands of rows takes rich seconds to lay out
        print(
            "  ".join(
                [*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[4]]
            ).rstrip()
        )
    if len(shown) > len(rows):
        print(f"... and {len(shown) - len(rows)} more: --all")
    own = {one.job for one in state.cells}
    for job, what in state.jobs.items():
        if job not in own and what.state != "done":
            print(f"{job}: {what.state}: {what.why}")
    failed = {
        one: what for one, what in state.jobs.items() if what.state == "failed" and not what.need
    }
    for job, what in list(failed.items())[:3]:
        print(f"\n{job} failed: {what.why}; the end of its log (bench logs {job}):")
        end = log_end(folder, job, what, _LOG_LINES)
        print("\n".join(f"    {line}" for line in (end or "(empty)").splitlines()))
    silent = silence(folder.path) if any(state.counts[one] for one in ACTIVE) else ""
    print(f"\n{silent}" if silent else "")
    print(
        f"{name}: {len(state.cells)} cells: "
        + ", ".join(f"{number} {one}" for one, number in counts.items())
    )
