"""Writes the runs of one experiment of MLflow, where they differ from what is to be shown.

A run is stored again by its tag `cell_id` (or `pretraining_id`), which says what is asked for,
whatever the code. So a cell that waits, runs, dies and is put in line again is one run. The scores
of a run are written once: a result that is made anew (by other code or from other data, and so with
another key) gets a run of its own, and the earlier run gets the tag `superseded_by`.
"""

import secrets
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from getpass import getuser
from typing import Any

from bench.core.errors import InputError
from bench.core.progress import progress
from bench.tracking.cells import Experiment
from bench.tracking.known import Known, StoredRun
from bench.tracking.runs import Run, runs

_PAGE = 1000  # the most runs that one search returns
# The most that one call may carry: metrics, parameters, and everything together.
_METRICS, _PARAMETERS, _ENTITIES = 1000, 100, 1000
_LONGEST_TAG = 500
_STATUS = {
    "done": "FINISHED",
    "running": "RUNNING",
    "queued": "SCHEDULED",
    "failed": "FAILED",
    "stopped": "KILLED",
    "missing": "KILLED",
}
_PARENT = "mlflow.parentRunId"
_ENDED = ("FINISHED", "FAILED", "KILLED")
_TAGS = {"cell": ("cell_id", "cell"), "pretraining": ("pretraining_id", "pretraining")}
"""For each kind of run, the tag with what is asked for, and the tag with the product's key."""


@dataclass
class Synced:
    """What a synchronisation found and did in one experiment.

    Attributes:
        name: name of the experiment.
        cells: number of its cells that have a run, by their states.
        new: number of runs that were made, those of pretrainings included.
        changed: number of runs that were there and had to be changed.
    """

    name: str
    cells: Counter[str]
    new: int
    changed: int


class Writer:
    """Writes the runs of one experiment."""

    def __init__(self, client: Any, experiment: Experiment, known: dict[str, Known]) -> None:
        """Looks up what the experiment holds.

        Args:
            client: client of MLflow.
            experiment: what is to be shown.
            known: what is known of experiments, by name; kept up to date.

        Raises:
            InputError: the experiment was deleted.
        """
        self._client, self._experiment = client, experiment
        self._new: set[str] = set()
        self._changed: set[str] = set()
        # By kind and by what is asked for: when the latest result was made, and its run.
        self._latest: dict[tuple[str, str], tuple[str, StoredRun]] = {}
        self._touched = False
        id_, writer = self._open()
        self._known = known.get(experiment.name) or Known("", "", {})
        # Looking up ten thousand runs takes most of a minute, and is not needed where nobody else
        # has written in between.
        if (self._known.id, self._known.writer) != (id_, writer):
            self._known = known[experiment.name] = Known(id_, writer, {})
            for run in self._search():
                info, tags, bare = run.info, dict(run.data.tags), not run.data.params
                self._take_up(StoredRun(info.run_id, info.status, info.start_time, tags, bare))

    @property
    def keys(self) -> set[str]:
        """Keys of the results that the experiment shows."""
        return {
            run.tags["cell"]
            for candidates in self._known.runs.values()
            for run in candidates
            if "cell" in run.tags
        }

    def write(self, elsewhere: set[str]) -> Synced:
        """Writes what differs.

        Args:
            elsewhere: keys of results that other experiments show; those that this one does not
                show yet are left out.

        Returns:
            What was found and written.
        """
        here = self.keys
        cells = [
            cell for cell in self._experiment.cells if cell.key in here or cell.key not in elsewhere
        ]
        above, below = runs(cells)
        states: Counter[str] = Counter()
        parents: dict[tuple[str, str] | None, StoredRun | None] = {}
        with progress(f"MLflow, {self._experiment.name}", "cells") as report:
            for run in above:
                parents[run.id, run.key] = self._place(run, None)
            for done, run in enumerate(below, start=1):
                self._place(run, parents.get(run.parent))
                states[run.state] += (run.kind, run.id) in self._known.runs
                report(done, len(below))
        self._settle()
        return Synced(
            self._experiment.name, +states, len(self._new), len(self._changed - self._new)
        )

    def _open(self) -> tuple[str, str]:
        """Looks the experiment up, or makes it.

        Returns:
            Its id, and the name of the synchronisation that wrote to it last.
        """
        name = self._experiment.name
        experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
            return str(self._client.create_experiment(name)), ""
        if experiment.lifecycle_stage != "active":
            raise InputError(
                f"the experiment '{name}' was deleted in MLflow; bring it back with "
                f"mlflow experiments restore --experiment-id {experiment.experiment_id}"
            )
        return str(experiment.experiment_id), str(experiment.tags.get("writer", ""))

    def _touch(self) -> None:
        """Signs the experiment before the first write, so that other processes look it up again."""
        if not self._touched:
            self._touched = True
            writer = secrets.token_hex(8)
            self._client.set_experiment_tag(self._known.id, "writer", writer)
            self._known.writer = writer

    def _search(self) -> list[Any]:
        """Every run of the experiment, the oldest first."""
        runs: list[Any] = []
        page = None
        while True:
            part = self._client.search_runs([self._known.id], max_results=_PAGE, page_token=page)
            runs += part
            page = part.token
            if not page:
                return sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id))

    def _take_up(self, stored: StoredRun) -> None:
        """Notes a run by its kind and by what is asked for."""
        for kind, (asked, _) in _TAGS.items():
            if asked in stored.tags:
                self._known.runs.setdefault((kind, stored.tags[asked]), []).append(stored)

    def _look_up(self, run: Run) -> StoredRun | None:
        """The run in the store that stands for a run to be shown; None where there is none.

        It is the run with the same result; else one that has no result yet; else, where no result
        is awaited, the latest.
        """
        key_tag = _TAGS[run.kind][1]
        candidates = self._known.runs.get((run.kind, run.id), [])
        same = [stored for stored in candidates if run.key and stored.tags.get(key_tag) == run.key]
        begun = [stored for stored in candidates if key_tag not in stored.tags]
        last = (
            []
            if run.key
            else [stored for stored in candidates if "superseded_by" not in stored.tags]
        )
        return next(iter(same + begun + last), None)

    def _place(self, run: Run, parent: StoredRun | None) -> StoredRun | None:
        """Makes the store show a run.

        Args:
            run: the run.
            parent: the run of its pretraining in the store.

        Returns:
            The run in the store; None of a missing cell that has none, which gets none.
        """
        asked, key_tag = _TAGS[run.kind]
        stored = self._look_up(run)
        if stored is None and run.state == "missing":
            return None
        tags = {
            **run.tags,
            asked: run.id,
            "kind": run.kind,
            "state": run.state,
            "why": run.why[:_LONGEST_TAG],
        }
        tags |= {key_tag: run.key} if run.result else {}
        tags |= {_PARENT: parent.id} if parent else {}
        if stored is None:
            stored = self._create(run, tags)
        rank = run.result.created if run.result else "~"
        if rank >= self._latest.get((run.kind, run.id), ("", stored))[0]:
            self._latest[run.kind, run.id] = rank, stored
        if run.kind == "cell" and run.result is None and "complete" in stored.tags:
            return stored  # its result was stored once and stays shown, though it is gone now
        self._set_tags(stored, tags)
        if run.result and stored.tags.get("complete") != run.key:
            self._complete(stored, run)
        elif stored.bare and run.parameters:
            self._log(stored, run.parameters, [], {})
            stored.bare = False
        self._set_status(stored, _STATUS[run.state], run.times[1])
        return stored

    def _create(self, run: Run, tags: dict[str, str]) -> StoredRun:
        """Makes a run in the store."""
        begun = run.times[0] or _now()
        tags = {name: value for name, value in tags.items() if value}
        tags["mlflow.source.name"] = "bench"
        with suppress(KeyError, OSError):  # a user without a name
            tags["mlflow.user"] = getuser()
        self._touch()
        made = self._client.create_run(
            self._known.id, start_time=begun, run_name=run.name, tags=tags
        )
        stored = StoredRun(made.info.run_id, made.info.status, begun, tags, bare=True)
        self._new.add(stored.id)
        self._take_up(stored)
        return stored

    def _complete(self, stored: StoredRun, run: Run) -> None:
        """Writes the metrics and settings of a result, and its file.

        What a killed process had written of it is overwritten, so that nothing is there twice.
        """
        self._touch()
        self._changed.add(stored.id)
        if run.path:
            self._client.log_artifact(stored.id, str(run.path))
        # A point has the time of the result, so that MLflow takes a point that is written again for
        # the same one.
        points = [(name, value, run.times[1], step) for name, value, step in run.points]
        self._log(stored, run.parameters, points, {"complete": run.key})

    def _log(
        self,
        stored: StoredRun,
        parameters: dict[str, str],
        points: list[tuple[str, float, int, int]],
        tags: dict[str, str],
    ) -> None:
        """Writes in as few calls as possible; tags last, since they say that the rest is there.

        Args:
            stored: the run.
            parameters: settings, by dotted name.
            points: metrics as (name, value, time in milliseconds since 1970, step).
            tags: tags.
        """
        from mlflow.entities import Metric, Param, RunTag

        self._touch()
        values = [Param(name, value) for name, value in parameters.items()]
        metrics = [Metric(*point) for point in points]
        while values or metrics or tags:
            first, values = values[:_PARAMETERS], values[_PARAMETERS:]
            room = min(_METRICS, _ENTITIES - len(first) - len(tags))
            batch, metrics = metrics[:room], metrics[room:]
            last = {} if values or metrics else tags
            self._client.log_batch(
                stored.id,
                params=first,
                metrics=batch,
                tags=[RunTag(name, value) for name, value in last.items()],
            )
            stored.tags |= last
            tags = {} if last else tags

    def _set_tags(self, stored: StoredRun, wanted: dict[str, str]) -> None:
        """Makes a run carry tags; one with the value "" is taken off."""
        new = {
            name: value
            for name, value in wanted.items()
            if value and stored.tags.get(name) != value
        }
        if new:
            self._log(stored, {}, [], new)
        off = [name for name, value in wanted.items() if not value and name in stored.tags]
        for name in off:
            self._touch()
            self._client.delete_tag(stored.id, name)
            del stored.tags[name]
        if new or off:
            self._changed.add(stored.id)

    def _set_status(self, stored: StoredRun, status: str, ended: int = 0) -> None:
        """Makes a run have a status; `ended` is in milliseconds since 1970, 0 for now."""
        if stored.status == status:
            return
        self._touch()
        if status in _ENDED:
            self._client.set_terminated(stored.id, status, max(ended or _now(), stored.started))
        else:
            self._client.update_run(stored.id, status=status)
        stored.status = status
        self._changed.add(stored.id)

    def _settle(self) -> None:
        """Marks earlier runs as superseded, and ends runs that nothing is heard of any more."""
        for place, candidates in self._known.runs.items():
            latest = self._latest[place][1] if place in self._latest else None
            for run in candidates:
                if latest is not None:
                    self._set_tags(run, {"superseded_by": latest.id if run is not latest else ""})
                elif run.tags.get("sweep") in self._experiment.sweeps and run.status not in _ENDED:
                    self._set_tags(
                        run, {"state": "stopped", "why": "no longer a cell of the sweep"}
                    )
                    self._set_status(run, _STATUS["stopped"])
                if latest is not None and run is not latest and run.status not in _ENDED:
                    self._set_status(run, _STATUS["stopped"])


def _now() -> int:
    """The time in milliseconds since 1970."""
    return round(datetime.now(UTC).timestamp() * 1000)
