"""What of sweeps and stored results MLflow is to show: cells with their states and results, as plain values."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bench import results
from bench.core.errors import InputError
from bench.results import Result, file_stem
from bench.settings.specs import RunSpec, digest
from bench.sweep.cells import cells as cells_of
from bench.sweep.read import Sweep, read_sweep
from bench.sweep.state import SweepFolder, Tree, folder_of
from bench.sweep.status import ACTIVE, STATES, JobState, read_status
from bench.tracking.runs import Cell, Experiment, of_result

_KEPT = ("done", *ACTIVE)  # states that a later launch of a changed sweep file does not take back


@dataclass(frozen=True)
class Gathered:
    """What is to be shown.

    Attributes:
        experiments: of sweeps, and of the results that stand in none.
        left_out: a line for each file that cannot be used.
        active: how many cells are waiting or at work.
    """

    experiments: list[Experiment]
    left_out: list[str]
    active: int


class _Stored:
    """The stored results, to be found by name or by what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.left_out: list[str] = []
        self.by_stem: dict[str, Result] = {}
        self.taken: set[str] = set()
        self._alike: dict[str, list[Result]] = {}
        self._seen: set[str] = set()
        self.look()

    def look(self) -> None:
        """Reads what has been stored since the last look."""
        names = {path.stem for path in (self.folder / "runs").glob("*.json")}
        found, left_out = results.read_all(self.folder, but=self._seen)
        self._seen |= names
        self.left_out += left_out
        for result in found:
            self.by_stem[file_stem(result.spec, result.cell)] = result
            self._alike.setdefault(file_stem(result.spec, ""), []).append(result)

    def of_stem(self, stem: str) -> Result | None:
        return self._take(self.by_stem.get(stem))

    def of_spec(self, spec: RunSpec) -> Result | None:
        """The latest result of a cell, whatever code made it."""
        wanted = digest(spec)
        alike = [
            one for one in self._alike.get(file_stem(spec, ""), ()) if digest(one.spec) == wanted
        ]
        return self._take(max(alike, key=lambda one: one.created, default=None))

    def rest(self) -> list[Result]:
        return [result for stem, result in self.by_stem.items() if stem not in self.taken]

    def _take(self, result: Result | None) -> Result | None:
        if result:
            self.taken.add(file_stem(result.spec, result.cell))
        return result


def gather(home: Path, results_folder: Path, files: Sequence[str] = (), rest: str = "") -> Gathered:
    """Reads what there is.

    Args:
        home: that sweeps were launched from.
        results_folder: results folder.
        files: sweep files; without any, every sweep in home is taken, and every result that stands
            in none.
        rest: name of the experiment of those results.

    Raises:
        InputError: a sweep file cannot be read, or nothing is there of it.
    """
    stored = _Stored(results_folder)
    left_out: list[str] = []
    found: dict[str, Experiment] = {}
    for file in files:
        sweep = read_sweep(file)
        folder = folder_of(home, sweep.name, sweep.identity)
        launched = (folder.path / "cells.json").is_file()
        cells = (
            _launched(folder, stored) if launched else _never_launched(sweep, file, home, stored)
        )
        found[sweep.name] = _joined(
            found.get(sweep.name), Experiment(sweep.name, cells, (folder.path.name,))
        )
    for folder in [] if files else _folders(home):
        name = folder.path.name.rpartition("-")[0]
        try:
            made = Experiment(name, _launched(folder, stored), (folder.path.name,))
        except InputError as error:
            left_out.append(str(error))
        else:
            found[name] = _joined(found.get(name), made)
    experiments = list(found.values())
    if not files:
        loose = [of_result(results_folder, result) for result in stored.rest()]
        experiments += [Experiment(rest, loose, rest=True)] if loose else []
    active = sum(cell.state in ACTIVE for one in experiments for cell in one.cells)
    return Gathered(experiments, stored.left_out + left_out, active)


def _folders(home: Path) -> list[SweepFolder]:
    """The sweeps that were launched from a home, the latest launch last."""
    paths = sorted(
        home.resolve().glob("sweeps/*/cells.json"), key=lambda path: path.stat().st_mtime
    )
    return [SweepFolder(path.parent) for path in paths]


def _joined(first: Experiment | None, second: Experiment) -> Experiment:
    """Two states of one sweep, whose file was changed in between: a cell is what is furthest of it."""
    if first is None:
        return second
    cells = {cell.id: cell for cell in first.cells}
    for cell in second.cells:
        before = cells.get(cell.id)
        if (
            before is None
            or STATES.index(cell.state) <= STATES.index(before.state)
            or before.state not in _KEPT
        ):
            cells[cell.id] = cell
    return Experiment(second.name, list(cells.values()), first.sweeps + second.sweeps)


def _launched(folder: SweepFolder, stored: _Stored) -> list[Cell]:
    """The cells of a sweep that was launched.

    Raises:
        InputError: its files are damaged.
    """
    try:
        return _as_it_is(folder, stored)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"the sweep in {folder.path} cannot be read ({type(error).__name__}: {error})"
        ) from error


def _as_it_is(folder: SweepFolder, stored: _Stored) -> list[Cell]:
    state = read_status(folder, stored.folder)
    # at what was done after the results were read, which takes seconds where there are many
    stored.look()
    states = {one.id: one for one in state.cells}
    listed = [one for one in (folder.cells or {"cells": []})["cells"] if one["id"] in states]
    asked = _asked(folder, {one["job"] for one in listed})
    shared = {
        job: _at_work(folder, job, state.jobs)
        for job, now in state.jobs.items()
        if now.state == "queued"
    }
    found = []
    for one in listed:
        now, (spec, group) = states[one["id"]], asked.get(one["id"], (None, ""))
        result = None
        name, why = now.state, now.why
        if name == "done":
            result = (
                stored.of_stem(one["stem"])
                if one["stem"]
                else stored.of_spec(spec)
                if spec
                else None
            )
            if result is None:
                name, why = "missing", "its result cannot be read"
        job = state.jobs.get(one["job"]) if name not in ("done", "missing") else None
        cell = Cell(
            one["id"],
            one["label"],
            name,
            why,
            spec=spec,
            pretraining=group,
            key=one["stem"].rpartition("-")[2],
            pretraining_key=next(iter(one["keys"]), ""),
            started=job.attempt.status["started"] if job and job.attempt else "",
            shared=shared.get(one["job"], "") if name == "queued" else "",
            tags={"sweep": folder.path.name, "job": one["job"]},
        )
        if result:
            path = results.path_of(stored.folder, result)
            cell = replace(cell, key=result.cell, result=result, path=path, spec=result.spec)
        found.append(cell)
    return found


def _at_work(folder: SweepFolder, job: str, states: dict[str, JobState]) -> str:
    """Of the jobs that this one waits for, and these for, one that trains or embeds.

    "" for none.
    """
    waited_for, reached = folder.job(job).get("needs", []), set[str]()
    while waited_for:
        one = waited_for.pop()
        now = states.get(one)
        if one in reached or now is None or now.state not in ACTIVE:
            continue
        content = folder.job(one)
        if now.state == "running" and content["kind"] == "cells":
            return f"{one} {now.why}"
        reached.add(one)
        waited_for += content.get("needs", [])
    return ""


def _asked(folder: SweepFolder, jobs: Iterable[str]) -> dict[str, tuple[RunSpec, str]]:
    """What the cells of jobs are, and the groups that share a pretraining; by the cells' ids."""
    found: dict[str, tuple[RunSpec, str]] = {}
    for job in jobs:
        with suppress(
            OSError, ValueError, KeyError
        ):  # another version's; then the results alone say what they are
            content: Tree = folder.job(job)
            specs = {base: RunSpec.model_validate(tree) for base, tree in content["bases"].items()}
            for cell in content["cells"]:
                found[cell["id"]] = specs[cell["base"]].model_copy(update=cell["at"]), cell["group"]
    return found


def _never_launched(sweep: Sweep, file: str, home: Path, stored: _Stored) -> list[Cell]:
    """The cells of a sweep that were computed without it."""
    found = []
    for one in cells_of(sweep):
        result = stored.of_spec(one.spec)
        if result:
            path = results.path_of(stored.folder, result)
            tags = {"sweep": folder_of(home, sweep.name, sweep.identity).path.name}
            found.append(
                Cell(
                    one.id,
                    one.label,
                    "done",
                    "",
                    result.cell,
                    result,
                    path,
                    one.spec,
                    one.group,
                    tags=tags,
                )
            )
    if not found:
        raise InputError(
            f"sweep {file} was not launched from {home}, and none of its cells is stored in {stored.folder}: "
            f"bench sweep {file} --dry-run shows its plan"
        )
    return found
