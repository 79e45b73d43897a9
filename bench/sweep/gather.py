"""What MLflow is to show of sweeps and stored results: cells with states and results as values."""

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
from bench.sweep.status import ACTIVE, STATES, CellState, JobState, read_status
from bench.tracking.cells import Experiment, TrackedCell, of_result

# States of a cell that a later launch of a changed sweep file does not put back to an earlier one.
_KEPT = ("done", *ACTIVE)


@dataclass(frozen=True)
class Gathered:
    """What is to be shown.

    Attributes:
        experiments: one for each sweep, and one for the results that belong to no sweep.
        left_out: a line for each file that cannot be used.
        active: number of cells that wait or are at work.
    """

    experiments: list[Experiment]
    left_out: list[str]
    active: int


class _StoredResults:
    """The stored results, which can be found by name or by what was asked for.

    Attributes:
        folder: folder of the results.
        left_out: a line for each file that cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.left_out: list[str] = []
        self._by_stem: dict[str, Result] = {}
        self._taken: set[str] = set()
        self._alike: dict[str, list[Result]] = {}
        self._seen: set[str] = set()
        self.look()

    def look(self) -> None:
        """Reads the results that were stored since the last look."""
        names = {path.stem for path in (self.folder / "runs").glob("*.json")}
        new, left_out = results.read_all(self.folder, but=self._seen)
        self._seen |= names
        self.left_out += left_out
        for result in new:
            self._by_stem[file_stem(result.spec, result.cell)] = result
            self._alike.setdefault(file_stem(result.spec, ""), []).append(result)

    def of_stem(self, stem: str) -> Result | None:
        """The result whose files have this name."""
        return self._take(self._by_stem.get(stem))

    def of_spec(self, spec: RunSpec) -> Result | None:
        """The latest result of a spec, whatever code made it."""
        wanted = digest(spec)
        candidates = self._alike.get(file_stem(spec, ""), ())
        same = [result for result in candidates if digest(result.spec) == wanted]
        return self._take(max(same, key=lambda result: result.created, default=None))

    def rest(self) -> list[Result]:
        """The results that have not been asked for."""
        return [result for stem, result in self._by_stem.items() if stem not in self._taken]

    def _take(self, result: Result | None) -> Result | None:
        if result:
            self._taken.add(file_stem(result.spec, result.cell))
        return result


def gather(home: Path, results_folder: Path, files: Sequence[str] = (), rest: str = "") -> Gathered:
    """Reads the states of sweeps and the stored results.

    Args:
        home: the home folder, from which the sweeps were launched.
        results_folder: folder of the results.
        files: sweep files. Without any, every sweep that was launched from home is taken, and every
            result that belongs to none.
        rest: name of the experiment of the results that belong to no sweep.

    Raises:
        InputError: a sweep file cannot be read, or nothing is known of its cells.
    """
    stored = _StoredResults(results_folder)
    left_out: list[str] = []
    by_name: dict[str, Experiment] = {}
    for file in files:
        sweep = read_sweep(file)
        folder = folder_of(home, sweep.name, sweep.identity)
        if (folder.path / "cells.json").is_file():
            cells = _launched(folder, stored)
        else:
            cells = _never_launched(sweep, file, home, stored)
        experiment = Experiment(sweep.name, cells, (folder.path.name,))
        by_name[sweep.name] = _joined(by_name.get(sweep.name), experiment)
    for folder in [] if files else _folders(home):
        name = folder.path.name.rpartition("-")[0]
        try:
            experiment = Experiment(name, _launched(folder, stored), (folder.path.name,))
        except InputError as error:
            left_out.append(str(error))
        else:
            by_name[name] = _joined(by_name.get(name), experiment)
    experiments = list(by_name.values())
    if not files:
        loose = [of_result(results_folder, result) for result in stored.rest()]
        experiments += [Experiment(rest, loose, rest=True)] if loose else []
    active = sum(cell.state in ACTIVE for experiment in experiments for cell in experiment.cells)
    return Gathered(experiments, stored.left_out + left_out, active)


def _folders(home: Path) -> list[SweepFolder]:
    """The sweeps that were launched from a home, the latest launch last."""
    paths = sorted(
        home.resolve().glob("sweeps/*/cells.json"), key=lambda path: path.stat().st_mtime
    )
    return [SweepFolder(path.parent) for path in paths]


def _joined(first: Experiment | None, second: Experiment) -> Experiment:
    """Joins two launches of a sweep whose file was changed in between.

    Of a cell that both have, the state counts that is nearer to done.

    Args:
        first: the earlier launches; None where there are none.
        second: the later launch.
    """
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


def _launched(folder: SweepFolder, stored: _StoredResults) -> list[TrackedCell]:
    """The cells of a sweep that was launched.

    Raises:
        InputError: its files are damaged.
    """
    try:
        return _cells(folder, stored)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"the sweep in {folder.path} cannot be read ({type(error).__name__}: {error})"
        ) from error


def _cells(folder: SweepFolder, stored: _StoredResults) -> list[TrackedCell]:
    """As `_launched`; errors are those of reading."""
    status = read_status(folder, stored.folder)
    # Reading many results takes seconds, in which others were stored that the status counts.
    stored.look()
    states = {cell.id: cell for cell in status.cells}
    listed = [cell for cell in (folder.cells or {"cells": []})["cells"] if cell["id"] in states]
    asked = _asked(folder, {cell["job"] for cell in listed})
    shared = {
        name: _at_work(folder, name, status.jobs)
        for name, job in status.jobs.items()
        if job.state == "queued"
    }
    tracked = []
    for cell in listed:
        spec, group = asked.get(cell["id"], (None, ""))
        job, work = status.jobs.get(cell["job"]), shared.get(cell["job"], "")
        tracked.append(_tracked(folder, cell, states[cell["id"]], spec, group, job, work, stored))
    return tracked


def _tracked(
    folder: SweepFolder,
    cell: Tree,
    state: CellState,
    spec: RunSpec | None,
    group: str,
    job: JobState | None,
    work: str,
    stored: _StoredResults,
) -> TrackedCell:
    """One cell of a sweep that was launched.

    Args:
        folder: folder of the sweep.
        cell: the cell as `cells.json` has it.
        state: its state.
        spec: what it computes; None where that is not known.
        group: name of its pretraining; "" where that is not known.
        job: state of its job.
        work: what its job waits for, if that is at work; else "".
        stored: the stored results.
    """
    result, name, why = None, state.state, state.why
    if name == "done":
        if cell["stem"]:
            result = stored.of_stem(cell["stem"])
        elif spec:
            result = stored.of_spec(spec)
        if result is None:
            name, why = "missing", "its result cannot be read"
    begun = job.attempt if job and name not in ("done", "missing") else None
    tracked = TrackedCell(
        cell["id"],
        cell["label"],
        name,
        why,
        spec=spec,
        pretraining=group,
        key=cell["stem"].rpartition("-")[2],
        pretraining_key=next(iter(cell["keys"]), ""),
        started=begun.status["started"] if begun else "",
        shared=work if name == "queued" else "",
        tags={"sweep": folder.path.name, "job": cell["job"]},
    )
    if result is None:
        return tracked
    path = results.path_of(stored.folder, result)
    return replace(tracked, key=result.cell, result=result, path=path, spec=result.spec)


def _at_work(folder: SweepFolder, job: str, states: dict[str, JobState]) -> str:
    """A job at work that trains or embeds, among those that a job waits for, near or far.

    Args:
        folder: folder of the sweep.
        job: name of the job that waits.
        states: states of all jobs.

    Returns:
        Its name and since when it runs; "" where there is none.
    """
    waited_for, reached = folder.job(job).get("needs", []), set[str]()
    while waited_for:
        name = waited_for.pop()
        state = states.get(name)
        if name in reached or state is None or state.state not in ACTIVE:
            continue
        content = folder.job(name)
        if state.state == "running" and content["kind"] == "cells":
            return f"{name} {state.why}"
        reached.add(name)
        waited_for += content.get("needs", [])
    return ""


def _asked(folder: SweepFolder, jobs: Iterable[str]) -> dict[str, tuple[RunSpec, str]]:
    """Spec and name of the pretraining of every cell of some jobs, by the cell's id.

    Jobs that another version of the code has written may be unreadable; their cells are left out.
    """
    asked: dict[str, tuple[RunSpec, str]] = {}
    for job in jobs:
        with suppress(OSError, ValueError, KeyError):
            content: Tree = folder.job(job)
            specs = {base: RunSpec.model_validate(tree) for base, tree in content["bases"].items()}
            for cell in content["cells"]:
                asked[cell["id"]] = specs[cell["base"]].model_copy(update=cell["at"]), cell["group"]
    return asked


def _never_launched(
    sweep: Sweep, file: str, home: Path, stored: _StoredResults
) -> list[TrackedCell]:
    """The cells of a sweep that were computed without it, such as by `bench run`.

    Args:
        sweep: the sweep.
        file: the sweep file as the user named it.
        home: the home folder.
        stored: the stored results.

    Raises:
        InputError: there is no result of any of its cells.
    """
    tags = {"sweep": folder_of(home, sweep.name, sweep.identity).path.name}
    tracked = []
    for cell in cells_of(sweep):
        result = stored.of_spec(cell.spec)
        if result:
            tracked.append(
                TrackedCell(
                    cell.id,
                    cell.label,
                    key=result.cell,
                    result=result,
                    path=results.path_of(stored.folder, result),
                    spec=cell.spec,
                    pretraining=cell.group,
                    tags=tags,
                )
            )
    if not tracked:
        raise InputError(
            f"sweep {file} was not launched from {home}, and none of its cells is stored in "
            f"{stored.folder}: bench sweep {file} --dry-run shows its plan"
        )
    return tracked
