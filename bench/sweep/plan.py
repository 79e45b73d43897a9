"""What a sweep would do: cells into jobs, by shared pretraining; what is there already, what is made again and why."""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import plan, results
from bench.config import PlugIn, digest
from bench.store import Store
from bench.sweep.cells import Cell, cells
from bench.sweep.read import Sweep
from bench.sweep.spec import ResourcesSpec
from bench.sweep.state import SweepFolder, Tree, folder_of

_STAGES = ("pretrain", "embed", "probe", "score")


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
    """What one process computes: a data set, or one or more pretrainings with all their cells.

    Attributes:
        name: of its folder.
        kind: "prepare" or "cells".
        groups: that it holds the leases of.
        cells: its cells.
        resources: that it needs.
        needs: names of the jobs that must have ended well before.
        dataset: to prepare.
        rate: sample rate to prepare it at, in Hz.
        pretrained: whether every pretraining of it is stored.
    """

    name: str
    kind: str
    groups: list[str]
    cells: list[Planned]
    resources: ResourcesSpec
    needs: list[str] = field(default_factory=list)
    dataset: PlugIn | None = None
    rate: int = 0
    pretrained: bool = False

    @property
    def done(self) -> bool:
        """Whether nothing is left of it to compute."""
        return self.kind == "cells" and all(one.done for one in self.cells)

    def content(self, sweep: Sweep, home: Path, results_folder: Path, code: Path | None, device: str) -> Tree:
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
            "name": self.name, "kind": self.kind, "groups": self.groups, "bases": bases, "cells": listed,
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
        job_of = {one.cell.id: job.name for job in self.jobs for one in job.cells}
        listed = [
            {"id": one.cell.id, "label": one.cell.label, "job": job_of[one.cell.id], "stem": one.stem, "keys": one.keys}
            for one in self.cells
        ]
        return {"file": str(self.sweep.path.resolve()), "cells": listed}


def make_plan(sweep: Sweep, home: Path, results_folder: Path) -> Plan:
    """Resolves a sweep's cells, looks at what is stored of them, and puts the rest into jobs.

    Raises:
        InputError: a cell cannot be (see `bench.sweep.cells.cells`).
    """
    store, folder = Store(home), folder_of(home, sweep.name, sweep.identity)
    stored = stored_names(results_folder)
    others = Counter(stem.rpartition("-")[0] for stem in stored)
    before = {one["id"]: one for one in (folder.cells or {"cells": []})["cells"]}
    shared: dict[tuple[str, int], plan.Keys] = {}
    planned, needed = [], {}
    for cell in cells(sweep):
        like = shared.get((cell.base, cell.spec.seed))
        if like is None:
            like = shared[cell.base, cell.spec.seed] = _keys(cell, store, shared)
        keys = like.beside(cell.spec)
        wanted = [(keys.prepare, cell.spec.dataset)] if keys.data is None else []
        if not keys.known and keys.pretrain_data is None:
            wanted.append((keys.prepare_pretrain, cell.spec.pretrain_dataset))
        for key, dataset in wanted:
            if key not in needed:
                needed[key] = dataset, plan.sample_rate(cell.spec.encoder)
        planned.append(_planned(cell, keys, stored, others, before.get(cell.id)))
    return Plan(sweep, folder, planned, _jobs(sweep, planned, shared, needed, store))


def _keys(cell: Cell, store: Store, shared: dict[tuple[str, int], plan.Keys]) -> plan.Keys:
    """The keys of the first cell of a combination and a seed."""
    for (base, _), keys in shared.items():
        if base == cell.base:
            return keys.other_seed(cell.spec)
    return plan.Keys(cell.spec, store)


def stored_names(results_folder: Path) -> set[str]:
    """The names of the results that are whole: with their JSON and their resampled values."""
    try:
        names = {entry.name for entry in os.scandir(results_folder / "runs")}
    except OSError:
        return set()
    return {name[:-5] for name in names if name.endswith(".json") and f"{name[:-5]}.npz" in names}


def _planned(cell: Cell, keys: plan.Keys, stored: set[str], others: Counter[str], before: Tree | None) -> Planned:
    if not keys.known:
        return Planned(cell, "", (), False, "its data are not prepared")
    made = (keys.pretrain, keys.embed, keys.probe, keys.cell)
    stem = results.file_stem(cell.spec, made[-1])
    if stem in stored:
        return Planned(cell, stem, made, True, "")
    if before and before["keys"] and before["stem"] in stored:
        changed = next(stage for stage, old, new in zip(_STAGES, before["keys"], made, strict=True) if old != new)
        return Planned(cell, stem, made, False, f"made again: code or data of {changed} have changed")
    other = others[stem.rpartition("-")[0]]
    return Planned(cell, stem, made, False, f"not there ({other} of other settings or code)" if other else "not there")


def _jobs(
    sweep: Sweep, planned: list[Planned], shared: dict[tuple[str, int], plan.Keys],
    needed: dict[str, tuple[PlugIn, int]], store: Store,
) -> list[Job]:  # fmt: skip
    resources, per_job = sweep.spec.resources, sweep.spec.site.groups_per_job
    jobs = [
        Job(f"prepare-{key[:12]}", "prepare", [f"prepare-{key}"], [], resources.prepare, dataset=dataset, rate=rate)
        for key, (dataset, rate) in needed.items()
    ]
    groups: dict[str, list[Planned]] = {}
    for one in planned:
        groups.setdefault(one.cell.group, []).append(one)
    # Groups of one job need the same data, or the job would wait for more than each of them.
    packs: dict[tuple[str, ...], list[list[str]]] = {}
    for group, members in groups.items():
        keys = {shared[one.cell.base, one.cell.spec.seed] for one in members}
        wanted = {key for one in keys for key in (one.prepare, one.prepare_pretrain) if key in needed}
        packs.setdefault(tuple(sorted(wanted)), [[]])
        pack = packs[tuple(sorted(wanted))]
        if len(pack[-1]) == per_job:
            pack.append([])
        pack[-1].append(group)
    for wanted_keys, pack in packs.items():
        for names in pack:
            members = [one for name in names for one in groups[name]]
            there = all(one.keys and store.has("pretrained", one.keys[0]) for one in members)
            stages = (resources.embed, resources.probe)
            job = Job(
                digest(names, 12) if len(names) > 1 else names[0], "cells", names, members,
                _together(stages if there else (resources.pretrain, *stages), len(names)),
                [f"prepare-{key[:12]}" for key in wanted_keys], pretrained=there,
            )  # fmt: skip
            jobs.append(job)
    return jobs


def _together(stages: tuple[ResourcesSpec, ...], groups: int) -> ResourcesSpec:
    """The most that one of the stages needs, and the time of all of them, for as many groups as a job has."""
    return ResourcesSpec(
        gpus=max(one.gpus for one in stages),
        cpus=max(one.cpus for one in stages),
        memory_gb=max(one.memory_gb for one in stages),
        hours=groups * sum(one.hours for one in stages),
    )


def check_settings(plan_: Plan) -> None:
    """Loads the plug-ins that settings are given for, once a combination, before anything is launched.

    Raises:
        InputError: an unknown setting or a value out of range.
    """
    from bench.run import check

    seen: set[Any] = set()
    for one in plan_.cells:
        if one.cell.base not in seen:
            seen.add(one.cell.base)
            check(one.cell.spec)
