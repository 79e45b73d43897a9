"""What stands above the numbers: how many runs of what, under which protocol, and what was left out."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.report.html.collect import Arena, Collected, Run

PROTOCOL = {
    "split": "Split",
    "steps": "Steps of pretraining",
    "probe": "Probe",
    "trained_on": "Probe trained on",
    "chosen_on": "Chosen on",
    "aggregation": "Score of a track",
    "untagged": "Test tracks without a tag",
    "labels": "Labelled tracks",
    "interval": "Intervals",
    "pretrained_on": "Pretrained on",
    "excluded": "Excluded from pretraining",
}
"""Words for what a protocol holds; what is not here is shown by its own name."""
_TOLD = 6  # values of one entry that are spelled out


@dataclass(frozen=True)
class Protocol:
    """How the scores of an arena were made.

    Attributes:
        arena: which.
        runs: how many stand for it.
        lines: (what, its values over the runs).
        notes: warnings about the data.
    """

    arena: Arena
    runs: int
    lines: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Counts:
    """How many runs there are of each method in each arena.

    Attributes:
        methods: rows.
        arenas: columns.
        numbers: (method, arena) -> runs.
    """

    methods: tuple[str, ...]
    arenas: tuple[Arena, ...]
    numbers: dict[tuple[str, Arena], int]


def counts(arenas: dict[Arena, list[Run]]) -> Counts:
    """Counts of runs by method and arena."""
    numbers = Counter(
        (run.result.spec.method.name, arena) for arena, runs in arenas.items() for run in runs
    )
    return Counts(tuple(sorted({method for method, _ in numbers})), tuple(arenas), dict(numbers))


def states(found: Collected) -> list[tuple[str, int, str]]:
    """What became of every file: (state, number, what it means)."""
    shown = found.runs
    return [
        (
            "files found",
            found.files,
            "JSON files in the folder runs/, and of robustness/ those that were left out",
        ),
        ("in the leaderboard", sum(run.counted for run in shown), "one result a cell"),
        (
            "other scorings",
            sum(not run.counted for run in shown),
            "of cells that are in the leaderboard with the usual settings, more resamples or a later date; "
            "each has a page and a row under Runs",
        ),
        (
            "with a warning",
            sum(bool(warnings(run)) for run in shown),
            "the warning stands on the run's page",
        ),
        ("left out", len(found.left_out), "listed with the reason under Left out"),
    ]


def warnings(run: Run) -> list[str]:
    """What a reader must know before believing a run's scores."""
    result, found = run.result, []
    if result.training.get("warning"):
        found.append(str(result.training["warning"]))
    if result.counts["leaked_tracks"]:
        leaked = result.counts["leaked_tracks"]
        found.append(f"pretrained on {leaked} of the valid and test tracks: scores are too high")
    missing = result.counts.get("tags_without_labelled_positive", 0)
    if missing:
        found.append(
            f"{missing} of {result.counts['all_tags']} tags have no positive among the labelled tracks"
        )
    if result.counts["short_tracks"]:
        found.append(
            f"{result.counts['short_tracks']} tracks are shorter than a view and were repeated to length"
        )
    if result.code.get("changed"):
        found.append("made by a checkout with uncommitted changes")
    return found


def protocols(arenas: dict[Arena, list[Run]]) -> list[Protocol]:
    """The protocol of each arena in words: every value that occurs in it."""
    return [
        Protocol(arena, len(runs), tuple(_lines(runs)), tuple(_notes(runs)))
        for arena, runs in arenas.items()
    ]


def _lines(runs: Sequence[Run]) -> list[tuple[str, str]]:
    results = [run.result for run in runs]
    scored = _values(
        f"{one.counts['scored_tags']} of {one.counts['all_tags']} {one.data['kind']}"
        for one in results
    )
    parts = _values(_parts(run) for run in runs)
    lines = [
        ("Tracks", parts),
        ("Averaged over", scored),
        ("Convention", _values(one.convention for one in results)),
    ]
    names = list(dict.fromkeys(name for one in results for name in one.protocol))
    for name in names:
        if name in ("split", "steps"):  # in the title; on each run's page
            continue
        lines.append(
            (
                PROTOCOL.get(name, name),
                _values(str(one.protocol.get(name, "not stored")) for one in results),
            )
        )
    return lines


def _parts(run: Run) -> str:
    data = run.result.data
    return ", ".join(
        f"{data[f'{part}_tracks']} {part}"
        for part in ("train", "valid", "test")
        if f"{part}_tracks" in data
    )


def _values(values: Iterable[object]) -> str:
    """Every value that occurs, most frequent first."""
    ordered = [
        value
        for value, _ in sorted(
            Counter(map(str, values)).items(), key=lambda pair: (-pair[1], pair[0])
        )
    ]
    more = [f"and {len(ordered) - _TOLD} more"] if len(ordered) > _TOLD else []
    return " / ".join(ordered[:_TOLD] + more)


def _notes(runs: Sequence[Run]) -> list[str]:
    found: dict[str, None] = {}
    for run in runs:
        data = run.result.data
        if data["left_out"]:
            found[
                f"{len(data['left_out'])} files of the data set could not be used; they are named in each result"
            ] = None
        found |= dict.fromkeys(str(note) for note in data["notes"])
    return list(found)
