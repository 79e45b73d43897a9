"""The content of the page of one run."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from bench.report.html.board import Number, pretrained_on
from bench.report.html.charts import MOST_POINTS, Curve, curve, interval, scale, short
from bench.report.html.collect import Run
from bench.report.html.overview import warnings
from bench.report.html.render import NONE, limits, score
from bench.report.html.tags import Tag, tags
from bench.results import dataset_name
from bench.settings.command import Command, command_for

_WIDE_SWEEP = 40  # points of the probe's grid that are listed
_LEAN_POINTS = 24  # vertices of a curve on a lean page


@dataclass(frozen=True)
class ScoreRow:
    """One metric of a run with all its intervals.

    Attributes:
        metric: name of the metric.
        number: the score with the interval that tables show.
        percentile: ends of the percentile interval.
        bca: ends of the bias-corrected and accelerated interval.
        bias: the bootstrap's estimate of the bias.
    """

    metric: str
    number: Number
    percentile: tuple[float | None, float | None]
    bca: tuple[float | None, float | None]
    bias: float


@dataclass(frozen=True)
class RunPage:
    """The content of a run's page; texts are not escaped yet.

    Attributes:
        run: the run.
        pretrained_on: what its encoder was pretrained on, in words.
        warnings: what to know before believing its scores.
        scores: every metric.
        conventions: convention of scoring -> scores, in the order of `convention_metrics`.
        convention_metrics: the metrics that any other convention has.
        degraded: (how the test tracks were degraded, score, its change), where that was computed.
        command: the command that makes the run again.
        curves: curves of the training.
        facts: (name, value) of what else is stored of the training.
        notes: notes on training and data.
        sweep: names of the columns, and rows, of the probe's grid.
        grid_points: number of points of the whole grid.
        chosen: chosen hyper-parameters of the probe, in words.
        tags: rows of the table of tags, as HTML.
        spec: (section of the spec, its settings in words).
        cost: (stage, seconds).
        made: (name, value) of code, versions, device and keys.
    """

    run: Run
    pretrained_on: str
    warnings: list[str]
    scores: list[ScoreRow]
    conventions: dict[str, list[Number]]
    convention_metrics: list[str]
    degraded: list[tuple[str, Number, Number]]
    command: Command
    curves: list[Curve]
    facts: list[tuple[str, str]]
    notes: list[str]
    sweep: tuple[list[str], list[list[str]]]
    grid_points: int
    chosen: str
    tags: Markup
    spec: list[tuple[str, str]]
    cost: list[tuple[str, float]]
    made: list[tuple[str, str]]


def run_page(run: Run, lean: bool = False, degraded: Sequence[dict[str, Any]] = ()) -> RunPage:
    """Collects the content of a run's page.

    Args:
        run: the run.
        lean: whether the page is kept small, with coarser curves and without the probe's grid.
        degraded: its scores on degraded audio, as rows of `bench.report.degraded.changes`.
    """
    result, training = run.result, run.result.training
    metrics = list(
        dict.fromkeys(name for metrics_of in result.conventions.values() for name in metrics_of)
    )
    return RunPage(
        run=run,
        pretrained_on=pretrained_on(run),
        warnings=warnings(run),
        scores=_scores(run),
        conventions={
            name: [_plain(metrics_of, metric) for metric in metrics]
            for name, metrics_of in result.conventions.items()
        },
        convention_metrics=metrics,
        degraded=[_degraded(row) for row in degraded],
        command=command_for(result.spec),
        curves=list(_curves(training, _LEAN_POINTS if lean else MOST_POINTS)),
        facts=list(_facts(training)),
        notes=[str(note) for note in (*_list(training.get("notes")), *_list(result.data["notes"]))],
        sweep=_sweep(result.probe, 0 if lean else _WIDE_SWEEP),
        grid_points=len(_list(result.probe.get("sweep"))),
        chosen=", ".join(
            f"{name} {_text(value)}" for name, value in _table(result.probe.get("chosen")).items()
        ),
        tags=_tag_rows(run),
        spec=_spec(run),
        cost=[(name, float(value)) for name, value in result.seconds.items()],
        made=list(_made(run)),
    )


def _degraded(row: dict[str, Any]) -> tuple[str, Number, Number]:
    """How the test tracks were degraded, the score on them, and its change."""
    change = Number(row["change"], (row["change_low"], row["change_high"]))
    return row["audio"], Number(row["value"], (row["low"], row["high"])), change


def _scores(run: Run) -> list[ScoreRow]:
    metrics = run.result.metrics
    # One scale serves all metrics, since all lie between 0 and 1.
    on = scale(
        [end for metric in metrics.values() for end in (metric.value, metric.low, metric.high)]
    )
    return [
        ScoreRow(
            name,
            Number(
                metric.value,
                (metric.low, metric.high),
                interval(metric.value, metric.low, metric.high, on),
            ),
            metric.percentile,
            metric.bca,
            metric.bias,
        )
        for name, metric in metrics.items()
    ]


def _plain(metrics: dict[str, Any], name: str) -> Number:
    return (
        Number(metrics[name].value, (metrics[name].low, metrics[name].high))
        if name in metrics
        else Number(None)
    )


def _list(value: Any) -> list[Any]:
    """A list of a result's free parts; empty where something else is stored."""
    return value if isinstance(value, list) else []


def _table(value: Any) -> dict[str, Any]:
    """A dictionary of a result's free parts; empty where something else is stored."""
    return value if isinstance(value, dict) else {}


def _curves(training: dict[str, Any], most: int) -> Iterator[Curve]:
    """A curve of every series of numbers in the loss curve and the diagnostics."""
    for part in ("curve", "diagnostics"):
        rows = [
            row
            for row in _list(training.get(part))
            if isinstance(row, dict) and _is_number(row.get("step"))
        ]
        for name in dict.fromkeys(name for row in rows for name in row if name != "step"):
            points = [(float(row["step"]), _as_number(row[name])) for row in rows if name in row]
            yield curve(name.replace("_", " "), points, most)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_number(value: Any) -> float:
    return float(value) if _is_number(value) else float("nan")


def _facts(training: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Everything else that is stored of the training: (name, value)."""
    for name, value in training.items():
        if name in ("curve", "diagnostics", "notes", "warning") or value in ({}, [], None):
            continue
        if isinstance(value, dict):
            yield name, ", ".join(f"{key} {_text(entry)}" for key, entry in value.items())
        else:
            yield name, _text(value)


def _text(value: Any) -> str:
    """A value as text; numbers are shortened."""
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.6g}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return short(value) if abs(value) >= 1000 else f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _sweep(probe: dict[str, Any], most: int) -> tuple[list[str], list[list[str]]]:
    """Names of the columns, and at most `most` rows, of the probe's grid."""
    rows = [row for row in _list(probe.get("sweep")) if isinstance(row, dict)]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return columns, [
        [_text(row[name]) if name in row else "" for name in columns] for row in rows[:most]
    ]


def _tag_rows(run: Run) -> Markup:
    """The rows of the table of tags.

    Their HTML is as short as can be, since they are the largest part of a page.
    """
    return Markup("\n".join(_tag_row(tag) for tag in tags(run.result)))


def _tag_row(tag: Tag) -> str:
    # Not by a template: a report has a hundred thousand rows, and only the name needs escaping.
    cells = [NONE if tag.positives is None else str(tag.positives)]
    for tag_score in (tag.precision, tag.roc_auc):
        cells += [score(tag_score.value), limits((tag_score.low, tag_score.high))]
    return f"<tr><th scope=row>{escape(tag.name)}<td>{'<td>'.join(cells)}"


def _spec(run: Run) -> list[tuple[str, str]]:
    """Every setting of a run by section, with the defaults of plug-ins filled in."""
    loose, sections = {}, []
    for name, value in run.result.spec.model_dump(mode="json").items():
        if isinstance(value, dict):
            sections.append((name, _in_words({**value, **_table(run.result.settings.get(name))})))
        else:
            loose[name] = value
    return [("cell", _in_words(loose)), *sections]


def _in_words(settings: dict[str, Any], prefix: str = "") -> str:
    """Settings with their values; an augmentation of probability 0 is only said to be off."""
    words = []
    for name, value in settings.items():
        if isinstance(value, dict) and value.get("probability") == 0:
            words.append(f"{prefix}{name} off")
        elif isinstance(value, dict) and value:
            words.append(_in_words(value, f"{prefix}{name}."))
        else:
            words.append(f"{prefix}{name} = {_shown(value)}")
    return "; ".join(words)


def _shown(value: Any) -> str:
    """A setting as it is typed; a dash for an empty text."""
    return (value or NONE) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _made(run: Run) -> Iterator[tuple[str, str]]:
    """What the run was made with and from: (name, value)."""
    result, code = run.result, run.result.code
    yield "cell", result.cell
    yield "made", result.created
    yield "device", result.device
    commit = f", commit {code['commit']}" if code.get("commit") else ""
    yield (
        "code",
        f"version {code.get('version', 'unknown')}{commit}"
        + (", changed" if code.get("changed") else ""),
    )
    yield "versions", ", ".join(f"{name} {number}" for name, number in result.versions.items())
    yield (
        "data",
        f"{dataset_name(result.spec.dataset.name)} {result.data.get('hash', '')}, "
        f"tracks {result.data['tracks_hash']}",
    )
    yield "labelled tracks", f"{result.counts['labelled_tracks']}, hash {result.probe['subset']}"
    yield "products", ", ".join(f"{stage} {key}" for stage, key in result.products.items())
    if result.data["left_out"]:
        yield "files left out of the data set", str(len(result.data["left_out"]))
