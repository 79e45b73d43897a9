"""What a launch of a sweep would do: which cells are done, what computes the rest, and why.

The keys of all products are computed here, once for every combination and seed, and compared with
what is stored.
"""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bench import results
from bench.core.errors import InputError, UnplacedError
from bench.core.store import Store
from bench.settings.specs import PlugIn
from bench.settings.traits import sample_rate, traits
from bench.stages.keys import Keys
from bench.sweep.cells import SweepCell, cells, located
from bench.sweep.jobs import Job, Planned, make_jobs
from bench.sweep.read import Sweep
from bench.sweep.spec import STAGES
from bench.sweep.state import SweepFolder, Tree, folder_of

_KEYS = (*STAGES, "score")


@dataclass(frozen=True)
class Plan:
    """A sweep's cells and the jobs that compute them.

    Attributes:
        sweep: the sweep as read from its file.
        folder: folder of the sweep in home.
        cells: every cell, with what is stored of it.
        jobs: the jobs, those that others need first.
    """

    sweep: Sweep
    folder: SweepFolder
    cells: list[Planned]
    jobs: list[Job]

    def record(self) -> Tree:
        """The content of `cells.json`, which `bench status` and the next plan read."""
        job_of = {
            planned.cell.id: job.name
            for job in self.jobs
            if "probe" in job.stages
            for planned in job.cells
        }
        listed = [
            {
                "id": planned.cell.id,
                "label": planned.cell.label,
                "job": job_of[planned.cell.id],
                "stem": planned.stem,
                "keys": planned.keys,
            }
            for planned in self.cells
        ]
        return {"file": str(self.sweep.path.resolve()), "cells": listed}


def make_plan(sweep: Sweep, home: Path, results_folder: Path, *, dry: bool = False) -> Plan:
    """Resolves a sweep's cells, looks up what is stored of them, and puts the rest into jobs.

    Args:
        sweep: the sweep as read from its file.
        home: the home folder, in which products are looked up.
        results_folder: folder of the stored results.
        dry: for a plan that is only looked at. Where nobody has said in which folder the files of a
            data set lie, its cells then say so, and no error is raised.

    Returns:
        The plan.

    Raises:
        InputError: a cell is not possible (see `bench.sweep.cells.cells`).
        UnplacedError: the folder of a data set is not known, and `dry` is not set.
    """
    store, folder = Store(home), folder_of(home, sweep.name, sweep.identity)
    stored = stored_names(results_folder)
    others = Counter(stem.rpartition("-")[0] for stem in stored)
    before = {cell["id"]: cell for cell in (folder.cells or {"cells": []})["cells"]}
    # Keys that cells share are computed once: those of a combination, then those of its seeds.
    first: dict[str, Keys] = {}
    shared: dict[tuple[str, int], Keys] = {}
    planned: list[Planned] = []
    unprepared: dict[str, tuple[PlugIn, int]] = {}
    unplaced: dict[str, str] = {}
    for cell in cells(sweep):
        if cell.base not in first and cell.base not in unplaced:
            try:
                first[cell.base] = Keys(cell.spec, store)
            except UnplacedError as error:
                if not dry:
                    raise
                unplaced[cell.base] = str(error)
        if cell.base in unplaced:
            planned.append(Planned(cell, "", (), False, unplaced[cell.base]))
            continue
        combination = cell.base, cell.spec.seed
        if combination not in shared:
            shared[combination] = first[cell.base].other_seed(cell.spec)
        keys = shared[combination].beside(cell.spec)
        for key, dataset in _unprepared(cell, keys):
            if key not in unprepared:
                unprepared[key] = dataset, sample_rate(cell.spec.encoder)
        planned.append(_planned(cell, keys, stored, others, before.get(cell.id)))
    return Plan(sweep, folder, planned, make_jobs(sweep, planned, shared, unprepared, store))


def _unprepared(cell: SweepCell, keys: Keys) -> list[tuple[str, PlugIn]]:
    """The data sets of a cell that are not prepared, each with the key of its preparation."""
    wanted = [(keys.prepare, cell.spec.dataset)] if keys.data is None else []
    if not keys.known and keys.pretrain_data is None:
        wanted.append((keys.prepare_pretrain, cell.spec.pretrain_dataset))
    return wanted


def stored_names(results_folder: Path) -> set[str]:
    """Names, without ending, of the results that are whole.

    A result is whole when both its files are there: the JSON and the resampled values.
    """
    try:
        names = {entry.name for entry in os.scandir(results_folder / "runs")}
    except OSError:
        return set()
    return {name[:-5] for name in names if name.endswith(".json") and f"{name[:-5]}.npz" in names}


def _planned(
    cell: SweepCell, keys: Keys, stored: set[str], others: Counter[str], before: Tree | None
) -> Planned:
    """Says what is stored of a cell, and if its result is missing, why.

    Args:
        cell: the cell.
        keys: keys of its products.
        stored: names of all stored results.
        others: how many stored results have the same name but for the key at its end.
        before: what the last launch wrote of the cell; None where it knew no such cell.
    """
    if not keys.known:
        return Planned(cell, "", (), False, "its data are not prepared")
    products = (keys.pretrain, keys.embed, keys.probe, keys.cell)
    stem = results.file_stem(cell.spec, products[-1])
    if stem in stored:
        return Planned(cell, stem, products, True, "")
    if before and before["keys"] and before["stem"] in stored:
        stages = zip(_KEYS, before["keys"], products, strict=True)
        changed = next(stage for stage, old, new in stages if old != new)
        why = f"made again: code or data of {changed} have changed"
    else:
        other = others[stem.rpartition("-")[0]]
        why = f"not there ({other} of other settings or code)" if other else "not there"
    return Planned(cell, stem, products, False, why)


def check_settings(plan_: Plan) -> None:
    """Checks the settings of all plug-ins before anything is launched, once for each combination.

    Loads the plug-ins, and so torch.

    Args:
        plan_: the plan.

    Raises:
        InputError: an unknown setting, a value out of range, or a batch that the tasks of a
            pretraining cannot share equally.
    """
    from bench.stages.session import check

    checked: set[str] = set()
    tasks = plan_.sweep.spec.resources.pretrain.processes
    for planned in plan_.cells:
        cell = planned.cell
        if cell.base in checked:
            continue
        checked.add(cell.base)
        try:
            check(cell.spec)
        except InputError as error:
            raise located(plan_.sweep, error) from error
        batch = cell.spec.train.batch_size
        if batch % tasks and traits(cell.spec.method.name).trains:
            raise plan_.sweep.error(
                f"a batch of {batch} ({cell.label}) cannot be shared equally by {tasks} tasks: "
                "change them or train.batch_size",
                "resources",
                "pretrain",
                "tasks",
            )
