"""Sentences, filters and downloads of the first page."""

from collections.abc import Mapping, Sequence

from bench.report.html.collect import Arena, Collected, Run
from bench.report.html.render import count, share

_DOWNLOADS = {
    "leaderboard.csv": "the leaderboard, one row a configuration, fraction and probe",
    "runs.csv": "every run with all its metrics and intervals",
    "comparisons.csv": "every paired comparison",
}
Choices = list[tuple[str, str, list[tuple[str, str]]]]
"""Filters of a table: (name, label, options as (value, text))."""


def heading(runs: Sequence[Run]) -> str:
    """The title of the report."""
    methods = len({run.result.spec.method.name for run in runs})
    return f"{_number(len(runs), 'run')} of {_number(methods, 'method')}" if runs else "No runs"


def lead(collected: Collected, arenas: Mapping[Arena, Sequence[Run]]) -> str:
    """What the report is about, in one paragraph, from what the results themselves say."""
    if not collected.runs:
        files = _number(collected.files, "file")
        return f"The results folder holds {files} and none that can be shown."
    results = [run.result for run in collected.runs]
    datasets = len({arena.dataset for arena in arenas})
    splits = f" in {len(arenas)} splits or conventions" if len(arenas) > datasets else ""
    created = sorted(result.created for result in results)
    commits = {
        str(result.code.get("commit") or result.code.get("version", "unknown"))[:10]
        for result in results
    }
    made = (
        f"code {', '.join(sorted(commits))}"
        if len(commits) <= 3
        else f"{len(commits)} versions of the code"
    )
    when = (
        created[0][:10]
        if created[0][:10] == created[-1][:10]
        else f"{created[0][:10]} to {created[-1][:10]}"
    )
    return (
        "Pretext tasks for music tagging, compared under one protocol on "
        f"{_number(datasets, 'data set')}{splits}. Results of {when}, made with {made}."
    )


def _number(number: int, what: str) -> str:
    return f"{count(number)} {what}" if number == 1 else f"{count(number)} {what}s"


def selects(runs: Sequence[Run]) -> Choices:
    """Filters of a table of runs, each with the values that occur."""
    results = [run.result for run in runs]
    fractions = sorted({result.spec.fraction for result in results})
    named = {
        ("dataset", "Data set"): {result.dataset for result in results},
        ("split", "Split"): {str(result.data["split"]) for result in results},
        ("encoder", "Encoder"): {result.spec.encoder.name for result in results},
        ("probe", "Probe"): {str(result.protocol["probe"]) for result in results},
    }
    choices = [
        (name, label, [(value, value) for value in sorted(values)])
        for (name, label), values in named.items()
    ]
    choices.insert(
        2, ("fraction", "Labels", [(f"{fraction:.12g}", share(fraction)) for fraction in fractions])
    )
    return choices


def downloads_in_words(made: Mapping[str, bytes]) -> list[tuple[str, str, str]]:
    """The files for further use: (name, size, what it holds).

    Args:
        made: name -> content of every file of the report.
    """
    return [
        (name, _size(len(made[name])), what) for name, what in _DOWNLOADS.items() if name in made
    ]


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
