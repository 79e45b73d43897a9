"""The cells and experiments that MLflow is to show, as plain values."""

from dataclasses import dataclass, field
from pathlib import Path

from bench.results import Result, file_stem, path_of
from bench.settings.specs import RunSpec, digest


@dataclass(frozen=True)
class TrackedCell:
    """A cell, as MLflow is to show it.

    Attributes:
        id: digest of what is asked for, whatever the code; a cell that is computed again keeps it.
        name: the cell in words.
        state: done, running, queued, failed, stopped or missing.
        why: why it waits, or how it ended.
        key: key of the result that is stored or awaited; "" where it is not known.
        result: the stored result; None where there is none.
        path: path of the result's JSON; None where there is no result.
        spec: what is asked for; None where it is not known.
        pretraining: id of the pretraining that it shares with other cells; "" where it is to be
            told from the spec.
        pretraining_key: key of the frozen encoder that is stored or awaited; "" where it is not
            known.
        started: UTC time at which work began; "" where it has not.
        shared: name of the job that is at work on the cell's pretraining while the cell's own job
            waits for it, and since when; "" where there is none.
        tags: tags of the run, beside those that every run has.
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
        name: name of the sweep, or of the experiment for results of no sweep.
        cells: the cells; of two with the same id, the later counts.
        sweeps: names of the sweep's folders in home. A run of one of them that is no longer a cell
            of the sweep is ended.
        rest: whether it is the experiment for results of no sweep, which leaves out what another
            experiment shows.
    """

    name: str
    cells: list[TrackedCell]
    sweeps: tuple[str, ...] = ()
    rest: bool = False


def of_result(folder: Path, result: Result) -> TrackedCell:
    """The cell of a stored result that belongs to no sweep.

    Args:
        folder: folder of the results.
        result: the result.
    """
    stem = file_stem(result.spec, result.cell)
    return TrackedCell(
        digest(result.spec),
        stem,
        key=result.cell,
        result=result,
        path=path_of(folder, result),
        spec=result.spec,
    )
