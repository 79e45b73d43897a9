"""The runs that MLflow is to show, as plain values; knows nothing of MLflow itself.

Every cell is a run, with its scores, its settings and the file of its result. Its parent is the run
of the pretraining that it shares with other cells; that run has the settings of the pretraining,
the training curve, the signs of collapse, and the seconds that it took.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

from bench.core.errors import InputError
from bench.results import Result
from bench.settings.identity import flat, pretraining, pretraining_id
from bench.settings.specs import RunSpec
from bench.settings.traits import traits
from bench.tracking.cells import TrackedCell

_TREE = dict[str, Any]
_ORDER = ("running", "queued", "failed", "stopped", "done", "missing")
"""The state of a pretraining is the first of these that one of its cells is in."""
_LONGEST_VALUE = 6000  # MLflow's limit for the value of a parameter, in characters
_NOT_IN_NAMES = re.compile(r"[^\w\-. :/]")  # what MLflow refuses in names


@dataclass(frozen=True)
class Run:
    """One run of MLflow: a cell, or the pretraining of some cells.

    Attributes:
        kind: whether it is a cell or a pretraining.
        id: what is asked for: `TrackedCell.id` or `TrackedCell.pretraining`.
        key: key of the product: `TrackedCell.key` or `TrackedCell.pretraining_key`.
        name: the run in words.
        state: done, running, queued, failed, stopped or missing.
        why: why it waits, or how it ended.
        started: UTC time at which work began; "" where it has not.
        result: result of the cell, or of one of the pretraining's cells; None where there is none.
        path: file to store with the run; None where there is none.
        spec: spec of the cell, or of one of the pretraining's cells; None where it is not known.
        parent: id and key of the cell's pretraining; None for a pretraining.
        tags: tags beside those that every run has.
    """

    kind: Literal["cell", "pretraining"]
    id: str
    key: str
    name: str
    state: str
    why: str
    started: str = ""
    result: Result | None = None
    path: Path | None = None
    spec: RunSpec | None = None
    parent: tuple[str, str] | None = None
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds that its stages took.

        Preparing and pretraining count for the pretraining, the other stages for the cell.
        """
        shared = ("prepare", "pretrain")
        seconds = self.result.seconds if self.result else {}
        return {
            stage: value
            for stage, value in seconds.items()
            if (stage in shared) == (self.kind == "pretraining")
        }

    @property
    def times(self) -> tuple[int, int]:
        """When it began and ended, in milliseconds since 1970; 0 where that is not known."""
        end = _milliseconds(self.result.created) if self.result else 0
        begin = end - round(
            1000 * self.seconds.get("pretrain" if self.kind == "pretraining" else "probe", 0.0)
        )
        return (begin if self.result else _milliseconds(self.started)), end

    @property
    def parameters(self) -> dict[str, str]:
        """Everything that it was made with: dotted name -> value."""
        if self.spec is None:
            return {}
        tree = self.spec.model_dump(mode="json")
        settings = self.result.settings if self.result else {}
        if self.kind == "pretraining":
            labels = learns_labels(self.spec)
            asked = pretraining(self.spec, trains=True, uses_labels=labels)
            names = ["recipe", "scale", *asked]
            tree = {name: tree[name] for name in names}
            settings = {name: value for name, value in settings.items() if name in names}
        tree |= {"settings": settings}
        if self.result and self.kind == "cell":
            tree |= {"protocol": self.result.protocol, "counts": self.result.counts}
        return {_name(name): _short(str(value)) for name, value in flat(tree).items()}

    @property
    def points(self) -> list[tuple[str, float, int]]:
        """Its metrics as (name, value, step); the step is 0 where there is no curve."""
        if self.result is None:
            return []
        points: list[tuple[str, Any, int]] = [
            (f"seconds_{stage}", value, 0) for stage, value in self.seconds.items()
        ]
        if self.kind == "cell":
            for name, metric in self.result.metrics.items():
                points += [
                    (name, metric.value, 0),
                    (f"{name}_low", metric.low, 0),
                    (f"{name}_high", metric.high, 0),
                ]
        else:
            training = self.result.training
            points += [(name, training.get(name), 0) for name in ("parameters", "steps", "views")]
            for kind in ("curve", "diagnostics"):
                for point in training.get(kind, ()):
                    points += [
                        (f"{kind}_{name}", value, int(point["step"]))
                        for name, value in point.items()
                    ]
        steps = ("curve_step", "diagnostics_step")  # the step is the abscissa, not a metric
        return [
            (_name(name), float(value), step)
            for name, value, step in points
            if value is not None and name not in steps
        ]


def runs(cells: Iterable[TrackedCell]) -> tuple[list[Run], list[Run]]:
    """The runs of an experiment: those of pretrainings, and those of cells.

    A pretraining that was made again by other code has another key and is a run of its own. A cell
    without a result belongs to the pretraining whose key it awaits; where that is not known, to the
    one that was made last.

    Args:
        cells: cells of the experiment.

    Returns:
        The pretrainings, and the cells with their parents.
    """
    groups: dict[str, list[TrackedCell]] = {}
    for cell in sorted(cells, key=lambda cell: cell.result.created if cell.result else "~"):
        groups.setdefault(_pretraining(cell), []).append(cell)
    above: list[Run] = []
    below: list[Run] = []
    for id_, members in groups.items():
        parts: dict[str, list[TrackedCell]] = {}
        latest = ""
        for cell in members:
            if cell.result:
                latest = cell.result.products.get("pretrain", "")
            else:
                latest = cell.pretraining_key or latest
            parts.setdefault(latest, []).append(cell)
        for key, part in parts.items():
            if id_:
                above.append(_above(id_, key, part))
            below += [_below(cell, (id_, key) if id_ else None) for cell in part]
    return above, below


def _below(cell: TrackedCell, parent: tuple[str, str] | None) -> Run:
    """The run of a cell, whose pretraining has the id and key `parent`."""
    tags = cell.tags
    if cell.result:
        tags = tags | {"commit": str(cell.result.code.get("commit")), "device": cell.result.device}
    state = "missing" if cell.state == "done" and not cell.result else cell.state
    return Run(
        "cell",
        cell.id,
        cell.key,
        cell.name,
        state,
        cell.why,
        cell.started,
        cell.result,
        cell.path,
        cell.spec,
        parent,
        tags,
    )


def _above(id_: str, key: str, cells: Sequence[TrackedCell]) -> Run:
    """The run of a pretraining.

    Args:
        id_: its id.
        key: key of its product; "" where it is not known.
        cells: the cells that share it.
    """
    states = [cell.state for cell in cells]
    state = next(state for state in _ORDER if state in states)
    first = cells[states.index(state)]
    result = next((cell.result for cell in reversed(cells) if cell.result), None)
    spec = next(cell.spec for cell in cells if cell.spec)
    tags = {name: value for name, value in first.tags.items() if name == "sweep"}
    if result:
        tags |= {"commit": str(result.code.get("commit")), "device": result.device}
        tags |= {"warning": str(result.training.get("warning") or "")}
    name = f"{spec.method.name} {spec.encoder.name} s{spec.seed}"
    if learns_labels(spec):
        name += f" f{spec.fraction:g} d{spec.draw}"
    counted = f"{states.count(state)} of {len(cells)} cells {state}: {first.why}"
    why = "" if state == "done" else counted
    if state == "queued" and any(cell.shared for cell in cells):
        state, why = "running", next(cell.shared for cell in cells if cell.shared)
    return Run(
        "pretraining", id_, key, name, state, why, first.started, result, None, spec, None, tags
    )


def _pretraining(cell: TrackedCell) -> str:
    """Id of a cell's pretraining, whatever the code; "" where nothing says it."""
    if cell.pretraining or cell.spec is None:
        return cell.pretraining
    return pretraining_id(cell.spec, uses_labels=learns_labels(cell.spec))


def learns_labels(spec: RunSpec) -> bool:
    """Whether the method trains on labels, and so anew on every set of labelled tracks."""
    return _learns_labels(spec.method.name)


@cache
def _learns_labels(method: str) -> bool:
    try:
        return traits(method).uses_labels
    except InputError:  # a user's own method, and the folder with it was not given
        return False


def _milliseconds(time: str) -> int:
    """An ISO time in milliseconds since 1970; 0 for ""."""
    return round(1000 * datetime.fromisoformat(time).timestamp()) if time else 0


def _name(name: str) -> str:
    """A name without the characters that MLflow refuses."""
    return _NOT_IN_NAMES.sub("_", name)


def _short(value: str) -> str:
    """A value cut to MLflow's limit."""
    return value if len(value) <= _LONGEST_VALUE else value[: _LONGEST_VALUE - 1] + "…"
