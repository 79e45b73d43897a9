"""What stands above the numbers: how many runs of what, their protocols, what was left out."""

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
"""Entry of a protocol -> its title; other entries are shown by their own name."""
_TOLD = 6  # values of one entry that are listed


@dataclass(frozen=True)
class Protocol:
    """How the scores of an arena were made.

    Attributes:
        arena: the arena.
        runs: number of its runs.
        lines: (title of an entry, the values that occur).
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
        methods: names of the methods, which are rows.
        arenas: the arenas, which are columns.
        numbers: (method, arena) -> number of runs.
    """

    methods: tuple[str, ...]
    arenas: tuple[Arena, ...]
    numbers: dict[tuple[str, Arena], int]


def counts(arenas: dict[Arena, list[Run]]) -> Counts:
    """Counts runs by method and arena."""
    numbers = Counter(
        (run.result.spec.method.name, arena) for arena, runs in arenas.items() for run in runs
    )
    return Counts(tuple(sorted({method for method, _ in numbers})), tuple(arenas), dict(numbers))


def states(collected: Collected) -> list[tuple[str, int, str]]:
    """What became of every file: (state, number, what it means)."""
    shown = collected.runs
    return [
        (
            "files found",
            collected.files,
            "JSON files in the folder runs/, and of robustness/ those that were left out",
        ),
        ("in the leaderboard", sum(run.counted for run in shown), "one result a cell"),
        (
            "other scorings",
            sum(not run.counted for run in shown),
            "of cells that are in the leaderboard with the usual settings, more resamples or a "
            "later date; each has a page and a row under Runs",
        ),
        (
            "with a warning",
            sum(bool(warnings(run)) for run in shown),
            "the warning stands on the run's page",
        ),
        ("left out", len(collected.left_out), "listed with the reason under Left out"),
    ]


def warnings(run: Run) -> list[str]:
    """What a reader must know before believing a run's scores."""
    result, lines = run.result, []
    if result.training.get("warning"):
        lines.append(str(result.training["warning"]))
    if result.counts["leaked_tracks"]:
        leaked = result.counts["leaked_tracks"]
        lines.append(f"pretrained on {leaked} of the valid and test tracks: scores are too high")
    missing = result.counts.get("tags_without_labelled_positive", 0)
    if missing:
        lines.append(
            f"{missing} of {result.counts['all_tags']} tags have no positive among the labelled "
            "tracks"
        )
    if result.counts["short_tracks"]:
        lines.append(
            f"{result.counts['short_tracks']} tracks are shorter than a view and were repeated to "
            "length"
        )
    if result.code.get("changed"):
        lines.append("made by a checkout with uncommitted changes")
    return lines


def protocols(arenas: dict[Arena, list[Run]]) -> list[Protocol]:
    """The protocol of each arena in words, with every value that occurs."""
    return [
        Protocol(arena, len(runs), tuple(_lines(runs)), tuple(_notes(runs)))
        for arena, runs in arenas.items()
    ]


def _lines(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """The entries of a protocol: (title, the values that occur)."""
    results = [run.result for run in runs]
    scored = _values(
        f"{result.counts['scored_tags']} of {result.counts['all_tags']} {result.data['kind']}"
        for result in results
    )
    parts = _values(_parts(run) for run in runs)
    lines = [
        ("Tracks", parts),
        ("Averaged over", scored),
        ("Convention", _values(result.convention for result in results)),
    ]
    names = list(dict.fromkeys(name for result in results for name in result.protocol))
    for name in names:
        if name in ("split", "steps"):  # in the title; on each run's page
            continue
        lines.append(
            (
                PROTOCOL.get(name, name),
                _values(str(result.protocol.get(name, "not stored")) for result in results),
            )
        )
    return lines


def _parts(run: Run) -> str:
    """Number of tracks of each part of a split."""
    data = run.result.data
    return ", ".join(
        f"{data[f'{part}_tracks']} {part}"
        for part in ("train", "valid", "test")
        if f"{part}_tracks" in data
    )


def _values(values: Iterable[object]) -> str:
    """The values that occur, most frequent first; of many values the first, and a count."""
    ordered = [
        value
        for value, _ in sorted(
            Counter(map(str, values)).items(), key=lambda pair: (-pair[1], pair[0])
        )
    ]
    more = [f"and {len(ordered) - _TOLD} more"] if len(ordered) > _TOLD else []
    return " / ".join(ordered[:_TOLD] + more)


def _notes(runs: Sequence[Run]) -> list[str]:
    """Notes on the data that any run has, each once."""
    notes: dict[str, None] = {}
    for run in runs:
        data = run.result.data
        if data["left_out"]:
            note = (
                f"{len(data['left_out'])} files of the data set could not be used; they are named "
                "in each result"
            )
            notes[note] = None
        notes |= dict.fromkeys(str(note) for note in data["notes"])
    return list(notes)
