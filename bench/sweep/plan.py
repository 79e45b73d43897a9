"""What a sweep would do: cells into jobs, by shared pretraining.

What is there already, what is made again and why.
"""

import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import results
from bench.core.errors import InputError, UnplacedError
from bench.core.store import Store
from bench.settings.specs import PlugIn, digest
from bench.settings.traits import sample_rate, traits
from bench.stages.keys import Keys
from bench.sweep.cells import Cell, cells, located
from bench.sweep.read import Sweep
from bench.sweep.spec import PRODUCTS, STAGES, ResourcesSpec, SiteSpec, Stage, StagesSpec
from bench.sweep.state import SweepFolder, Tree, folder_of

_KEYS = (*STAGES, "score")
# A job takes seconds to start: of very many short pretrainings several share one, but not so many
# that machines idle.
_STEPS_WORTH_A_START = 200
_JOBS_AT_LEAST = 32


@dataclass(frozen=True)
class Planned:
    """A cell and what is there of it.

    Attributes:
        cell: the cell.
        stem: the name of its result's files; "" as long as its data are not prepared.
        keys: of its products, in the order of the stages pretrain, embed, probe, score.
        done: whether its result is stored.
        why: for one that is not: what is missing or has changed.
    """

    cell: Cell
    stem: str
    keys: tuple[str, ...]
    done: bool
    why: str


@dataclass
class Job:
    """What one process computes: a data set, or stages of one or more pretrainings with their cells.

    Attributes:
        name: of its folder.
        kind: "prepare" or "cells".
        groups: pretrainings, or the data set.
        cells: that need it.
        resources: that it needs.
        needs: names of the jobs that must have ended well before.
        dataset: to prepare.
        rate: sample rate to prepare it at, in Hz.
        stages: what it does for its cells.
    """

    name: str
    kind: str
    groups: list[str]
    cells: list[Planned]
    resources: ResourcesSpec
    needs: list[str] = field(default_factory=list)
    dataset: PlugIn | None = None
    rate: int = 0
    stages: tuple[Stage, ...] = ()

    @property
    def done(self) -> bool:
        """Whether nothing is left of it to compute."""
        return self.kind == "cells" and all(one.done for one in self.cells)

    @property
    def leases(self) -> list[str]:
        """What no other attempt may compute at the same time."""
        shared = self.groups if self.kind == "prepare" or self.stages[0] != "probe" else []
        return [*shared, *(f"cell-{one.cell.id}" for one in self.cells if "probe" in self.stages)]

    def content(
        self, sweep: Sweep, home: Path, results_folder: Path, code: Path | None, device: str
    ) -> Tree:
        """All that the process needs to know."""
        bases = {one.cell.base: one.cell.spec.model_dump(mode="json") for one in self.cells}
        listed = [
            {
                "id": one.cell.id, "base": one.cell.base, "group": one.cell.group, "label": one.cell.label,
                "at": {name: getattr(one.cell.spec, name) for name in ("fraction", "draw", "seed", "probe_seed")},
            }
            for one in self.cells
        ]  # fmt: skip
        return {
            "name": self.name, "kind": self.kind, "groups": self.groups, "stages": self.stages, "leases": self.leases,
            "bases": bases, "cells": listed,
            "dataset": self.dataset.model_dump(mode="json") if self.dataset else None, "rate": self.rate,
            "needs": self.needs, "resources": self.resources.model_dump(mode="json"), "home": str(home.resolve()),
            "results": str(results_folder.resolve()), "cwd": str(Path.cwd()), "code": str(code or ""),
            "device": device, "requeues": sweep.spec.site.requeues,
        }  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What a sweep is made of.

    Attributes:
        sweep: as read.
        folder: of the sweep in home.
        cells: every cell.
        jobs: that compute them, those first that others need.
    """

    sweep: Sweep
    folder: SweepFolder
    cells: list[Planned]
    jobs: list[Job]

    def record(self) -> Tree:
        """The cells as `cells.json` holds them, for `bench status` and the next plan."""
        job_of = {
            one.cell.id: job.name for job in self.jobs if "probe" in job.stages for one in job.cells
        }
        listed = [
            {
                "id": one.cell.id,
                "label": one.cell.label,
                "job": job_of[one.cell.id],
                "stem": one.stem,
                "keys": one.keys,
            }
            for one in self.cells
        ]
        return {"file": str(self.sweep.path.resolve()), "cells": listed}


def make_plan(sweep: Sweep, home: Path, results_folder: Path, *, dry: bool = False) -> Plan:
    """Resolves a sweep's cells, looks at what is stored of them, and puts the rest into jobs.

    Args:
        sweep: as read.
        home: of products.
        results_folder: with stored results.
        dry: for a look alone: of data sets that nobody has said the place of, the cells say so.

    Raises:
        InputError: a cell cannot be (see `bench.sweep.cells.cells`).
    """
    store, folder = Store(home), folder_of(home, sweep.name, sweep.identity)
    stored = stored_names(results_folder)
    others = Counter(stem.rpartition("-")[0] for stem in stored)
    before = {one["id"]: one for one in (folder.cells or {"cells": []})["cells"]}
    shared: dict[tuple[str, int], Keys] = {}
    first: dict[str, Keys] = {}
    planned, needed = [], {}
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
        at = cell.base, cell.spec.seed
        if at not in shared:
            shared[at] = first[cell.base].other_seed(cell.spec)
        keys = shared[at].beside(cell.spec)
        wanted = [(keys.prepare, cell.spec.dataset)] if keys.data is None else []
        if not keys.known and keys.pretrain_data is None:
            wanted.append((keys.prepare_pretrain, cell.spec.pretrain_dataset))
        for key, dataset in wanted:
            if key not in needed:
                needed[key] = dataset, sample_rate(cell.spec.encoder)
        planned.append(_planned(cell, keys, stored, others, before.get(cell.id)))
    return Plan(sweep, folder, planned, _jobs(sweep, planned, shared, needed, store))


def stored_names(results_folder: Path) -> set[str]:
    """The names of the results that are whole: with their JSON and their resampled values."""
    try:
        names = {entry.name for entry in os.scandir(results_folder / "runs")}
    except OSError:
        return set()
    return {name[:-5] for name in names if name.endswith(".json") and f"{name[:-5]}.npz" in names}


def _planned(
    cell: Cell, keys: Keys, stored: set[str], others: Counter[str], before: Tree | None
) -> Planned:
    if not keys.known:
        return Planned(cell, "", (), False, "its data are not prepared")
    made = (keys.pretrain, keys.embed, keys.probe, keys.cell)
    stem = results.file_stem(cell.spec, made[-1])
    if stem in stored:
        return Planned(cell, stem, made, True, "")
    if before and before["keys"] and before["stem"] in stored:
        changed = next(
            stage for stage, old, new in zip(_KEYS, before["keys"], made, strict=True) if old != new
        )
        return Planned(
            cell, stem, made, False, f"made again: code or data of {changed} have changed"
        )
    other = others[stem.rpartition("-")[0]]
    return Planned(
        cell,
        stem,
        made,
        False,
        f"not there ({other} of other settings or code)" if other else "not there",
    )


def _jobs(
    sweep: Sweep, planned: list[Planned], shared: dict[tuple[str, int], Keys],
    needed: dict[str, tuple[PlugIn, int]], store: Store,
) -> list[Job]:  # fmt: skip
    resources, site = sweep.spec.resources, sweep.spec.site
    jobs = [
        Job(
            f"prepare-{key[:12]}",
            "prepare",
            [f"prepare-{key}"],
            [],
            resources.prepare,
            dataset=dataset,
            rate=rate,
        )
        for key, (dataset, rate) in needed.items()
    ]
    groups: dict[str, list[Planned]] = {}
    for one in planned:
        groups.setdefault(one.cell.group, []).append(one)
    # Groups of one job are of the same data, or the job would wait for more than each of them.
    # Nothing here may depend on what is there already: a job must have the same name at every
    # launch.
    alike: dict[Any, list[str]] = {}
    for group, members in groups.items():
        spec = members[0].cell.spec
        data = spec.dataset, spec.pretrain_dataset, sample_rate(spec.encoder)
        alike.setdefault(digest([*data]), []).append(group)
    for names_alike in alike.values():
        for names in _packs({name: groups[name] for name in names_alike}, site):
            members = [one for name in names for one in groups[name]]
            keys = {(one.cell.base, one.cell.spec.seed): None for one in members if not one.done}
            wanted = [
                key
                for at in keys
                if at in shared
                for key in _data_keys(shared[at])
                if key in needed
            ]
            needs = [f"prepare-{key[:12]}" for key in dict.fromkeys(wanted)]
            jobs += _stage_jobs(names, members, needs, resources, site, store)
    return jobs


def _data_keys(keys: Keys) -> tuple[str, str]:
    return keys.prepare, keys.prepare_pretrain


def _packs(groups: dict[str, list[Planned]], site: SiteSpec) -> list[list[str]]:
    """Which groups share a job."""
    most = site.groups_per_job or max(1, len(groups) // _JOBS_AT_LEAST)
    packs: list[list[str]] = []
    steps = 0.0
    for name, members in groups.items():
        spec = members[0].cell.spec
        own = (
            0
            if not traits(spec.method.name).trains
            else math.inf
            if spec.train.epochs
            else spec.train.steps
        )
        full = len(packs[-1]) == most if packs else True
        if full or (not site.groups_per_job and steps + own > _STEPS_WORTH_A_START):
            packs.append([])
            steps = 0.0
        packs[-1].append(name)
        steps += own
    return packs


def _stage_jobs(
    groups: list[str],
    members: list[Planned],
    needs: list[str],
    resources: StagesSpec,
    site: SiteSpec,
    store: Store,
) -> list[Job]:
    """The jobs of groups, one after the other: what is not there of their stages, cut where the machine changes."""
    base = groups[0] if len(groups) == 1 else digest(groups, 12)
    left = [one for one in members if not one.done]
    asked = {stage: getattr(resources, stage) for stage in STAGES}
    trains = any(traits(one.cell.spec.method.name).trains for one in members)
    if not trains:
        asked["pretrain"] = resources.embed  # drawing weights is the work of a moment

    def cut(stages: Sequence[Stage]) -> list[list[Stage]]:
        parts: list[list[Stage]] = []
        for stage in stages:
            same = bool(parts) and asked[parts[-1][-1]].machine == asked[stage].machine
            moment = stage == "embed" and not trains
            if parts and (moment or site.stages == "together" or (site.stages == "auto" and same)):
                parts[-1].append(stage)
            else:
                parts.append([stage])
        return parts

    # Not whether there is nothing but probes left now: the job would have another name than that
    # which is at it.
    chunks = site.cells_per_job > 0 and cut(STAGES)[-1] == ["probe"]
    jobs: list[Job] = []
    for part in (
        cut([stage for stage in STAGES if not _stored(stage, left, store)])
        if left
        else [list(STAGES)]
    ):
        asks = _together(
            [asked[stage] for stage in part], len(groups) if site.groups_per_job else 1
        )
        if part[-1] != "probe":
            jobs.append(
                Job(
                    f"{base}-{'-'.join(part)}",
                    "cells",
                    groups,
                    left,
                    asks,
                    needs,
                    stages=tuple(part),
                )
            )
            needs = [jobs[-1].name]
            continue
        most = site.cells_per_job if part == ["probe"] and chunks else len(members)
        for first in range(0, len(members), most):
            name = base if most >= len(members) else f"{base}-{1 + first // most}"
            chunk = members[first : first + most]
            jobs.append(Job(name, "cells", groups, chunk, asks, needs, stages=tuple(part)))
    return jobs


def _stored(stage: Stage, cells_: list[Planned], store: Store) -> bool:
    """Whether the product of a stage is there for all of them; of the last one, never."""
    place = STAGES.index(stage)
    return stage != "probe" and all(
        one.keys and store.has(PRODUCTS[stage], one.keys[place]) for one in cells_
    )


def _together(stages: list[ResourcesSpec], groups: int) -> ResourcesSpec:
    """The most that one of the stages needs, and the time of all of them.

    Times the groups where the site says how many share a job; those that share one by themselves
    are short.
    """
    tasks = max(one.tasks for one in stages)
    return ResourcesSpec(
        gpus=-(-max(one.gpus for one in stages) // tasks) * tasks,
        cpus=-(-max(one.cpus for one in stages) // tasks) * tasks,
        memory_gb=max(one.memory_gb for one in stages),
        hours=groups * sum(one.hours for one in stages),
        nodes=max(one.nodes for one in stages),
        tasks=tasks,
    )


def check_settings(plan_: Plan) -> None:
    """Loads the plug-ins that settings are given for, once a combination, before anything is launched.

    Raises:
        InputError: an unknown setting, a value out of range, or a batch that tasks cannot share
            equally.
    """
    from bench.stages.session import check

    seen: set[Any] = set()
    tasks = plan_.sweep.spec.resources.pretrain.processes
    for one in plan_.cells:
        if one.cell.base not in seen:
            seen.add(one.cell.base)
            try:
                check(one.cell.spec)
            except InputError as error:
                raise located(plan_.sweep, error) from error
            batch = one.cell.spec.train.batch_size
            if batch % tasks and traits(one.cell.spec.method.name).trains:
                text = f"a batch of {batch} ({one.cell.label}) cannot be shared equally by {tasks} tasks"
                raise plan_.sweep.error(
                    f"{text}: change them or train.batch_size", "resources", "pretrain", "tasks"
                )
