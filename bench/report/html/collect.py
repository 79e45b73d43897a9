"""What a results folder holds, as the report needs it: runs that can be shown, and files that cannot, with the reason.

Nothing is dropped: every JSON under `runs/` becomes a run or a line of what was left out.
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
    }
    | {"test_tracks": int},
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
"""What pages and comparisons read of the free parts of a result."""
_LONGEST_PAGE = 100  # characters of a page's name before its key


@dataclass(frozen=True)
class Run:
    """One stored cell.

    Attributes:
        result: its JSON.
        path: where that lies.
        page: name of its page, without folder and ending; letters, digits, dots, dashes and
            underscores alone.
        counted: whether it stands for its cell; false for another scoring of a cell that a
            preferred one stands for.
    """

    result: Result
    path: Path
    page: str
    counted: bool


@dataclass(frozen=True)
class LeftOut:
    """A file that is no run.

    Attributes:
        file: its name, relative to the results folder.
        reason: why it was left out, as a sentence.
    """

    file: str
    reason: str


@dataclass(frozen=True)
class Arena:
    """Where scores may stand beside each other: the same test tracks, tags, split and convention.

    Attributes:
        dataset: name of the data set.
        split: its split.
        tracks: hash of its tracks, splits and tags.
        convention: name of the convention of scoring.
        by: what was resampled, "track" or "group".
        seed: of the resamples.
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
    """A results folder.

    Attributes:
        runs: in the order of their files' names.
        left_out: files that are no runs, in the same order.
        files: number of JSON files found.
        degraded: what `same_score` says of a cell -> its scores on degraded audio, as rows of
            `bench.report.degraded.changes`.
    """

    runs: list[Run]
    left_out: list[LeftOut]
    files: int
    degraded: dict[str, list[dict[str, Any]]]


def collect(folder: Path, report: Report) -> Collected:
    """Reads every result of a folder, with its arrays: a damaged one is found before anything is drawn.

    Args:
        folder: the results folder.
        report: is told how many arrays have been read.
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
    """What is stored of degraded audio, by cell, and a line for what cannot be shown of it."""
    stored, lines = read_degraded(folder)
    found = {}
    for _, group in groupby(stored, key=cell_of):
        scored = list(group)
        try:
            found[same_score(scored[0])] = changes(folder, scored, METRIC)
        except InputError as error:
            lines.append(str(error))
    return found, lines


def same_score(result: Result) -> str:
    """Tells cells apart by what was asked for and what it scored, whatever code computed it."""
    metric = result.metrics.get(METRIC)
    return digest([result.spec, result.data.get("tracks_hash"), metric.value if metric else None])


def _named(line: str, folder: Path) -> LeftOut:
    """A line of `read_all`, without the folder, as file and reason."""
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
    name = "the arrays beside it"
    missing = [metric for metric in result.metrics if metric not in values.resampled]
    if missing:
        return f"{name} lack the resamples of {missing[0]}"
    for part in (values.influence, values.jackknife):
        for metric, column in part.items():
            if column.shape != values.groups.shape:
                return f"{name} hold {column.size} values of {metric} for {values.groups.size} test tracks"
    return ""


def page_name(result: Result) -> str:
    """A safe name for a run's page: that of its file, or where that has other signs, without them and with a hash."""
    stem = file_stem(result.spec, result.cell)
    return slug(stem)


def slug(text: str) -> str:
    """Letters, digits, dots, dashes and underscores of a text.

    A hash of it behind them where anything else is lost.
    """
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", text)[:_LONGEST_PAGE].lstrip(".")
    return safe if safe == text else f"{safe}-{digest([text], 8)}"


def arenas(runs: Sequence[Run]) -> dict[Arena, list[Run]]:
    """The counted runs of each arena, by data set and split."""
    found: dict[tuple[str, str, str, str, str, int], list[Run]] = {}
    for run in runs:
        if run.counted:
            found.setdefault(_place(run.result), []).append(run)
    places = sorted(found)
    return {Arena(*place, *_title(place, places)): found[place] for place in places}


def _place(result: Result) -> tuple[str, str, str, str, str, int]:
    score = result.spec.score
    return (
        result.dataset,
        result.data["split"],
        result.data["tracks_hash"],
        result.convention,
        score.by,
        score.seed,
    )


def _title(
    place: tuple[str, str, str, str, str, int],
    places: Sequence[tuple[str, str, str, str, str, int]],
) -> tuple[str, str]:
    """Page and title of an arena: data set and split, and what else tells it from the others of that split."""
    dataset, split, tracks, convention, by, seed = place
    alike = [other for other in places if other[:2] == place[:2]]
    words = [f"{dataset}, split {split}"]
    details = (f"tracks {tracks[:8]}", convention, f"resamples of {by}s", f"resampling seed {seed}")
    words += [
        words_
        for index, words_ in enumerate(details, 2)
        if len({other[index] for other in alike}) > 1
    ]
    return slug("-".join([dataset, split, digest(list(place), 8)])), ", ".join(words)


def values_of(runs: Sequence[Run]) -> Iterator[tuple[Run, Values]]:
    """The arrays of runs, one after the other."""
    for run in runs:
        yield run, read_values(run.path)
