"""What MLflow is shown: the runs of an experiment, as plain values. Knows nothing of MLflow.

A cell is a run. Above the cells of one pretraining stands a run of its own, with what belongs to
the pretraining: its settings, curve, signs of collapse and seconds. Cells carry scores, settings
and the result's file.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

from bench.core.errors import InputError
from bench.results import Result, file_stem, path_of
from bench.settings.specs import RunSpec, digest
from bench.settings.traits import traits

_TREE = dict[str, Any]
_ORDER = ("running", "queued", "failed", "stopped", "done", "missing")
"""What a pretraining is, by the states of its cells: the first of these that one of them is in."""
_OF_PRETRAINING = (
    "recipe",
    "method",
    "encoder",
    "weights",
    "pretrain_dataset",
    "views",
    "augment",
    "train",
    "scale",
)
_LONGEST_VALUE = 6000  # of a parameter, in characters: MLflow's limit
_NOT_IN_NAMES = re.compile(r"[^\w\-. :/]")  # of metrics and parameters


@dataclass(frozen=True)
class Cell:
    """A cell, as MLflow is to show it.

    Attributes:
        id: what is asked for, whatever the code: it stays when the cell is computed again.
        name: in words.
        state: done, running, queued, failed, stopped or missing.
        why: it waits, or ended.
        key: of the result that is there or awaited; "" where it is not known.
        result: what is stored of it.
        path: of the result's JSON.
        spec: what is asked for; None where nobody has written it down.
        pretraining: id of what the cell shares with others; "" for the result's own word.
        pretraining_key: of the frozen encoder that is there or awaited; "" where it is not known.
        started: UTC time at which work began; "" for now.
        shared: why, where a job that this cell's job waits for is at work on what the cell shares
            with others.
        tags: of the run, beside those that every run has.
    """

    id: str
    name: str
    state: str = "done"
    why: str = ""
    key: str = ""
    result: Result | None = None
    path: Path | None = None
    spec: RunSpec | None = None
    pretraining: str = ""
    pretraining_key: str = ""
    started: str = ""
    shared: str = ""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """An experiment of MLflow.

    Attributes:
        name: of the sweep, or of what stands in none.
        cells: of one id, the later counts.
        sweeps: folders of the sweep; a run of one of them that is no longer a cell of it waits for
            nothing.
        rest: whether a result that another experiment shows is left to that.
    """

    name: str
    cells: list[Cell]
    sweeps: tuple[str, ...] = ()
    rest: bool = False


@dataclass(frozen=True)
class Run:
    """One run: a cell, or what stands above the cells of one pretraining.

    Attributes:
        kind: which of them.
        id: see `Cell.id`, `Cell.pretraining`.
        key: see `Cell.key`, `Cell.pretraining_key`.
        name: in words.
        state: as of a cell.
        why: likewise.
        started: likewise.
        result: of the cell, or of one of the cells.
        path: of the file to put beside it.
        spec: of the cell, or of one of the cells.
        parent: id and key of the pretraining; None for one.
        tags: beside those that every run has.
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
        """What it took; preparing and pretraining are the pretraining's, the rest the cell's."""
        shared = ("prepare", "pretrain")
        found = self.result.seconds if self.result else {}
        return {
            name: value
            for name, value in found.items()
            if (name in shared) == (self.kind == "pretraining")
        }

    @property
    def times(self) -> tuple[int, int]:
        """When it began and ended, in milliseconds since 1970; 0 for now."""
        end = _milliseconds(self.result.created) if self.result else 0
        begin = end - round(
            1000 * self.seconds.get("pretrain" if self.kind == "pretraining" else "probe", 0.0)
        )
        return (begin if self.result else _milliseconds(self.started)), end

    @property
    def parameters(self) -> dict[str, str]:
        """Everything that it was made with, as dotted names."""
        if self.spec is None:
            return {}
        tree = self.spec.model_dump(mode="json")
        settings = self.result.settings if self.result else {}
        if self.kind == "pretraining":
            names = [
                *_OF_PRETRAINING,
                "seed",
                *(("dataset", "labels", "fraction", "draw") * learns_labels(self.spec)),
            ]
            tree = {name: tree[name] for name in names}
            settings = {name: value for name, value in settings.items() if name in names}
        tree |= {"settings": settings}
        if self.result and self.kind == "cell":
            tree |= {"protocol": self.result.protocol, "counts": self.result.counts}
        return {_name(name): _short(str(value)) for name, value in _flat(tree).items()}

    @property
    def points(self) -> list[tuple[str, float, int]]:
        """Its metrics: name, value, step."""
        if self.result is None:
            return []
        found: list[tuple[str, Any, int]] = [
            (f"seconds_{stage}", value, 0) for stage, value in self.seconds.items()
        ]
        if self.kind == "cell":
            for name, metric in self.result.metrics.items():
                found += [
                    (name, metric.value, 0),
                    (f"{name}_low", metric.low, 0),
                    (f"{name}_high", metric.high, 0),
                ]
        else:
            training = self.result.training
            found += [(name, training.get(name), 0) for name in ("parameters", "steps", "views")]
            for kind in ("curve", "diagnostics"):
                for point in training.get(kind, ()):
                    found += [
                        (f"{kind}_{name}", value, int(point["step"]))
                        for name, value in point.items()
                    ]
        ends = ("curve_step", "diagnostics_step")
        return [
            (_name(name), float(value), step)
            for name, value, step in found
            if value is not None and name not in ends
        ]


def of_result(folder: Path, result: Result) -> Cell:
    """A stored result that is asked for by no sweep."""
    stem = file_stem(result.spec, result.cell)
    return Cell(
        digest(result.spec),
        stem,
        key=result.cell,
        result=result,
        path=path_of(folder, result),
        spec=result.spec,
    )


def runs(cells: Iterable[Cell]) -> tuple[list[Run], list[Run]]:
    """The runs of an experiment: those of pretrainings, and those of cells."""
    groups: dict[str, list[Cell]] = {}
    for cell in sorted(cells, key=lambda cell: cell.result.created if cell.result else "~"):
        groups.setdefault(_pretraining(cell), []).append(cell)
    above: list[Run] = []
    below: list[Run] = []
    for id_, members in groups.items():
        parts: dict[str, list[Cell]] = {}
        latest = ""
        for cell in (
            members
        ):  # what is not there yet belongs to the pretraining that was last made, or comes
            latest = (
                cell.result.products.get("pretrain", "")
                if cell.result
                else cell.pretraining_key or latest
            )
            parts.setdefault(latest, []).append(cell)
        for key, part in parts.items():
            if id_:
                above.append(_above(id_, key, part))
            below += [_below(cell, (id_, key) if id_ else None) for cell in part]
    return above, below


def _below(cell: Cell, parent: tuple[str, str] | None) -> Run:
    key, tags = cell.key, cell.tags
    if cell.result:
        tags = tags | {"commit": str(cell.result.code.get("commit")), "device": cell.result.device}
    state = "missing" if cell.state == "done" and not cell.result else cell.state
    return Run(
        "cell",
        cell.id,
        key,
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


def _above(id_: str, key: str, cells: Sequence[Cell]) -> Run:
    states = [cell.state for cell in cells]
    state = next(one for one in _ORDER if one in states)
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
    why = (
        ""
        if state == "done"
        else f"{states.count(state)} of {len(cells)} cells {state}: {first.why}"
    )
    if state == "queued" and any(cell.shared for cell in cells):
        state, why = "running", next(cell.shared for cell in cells if cell.shared)
    return Run(
        "pretraining", id_, key, name, state, why, first.started, result, None, spec, None, tags
    )


def _pretraining(cell: Cell) -> str:
    """Id of a cell's pretraining, whatever the code; "" where nothing says it."""
    if cell.pretraining or cell.spec is None:
        return cell.pretraining
    tree = cell.spec.model_dump(mode="json")
    tree["train"].pop("checkpoint_seconds")
    parts = [tree[name] for name in (*_OF_PRETRAINING, "seed") if name not in ("recipe", "scale")]
    if learns_labels(cell.spec):
        parts += [tree[name] for name in ("dataset", "labels", "fraction", "draw")]
    return digest(parts, 12)


def learns_labels(spec: RunSpec) -> bool:
    """Whether the method is trained on the labelled tracks, so that each set of them has a training of its own."""
    return _learns_labels(spec.method.name)


@cache
def _learns_labels(method: str) -> bool:
    try:
        return traits(method).uses_labels
    except InputError:  # somebody's own, and the folder with it was not given
        return False


def _milliseconds(time: str) -> int:
    return round(1000 * datetime.fromisoformat(time).timestamp()) if time else 0


def _flat(tree: _TREE, prefix: str = "") -> _TREE:
    """Nested settings as dotted parameters."""
    flat: _TREE = {}
    for key, value in tree.items():
        flat |= (
            _flat(value, f"{prefix}{key}.")
            if isinstance(value, dict)
            else {f"{prefix}{key}": value}
        )
    return flat


def _name(name: str) -> str:
    return _NOT_IN_NAMES.sub("_", name)


def _short(value: str) -> str:
    return value if len(value) <= _LONGEST_VALUE else value[: _LONGEST_VALUE - 1] + "…"
