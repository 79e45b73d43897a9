"""The jobs of a sweep: which cells and stages one process computes, and what it waits for.

Cells that share a pretraining share a job, and the stages of a cell are cut into several jobs where
they ask for different machines.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.core.store import Store
from bench.settings.specs import PlugIn, digest
from bench.settings.traits import sample_rate, traits
from bench.stages.keys import Keys
from bench.sweep.cells import SweepCell
from bench.sweep.read import Sweep
from bench.sweep.spec import PRODUCTS, STAGES, ResourcesSpec, SiteSpec, Stage, StagesSpec
from bench.sweep.state import Tree

# A job takes seconds to start. Of very many short pretrainings several share one, but at least this
# many jobs remain, so that no machine stands idle.
_STEPS_WORTH_A_START = 200
_JOBS_AT_LEAST = 32


@dataclass(frozen=True)
class Planned:
    """A cell, and what is stored of it.

    Attributes:
        cell: the cell.
        stem: name of its result's files without the ending; "" as long as its data set is not
            prepared.
        keys: keys of its products at the stages pretrain, embed, probe and score, in this order;
            empty as long as its data set is not prepared.
        done: whether its result is stored.
        why: of a cell that is not done, the reason: what is missing or has changed.
    """

    cell: SweepCell
    stem: str
    keys: tuple[str, ...]
    done: bool
    why: str


@dataclass
class Job:
    """What one process computes: a data set, or some stages of one or more pretrainings.

    Attributes:
        name: name of the job and of its folder.
        kind: "prepare" or "cells".
        groups: names of the pretrainings (`SweepCell.group`), or of the data set.
        cells: the cells that the job is for; none of a job that prepares.
        resources: what the job asks of the machine.
        needs: names of the jobs that must have ended well before it starts.
        dataset: the data set to prepare.
        rate: the sample rate to prepare it at, in Hz.
        stages: the stages that it computes for its cells.
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
        """Whether nothing is left to compute."""
        return self.kind == "cells" and all(planned.done for planned in self.cells)

    @property
    def leases(self) -> list[str]:
        """Names of the leases that keep other attempts from computing the same at the same time.

        Pretrainings and data sets have one each, and so has every cell that is probed.
        """
        shared = self.groups if self.kind == "prepare" or self.stages[0] != "probe" else []
        cells = [f"cell-{planned.cell.id}" for planned in self.cells if "probe" in self.stages]
        return [*shared, *cells]

    def content(
        self, sweep: Sweep, home: Path, results_folder: Path, code: Path | None, device: str
    ) -> Tree:
        """The content of the job's file: everything that its process needs to know.

        Args:
            sweep: the sweep.
            home: the home folder.
            results_folder: folder of the results.
            code: the frozen copy of the code; None for a job that runs in this process.
            device: as in `bench run`.
        """
        point = ("fraction", "draw", "seed", "probe_seed")
        cells = [planned.cell for planned in self.cells]
        listed = [
            {
                "id": cell.id,
                "base": cell.base,
                "group": cell.group,
                "label": cell.label,
                "at": {name: getattr(cell.spec, name) for name in point},
            }
            for cell in cells
        ]
        return {
            "name": self.name,
            "kind": self.kind,
            "groups": self.groups,
            "stages": self.stages,
            "leases": self.leases,
            "bases": {cell.base: cell.spec.model_dump(mode="json") for cell in cells},
            "cells": listed,
            "dataset": self.dataset.model_dump(mode="json") if self.dataset else None,
            "rate": self.rate,
            "needs": self.needs,
            "resources": self.resources.model_dump(mode="json"),
            "home": str(home.resolve()),
            "results": str(results_folder.resolve()),
            "cwd": str(Path.cwd()),
            "code": str(code or ""),
            "device": device,
            "requeues": sweep.spec.site.requeues,
        }


def make_jobs(
    sweep: Sweep,
    planned: list[Planned],
    shared: dict[tuple[str, int], Keys],
    unprepared: dict[str, tuple[PlugIn, int]],
    store: Store,
) -> list[Job]:
    """Puts the cells of a sweep into jobs.

    Args:
        sweep: the sweep; says what the stages ask for and how jobs are cut here.
        planned: every cell.
        shared: keys of the cells of one combination and seed, by both.
        unprepared: data sets to prepare, each with its sample rate in Hz, by the key of "prepare".
        store: home, in which products are looked up.

    Returns:
        The jobs, those that others need first.
    """
    resources, site = sweep.spec.resources, sweep.spec.site
    jobs = [_prepare_job(key, *what, resources) for key, what in unprepared.items()]
    groups: dict[str, list[Planned]] = {}
    for cell in planned:
        groups.setdefault(cell.cell.group, []).append(cell)
    # Groups of one job use the same data, or the job would wait for more than each of them does.
    # Nothing here may depend on what is stored already: a job must have the same name at every
    # launch.
    by_data: dict[str, list[str]] = {}
    for group, members in groups.items():
        spec = members[0].cell.spec
        data = spec.dataset, spec.pretrain_dataset, sample_rate(spec.encoder)
        by_data.setdefault(digest([*data]), []).append(group)
    for alike in by_data.values():
        for names in _packs({name: groups[name] for name in alike}, site):
            members = [cell for name in names for cell in groups[name]]
            left = {
                (cell.cell.base, cell.cell.spec.seed): None for cell in members if not cell.done
            }
            wanted = [
                key
                for combination in left
                if combination in shared
                for key in (shared[combination].prepare, shared[combination].prepare_pretrain)
                if key in unprepared
            ]
            needs = [_prepare_name(key) for key in dict.fromkeys(wanted)]
            jobs += _stage_jobs(names, members, needs, resources, site, store)
    return jobs


def _prepare_name(key: str) -> str:
    return f"prepare-{key[:12]}"


def _prepare_job(key: str, dataset: PlugIn, rate: int, resources: StagesSpec) -> Job:
    """The job that prepares a data set at a sample rate, in Hz."""
    groups = [f"prepare-{key}"]
    name, asks = _prepare_name(key), resources.prepare
    return Job(name, "prepare", groups, [], asks, dataset=dataset, rate=rate)


def _packs(groups: dict[str, list[Planned]], site: SiteSpec) -> list[list[str]]:
    """Which groups share a job: lists of their names."""
    most = site.groups_per_job or max(1, len(groups) // _JOBS_AT_LEAST)
    packs: list[list[str]] = []
    steps = 0.0
    for name, members in groups.items():
        added = _steps(members[0])
        full = len(packs[-1]) == most if packs else True
        if full or (not site.groups_per_job and steps + added > _STEPS_WORTH_A_START):
            packs.append([])
            steps = 0.0
        packs[-1].append(name)
        steps += added
    return packs


def _steps(planned: Planned) -> float:
    """Optimiser steps of a cell's pretraining; infinite where they are given in epochs."""
    spec = planned.cell.spec
    if not traits(spec.method.name).trains:
        return 0
    return math.inf if spec.train.epochs else spec.train.steps


def _stage_jobs(
    groups: list[str],
    members: list[Planned],
    needs: list[str],
    resources: StagesSpec,
    site: SiteSpec,
    store: Store,
) -> list[Job]:
    """The jobs that compute some groups, each waiting for the one before.

    Stages whose products are stored are left out; the others are cut where the machine changes.

    Args:
        groups: names of the groups.
        members: all their cells.
        needs: names of the jobs that prepare their data.
        resources: what each stage asks for.
        site: how jobs are cut.
        store: home, in which products are looked up.
    """
    base = groups[0] if len(groups) == 1 else digest(groups, 12)
    left = [cell for cell in members if not cell.done]
    asked = {stage: getattr(resources, stage) for stage in STAGES}
    trains = any(traits(cell.cell.spec.method.name).trains for cell in members)
    if not trains:
        asked["pretrain"] = resources.embed  # drawing random weights takes a moment
    missing = [stage for stage in STAGES if not _stored(stage, left, store)]
    parts = _cut(missing, asked, site, trains) if left else [list(STAGES)]
    # Whether probes are cut into chunks follows from all stages, not from those that are left: the
    # job would otherwise have another name than the job that is already computing it.
    chunks = site.cells_per_job > 0 and _cut(STAGES, asked, site, trains)[-1] == ["probe"]
    jobs: list[Job] = []
    for part in parts:
        times = len(groups) if site.groups_per_job else 1
        asks = _largest([asked[stage] for stage in part], times)
        if part[-1] != "probe":
            name = f"{base}-{'-'.join(part)}"
            jobs.append(Job(name, "cells", groups, left, asks, needs, stages=tuple(part)))
            needs = [name]
            continue
        most = site.cells_per_job if part == ["probe"] and chunks else len(members)
        for first in range(0, len(members), most):
            name = base if most >= len(members) else f"{base}-{1 + first // most}"
            chunk = members[first : first + most]
            jobs.append(Job(name, "cells", groups, chunk, asks, needs, stages=tuple(part)))
    return jobs


def _cut(
    stages: Sequence[Stage], asked: dict[Stage, ResourcesSpec], site: SiteSpec, trains: bool
) -> list[list[Stage]]:
    """Cuts consecutive stages into those that one job computes.

    Args:
        stages: the stages, in their order.
        asked: what each stage asks for.
        site: says whether stages are put together.
        trains: whether anything is trained; weights that are only drawn are embedded at once.
    """
    parts: list[list[Stage]] = []
    for stage in stages:
        same = bool(parts) and asked[parts[-1][-1]].machine == asked[stage].machine
        moment = stage == "embed" and not trains
        if parts and (moment or site.stages == "together" or (site.stages == "auto" and same)):
            parts[-1].append(stage)
        else:
            parts.append([stage])
    return parts


def _stored(stage: Stage, cells: list[Planned], store: Store) -> bool:
    """Whether the product of a stage is stored for all cells.

    Never true of the last stage, "probe": its job also writes the results.
    """
    place = STAGES.index(stage)
    return stage != "probe" and all(
        cell.keys and store.has(PRODUCTS[stage], cell.keys[place]) for cell in cells
    )


def _largest(stages: list[ResourcesSpec], groups: int) -> ResourcesSpec:
    """What a job of several stages asks for: the most of each resource, the sum of the hours.

    Args:
        stages: what each stage asks for.
        groups: by how much the hours are multiplied: the number of groups where the site says how
            many share a job, else 1, since groups are then put together only if they are short.
    """
    tasks = max(stage.tasks for stage in stages)
    # GPUs and CPUs are rounded up to what the tasks can share evenly.
    return ResourcesSpec(
        gpus=-(-max(stage.gpus for stage in stages) // tasks) * tasks,
        cpus=-(-max(stage.cpus for stage in stages) // tasks) * tasks,
        memory_gb=max(stage.memory_gb for stage in stages),
        hours=groups * sum(stage.hours for stage in stages),
        nodes=max(stage.nodes for stage in stages),
        tasks=tasks,
    )
