"""What `bench sweep --dry-run` and `bench status` print."""

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.sweep.cost.costs import Estimate
    from bench.sweep.jobs import Job
    from bench.sweep.plan import Plan
    from bench.sweep.state import SweepFolder
    from bench.sweep.status import CellState, Status

_ROWS = 60  # of a table in a terminal; `--all` shows the rest
_LOG_LINES = 5
_LOGS = 3  # failed jobs whose logs are shown


def print_plan(plan: "Plan", estimated: "Estimate", *, as_json: bool) -> None:
    """Prints the plan of a sweep with what it will cost.

    Args:
        plan: the plan.
        estimated: what the rest of it will cost.
        as_json: as one JSON document; else as a table and some lines.
    """
    from bench.core.table import Table, show

    if as_json:
        print(json.dumps(_plan_tree(plan, estimated), indent=1))
        return
    left = [job for job in plan.jobs if not job.done]
    rows = [_plan_row(job) for job in left[:_ROWS]]
    show(Table(["job", "first cell", "cells to do", "stages", "asks for", "why"], rows, words=6))
    if len(left) > _ROWS:
        print(f"and {len(left) - _ROWS} more jobs")
    done = sum(planned.done for planned in plan.cells)
    print(
        f"{len(plan.cells)} cells: {done} done, {len(plan.cells) - done} to do in {len(left)} jobs"
    )
    again = sum(planned.why.startswith("made again") for planned in plan.cells)
    if again:
        print(f"{again} cells are made again, for what they depend on has changed")
    print(estimated.in_words() + "\nnothing was done (--dry-run)")


def _plan_tree(plan: "Plan", estimated: "Estimate") -> dict[str, Any]:
    """The plan as `--json` prints it."""
    return {
        "cells": [
            {
                "id": planned.cell.id,
                "label": planned.cell.label,
                "done": planned.done,
                "why": planned.why,
            }
            for planned in plan.cells
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


def _plan_row(job: "Job") -> list[str]:
    """The row of a job in the table of the plan."""
    waiting = [planned for planned in job.cells if not planned.done]
    if waiting:
        what, why = waiting[0].cell.label, waiting[0].why
    else:
        what, why = f"prepare {job.dataset.name if job.dataset else ''}", "not prepared"
    needs = job.resources
    asks = f"{needs.gpus} GPU, {needs.cpus} CPU, {needs.memory_gb:g} GiB, {needs.hours:g} h"
    asks = f"{needs.nodes} nodes of {asks}" if needs.nodes > 1 else asks
    stages = ", ".join(job.stages) or "prepare"
    return [job.name, what, f"{len(waiting)} of {len(job.cells)}", stages, asks, why]


def print_status(
    state: "Status", folder: "SweepFolder", name: str, *, as_json: bool, everything: bool
) -> None:
    """Prints the state of a sweep.

    Args:
        state: the state.
        folder: folder of the sweep.
        name: name of the sweep.
        as_json: as one JSON document; else as a table and some lines.
        everything: with every cell, also of a large sweep.
    """
    from bench.sweep.queue import silence
    from bench.sweep.status import ACTIVE, STATES

    counts = {word: state.counts[word] for word in STATES if state.counts[word]}
    if as_json:
        cells = [vars(cell) for cell in state.cells]
        print(json.dumps({"sweep": name, "counts": counts, "cells": cells}, indent=1))
        return
    _print_cells(state.cells, everything)
    _print_jobs(state, folder)
    silent = silence(folder.path) if any(state.counts[word] for word in ACTIVE) else ""
    print(f"\n{silent}" if silent else "")
    listed = ", ".join(f"{number} {word}" for word, number in counts.items())
    print(f"{name}: {len(state.cells)} cells: {listed}")


def _print_cells(cells: "list[CellState]", everything: bool) -> None:
    """Prints a table of the cells; of a large sweep those that are not done, and not all of them.

    Lines are printed plainly, because rich takes seconds to lay out a table of thousands of rows.
    """
    left = [cell for cell in cells if cell.state != "done"]
    shown = cells if everything or len(cells) <= _ROWS else left
    rows = [
        [cell.id, cell.label, cell.state, cell.job, cell.why]
        for cell in (shown if everything else shown[:_ROWS])
    ]
    widths = [max((len(row[place]) for row in rows), default=0) for place in range(4)]
    for row in rows:
        columns = [text.ljust(width) for text, width in zip(row, widths, strict=False)]
        print("  ".join([*columns, row[4]]).rstrip())
    if len(shown) > len(rows):
        print(f"... and {len(shown) - len(rows)} more: --all")


def _print_jobs(state: "Status", folder: "SweepFolder") -> None:
    """Prints the unfinished jobs that have no cells, and the ends of some failed jobs' logs."""
    from bench.sweep.logs import log_end

    with_cells = {cell.job for cell in state.cells}
    for name, job in state.jobs.items():
        if name not in with_cells and job.state != "done":
            print(f"{name}: {job.state}: {job.why}")
    failed = {
        name: job for name, job in state.jobs.items() if job.state == "failed" and not job.need
    }
    for name, job in list(failed.items())[:_LOGS]:
        print(f"\n{name} failed: {job.why}; the end of its log (bench logs {name}):")
        end = log_end(folder, name, job, _LOG_LINES)
        print("\n".join(f"    {line}" for line in (end or "(empty)").splitlines()))
