"""Reads a results folder for the report: runs that can be shown, and files that cannot.

Nothing is dropped: every JSON under `runs/` becomes a run, or a file that was left out with the
reason.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from bench.core.errors import InputError
from bench.core.progress import Report
from bench.report.degraded import METRIC, cell_of, changes
from bench.report.degraded import read as read_degraded
from bench.report.groups import grouped
from bench.results import Result, Values, file_stem, path_of, preferred, read_all, read_values
from bench.settings.specs import digest

_NEEDED: dict[str, dict[str, type]] = {
    "protocol": {"split": str, "probe": str, "labels": str, "steps": int},
    "data": {
        "split": str,
        "kind": str,
        "tags": list,
        "tracks_hash": str,
        "left_out": list,
        "notes": list,
        "test_tracks": int,
    },
    "counts": dict.fromkeys(
        (
            "test_tracks",
            "scored_tags",
            "all_tags",
            "labelled_tracks",
            "short_tracks",
            "leaked_tracks",
        ),
        int,
    ),
    "probe": {"subset": str},
}
"""Part of a result -> the entries that pages and comparisons need, with their types."""
_LONGEST_PAGE = 100  # characters of a page's name before its key


@dataclass(frozen=True)
class Run:
    """One stored cell.

    Attributes:
        result: the result.
        path: path of its JSON.
        page: name of its page, without folder and ending; letters, digits, dots, dashes and
            underscores alone.
        counted: whether it stands on the leaderboard; false for another scoring of a cell whose
            usual scoring does.
    """

    result: Result
    path: Path
    page: str
    counted: bool


@dataclass(frozen=True)
class LeftOut:
    """A file that cannot be shown as a run.

    Attributes:
        file: path relative to the results folder.
        reason: why it was left out, as a sentence.
    """

    file: str
    reason: str


@dataclass(frozen=True)
class Arena:
    """Where scores may stand beside each other: the same test tracks, tags, split and convention.

    Attributes:
        dataset: name of the data set.
        split: name of the split.
        tracks: hash of tracks, splits and tags.
        convention: name of the convention of scoring.
        by: what was resampled, "track" or "group".
        seed: seed of the resamples.
        page: name of its comparison page, without folder and ending.
        title: in words that no other arena of the report has.
    """

    dataset: str
    split: str
    tracks: str
    convention: str
    by: str
    seed: int
    page: str
    title: str


@dataclass(frozen=True)
class Collected:
    """What was read from a results folder.

    Attributes:
        runs: the runs, in the order of their files' names.
        left_out: files that are no runs, in the same order.
        files: number of JSON files found.
        degraded: key of a cell by `same_score` -> its scores on degraded audio, as rows of
            `bench.report.degraded.changes`.
    """

    runs: list[Run]
    left_out: list[LeftOut]
    files: int
    degraded: dict[str, list[dict[str, Any]]]


def collect(folder: Path, report: Report) -> Collected:
    """Reads every result of a folder.

    The arrays are read as well, so that damaged ones are found before anything is drawn.

    Args:
        folder: the results folder.
        report: called with the number of results read so far, and of all results.
    """
    stored, lines = read_all(folder)
    left_out = [_named(line, folder) for line in lines]
    sound: list[Result] = []
    for number, result in enumerate(stored):
        path = path_of(folder, result)
        fault = _fault(result, path)
        if fault:
            left_out.append(LeftOut(path.relative_to(folder).as_posix(), fault))
        else:
            sound.append(result)
        report(number + 1, len(stored))
    counted = {id(result) for result in preferred(sound)}
    runs = [
        Run(result, path_of(folder, result), page_name(result), id(result) in counted)
        for result in sound
    ]
    degraded, further = _degraded(folder)
    left_out += [_named(line, folder) for line in further]
    files = len(stored) + len(lines) + len(further)
    return Collected(runs, sorted(left_out, key=lambda left: left.file), files, degraded)


def _degraded(folder: Path) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
    """The scores on degraded audio by cell, and a line for each that cannot be shown."""
    stored, lines = read_degraded(folder)
    by_cell = {}
    for _, group in groupby(stored, key=cell_of):
        scored = list(group)
        try:
            by_cell[same_score(scored[0])] = changes(folder, scored, METRIC)
        except InputError as error:
            lines.append(str(error))
    return by_cell, lines


def same_score(result: Result) -> str:
    """A key of a cell by its spec, tracks and score, the same whatever code computed it."""
    metric = result.metrics.get(METRIC)
    return digest([result.spec, result.data.get("tracks_hash"), metric.value if metric else None])


def _named(line: str, folder: Path) -> LeftOut:
    """Takes a line of `read_all` apart into file and reason."""
    text = line.replace(f"{folder}/", "")
    file, ending, reason = text.partition(".json ")
    return LeftOut(file + ending.rstrip(), reason) if ending else LeftOut("", text)


def _fault(result: Result, path: Path) -> str:
    """Why a result cannot be shown; empty where it can."""
    for part, kinds in _NEEDED.items():
        held = getattr(result, part)
        for name, kind in kinds.items():
            if name not in held:
                return f"lacks {part}.{name}, which this version writes"
            if not isinstance(held[name], kind):
                return f"{part}.{name} is {type(held[name]).__name__}, not {kind.__name__}"
    if not all(isinstance(tag, str) for tag in result.data["tags"]):
        return "data.tags holds something that is no name"
    try:
        values = read_values(path)
    except InputError as error:
        return str(error).replace(f"{path.parent}/", "")
    return _array_fault(result, values)


def _array_fault(result: Result, values: Values) -> str:
    """Why the arrays of a result cannot be used; empty where they can."""
    name = "the arrays beside it"
    missing = [metric for metric in result.metrics if metric not in values.resampled]
    if missing:
        return f"{name} lack the resamples of {missing[0]}"
    for part in (values.influence, values.jackknife):
        for metric, column in part.items():
            if column.shape != values.groups.shape:
                return (
                    f"{name} hold {column.size} values of {metric} for {values.groups.size} test "
                    "tracks"
                )
    return ""


def page_name(result: Result) -> str:
    """The name of a run's page: that of its file, made safe by `slug`."""
    return slug(file_stem(result.spec, result.cell))


def slug(text: str) -> str:
    """A text as a safe name: letters, digits, dots, dashes and underscores alone.

    Where anything of the text is lost, a hash of it follows, so that names stay apart.
    """
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", text)[:_LONGEST_PAGE].lstrip(".")
    return safe if safe == text else f"{safe}-{digest([text], 8)}"


def arenas(runs: Sequence[Run]) -> dict[Arena, list[Run]]:
    """The counted runs of each arena, by data set and split."""
    counted = grouped((run for run in runs if run.counted), lambda run: _fields(run.result))
    every = sorted(counted)
    return {Arena(*fields, *_title(fields, every)): counted[fields] for fields in every}


_Fields = tuple[str, str, str, str, str, int]
"""The first fields of an `Arena`: data set, split, tracks, convention, by, seed."""


def _fields(result: Result) -> _Fields:
    score = result.spec.score
    return (
        result.dataset,
        result.data["split"],
        result.data["tracks_hash"],
        result.convention,
        score.by,
        score.seed,
    )


def _title(fields: _Fields, every: Sequence[_Fields]) -> tuple[str, str]:
    """Name of the page and title of an arena.

    The title has data set and split, and what else tells the arena from others of that split.

    Args:
        fields: fields of the arena.
        every: fields of all arenas.
    """
    dataset, split, tracks, convention, by, seed = fields
    alike = [other for other in every if other[:2] == fields[:2]]
    details = (f"tracks {tracks[:8]}", convention, f"resamples of {by}s", f"resampling seed {seed}")
    words = [f"{dataset}, split {split}"]
    words += [
        detail
        for index, detail in enumerate(details, 2)
        if len({other[index] for other in alike}) > 1
    ]
    return slug("-".join([dataset, split, digest(list(fields), 8)])), ", ".join(words)


def values_of(runs: Sequence[Run]) -> Iterator[tuple[Run, Values]]:
    """Runs with their arrays, which are read one after the other."""
    for run in runs:
        yield run, read_values(run.path)
