"""What a sweep will cost in time and disk space, from what such work took before.

What is left of the sweep is multiplied by rates: those of stored runs, or those of a short
measurement on this machine. Times are those of one attempt without interruption. What nothing is
known about is not counted, and named as such.
"""

from collections.abc import Mapping
from pathlib import Path

from bench.core.store import Store
from bench.settings.specs import RunSpec
from bench.stages.prepare.estimate import free_bytes
from bench.sweep.cost.costs import Estimate
from bench.sweep.cost.rates import (
    Rates,
    embed_kind,
    pretrain_kind,
    probe_kind,
    stored_rates,
)
from bench.sweep.cost.sums import Sums
from bench.sweep.cost.work import DataSets, Pieces
from bench.sweep.plan import Plan


def free_on(home: Path, results_folder: Path) -> dict[str, int]:
    """Free bytes on the disks of two folders, which need not exist yet.

    Args:
        home: the home folder.
        results_folder: folder of the results.

    Returns:
        Bytes by "home" and "results"; by "home" alone where both lie on one disk.
    """
    folders = {"home": _existing(home), "results": _existing(results_folder)}
    if folders["home"].stat().st_dev == folders["results"].stat().st_dev:
        del folders["results"]
    return {name: free_bytes(folder) for name, folder in folders.items()}


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    folder = folder.resolve()
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def missing(plan: Plan, rates: Rates, data: DataSets) -> list[RunSpec]:
    """One cell of each combination that is left to compute and whose rates are not all known.

    Args:
        plan: the plan of the sweep.
        rates: the known rates.
        data: what is known of data sets.
    """
    specs: dict[str, RunSpec] = {}
    for planned in plan.cells:
        cell = planned.cell
        if not planned.done and cell.base not in specs:
            spec = cell.spec
            about = data.traits(spec.method.name)
            known = (
                embed_kind(spec) in rates.embed
                and probe_kind(spec, about.uses_labels) in rates.probe
            )
            if not known or (about.trains and pretrain_kind(spec) not in rates.pretrain):
                specs[cell.base] = spec
    return list(specs.values())


def estimate(
    plan: Plan,
    home: Path,
    results_folder: Path,
    *,
    rates: Rates | None = None,
    at_once: int = 0,
    free: Mapping[str, int] | None = None,
) -> Estimate:
    """Estimates what the rest of a sweep will take.

    Args:
        plan: the plan of the sweep.
        home: the home folder.
        results_folder: folder of the stored results.
        rates: rates of the work; those of stored results where it is not given.
        at_once: number of jobs that run at the same time; 0 for all.
        free: free bytes of the disks, as `free_on` returns them; looked up where it is not given.

    Returns:
        The estimate.
    """
    store, data = Store(home), DataSets(Store(home))
    if rates is None:
        rates = stored_rates(left_specs(plan), store, results_folder)
    sums = Sums(rates, data, Estimate(at_once=at_once, free=free or free_on(home, results_folder)))
    pieces = Pieces(store)
    for job in plan.jobs:
        if not job.done:
            sums.add(job, list(pieces.of(job)))
    return sums.total()


def left_specs(plan: Plan) -> list[RunSpec]:
    """One cell, the first, of each combination that is left to compute."""
    left = [planned.cell for planned in reversed(plan.cells) if not planned.done]
    return list({cell.base: cell.spec for cell in left}.values())
