"""The command `bench robustness`: scores of stored runs on degraded test tracks."""

import json as json_module
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from bench.cli.flags import Flag, Home, Plugins, Results, begin
from bench.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.core.table import Table
    from bench.results import Result

_USUAL = "usual"


def robustness(
    *runs: str,
    noise: str | None = None,
    pitch: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    mp3: str | None = None,
    rate: str | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    json: Flag = False,
    home: Home = Path(".bench"),
    results: Results = Path("results"),
    plugins: Plugins = None,
) -> None:
    """Score stored runs on noisy, pitch-shifted, mp3-coded and band-limited test tracks.

    Nothing is trained on them. The encoder and the probe stay those of clean tracks. Each change of
    the score has a paired interval. Without a flag everything is done at its usual levels, as far
    as the encoder's sample rate allows; with one or more, these alone. `bench figures --kind
    robustness` draws what is stored of it.

    Parameters
    ----------
    runs
        Result files (.json), or beginnings of a cell's key or of a result file's name, which mean
        of each encoder the run with most labels; else every run with all labels.
    noise
        White noise, signal-to-noise ratios in dB with commas, or usual: 40,30,20,10,0.
    pitch
        Shift at the same tempo, semitones with commas, or usual: -4,-2,-1,1,2,4.
    mp3
        Bit rates of a mono file at the encoder's sample rate, kbit/s with commas, or usual:
        64,32,16,8.
    rate
        Lower sample rates, Hz with commas, or usual: 11025,8000,4000.
    device
        Where to embed.
    json
        Print one JSON document on standard output.
    """
    from bench.core.store import Store, require_writable
    from bench.data.degrade import KINDS
    from bench.report.degraded import METRIC
    from bench.stages.robustness import robustness as score
    from bench.stages.session import Place

    begin(plugins)
    flags = {"noise": noise, "pitch": pitch, "mp3": mp3, "rate": rate}
    given = {kind: _levels(kind, text) for kind, text in flags.items() if text is not None}
    wanted = _runs(runs, results)
    require_writable(results)
    place = Place(Store(home), results, device)
    rows = _printed(score(wanted, given or dict.fromkeys(KINDS), place), results, quiet=json)
    if json:
        print(json_module.dumps({"metric": METRIC, "rows": rows}, indent=1, allow_nan=False))
    if not rows:
        raise InputError(f"nothing was scored: {len(wanted)} of {len(wanted)} runs were left out")


def _printed(
    scores: "Iterator[tuple[list[Result], str]]", results: Path, *, quiet: bool
) -> list[dict[str, Any]]:
    """Prints the scores of each run as they come, and returns all rows.

    Args:
        scores: of `bench.stages.robustness.robustness`.
        results: folder of the results.
        quiet: prints no tables.
    """
    from bench.core.progress import say
    from bench.report.degraded import METRIC, changes
    from bench.results import file_stem

    rows: list[dict[str, Any]] = []
    for scored, why in scores:
        if why:
            say(f"left out: {why}")
            continue
        title = file_stem(scored[0].spec, scored[0].protocol["audio"]["of"])
        changed = changes(results, scored, METRIC)
        if not quiet:
            _print_run(title, changed, scored[0], first=not rows)
        rows += [{"run": title, **row} for row in changed]
    return rows


def _runs(names: Sequence[str], folder: Path) -> "list[Result]":
    """The runs that are named, or all that use all labels, each once.

    Args:
        names: result files, or beginnings of a cell's key or of a result file's name.
        folder: folder of the results.

    Raises:
        InputError: no such run.
    """
    from bench.core.progress import say
    from bench.results import preferred, read_all
    from bench.weights.export import runs_named

    if names:
        named = [(name, result) for name in names for result in runs_named(name, folder)]
        if degraded := [name for name, result in named if "audio" in result.protocol]:
            raise InputError(
                f"{degraded[0]} is itself a score on degraded audio: name the run that it is of"
            )
        return list({result.cell: result for _, result in named}.values())
    stored, left_out = read_all(folder)
    for line in left_out:
        say(f"left out: {line}")
    whole = [result for result in preferred(stored) if result.spec.fraction == 1]
    if not whole:
        raise InputError(
            f"no run with all labels in {folder}: name one or more, or `bench run --fraction 1.0`"
        )
    return whole


def _levels(kind: str, text: str) -> list[float] | None:
    """Levels of a degradation from a comma list; None for its usual levels."""
    if text.strip() == _USUAL:
        return None
    try:
        levels = [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--{kind} {text}: give numbers with commas, or {_USUAL}") from None
    return levels


def _print_run(
    title: str, rows: Sequence[dict[str, Any]], scored: "Result", *, first: bool
) -> None:
    """Prints a run's name and its table; an empty line before it unless it is the first."""
    from bench.core.table import show

    print(title if first else f"\n{title}")
    show(_table(rows, scored))


def _table(rows: Sequence[dict[str, Any]], scored: "Result") -> "Table":
    """The scores of a run on degraded audio, with their changes.

    Args:
        rows: a row for each degradation and level (`bench.report.degraded.changes`).
        scored: one of its results, for what they have in common.
    """
    from bench.core.table import Table
    from bench.report.compare_tables import signed
    from bench.report.degraded import METRIC
    from bench.report.names import metric_title
    from bench.report.tables import Number

    def known(row: dict[str, Any], *names: str) -> list[float]:
        return [math.nan if row[name] is None else row[name] for name in names]

    texts = []
    for row in rows:
        change = ""
        if row["change"] is not None:
            change = signed(*known(row, "change", "change_low", "change_high"))
        value, low, high = known(row, "value", "low", "high")
        texts.append([row["audio"], Number(value, low, high).text, change])
    notes = [
        f"{scored.dataset} ({scored.data['split']}), {scored.counts['test_tracks']} test tracks; "
        f"{scored.protocol['interval']}; changes: paired, percentiles"
    ]
    return Table(["audio", metric_title(METRIC), "change"], texts, notes, words=1)
