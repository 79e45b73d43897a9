"""What the caption of a figure or table says of its cells: data, protocol, seeds and code."""

from collections.abc import Iterable, Sequence

from bench.report.places import place_names, places
from bench.report.series import settings_of
from bench.report.setting import probe_of
from bench.report.stock import Stock
from bench.results import Result

_SHOWN = 12  # of a list in one sentence


def protocol(results: Sequence[Result]) -> list[str]:
    """Paragraphs on the cells that a figure was drawn from.

    They say: data, protocol, cells, budget, code, and warnings where there are any.
    """
    if not results:
        return ["No stored cell of ours is drawn."]
    return [
        "Data: " + "; ".join(_data(results)) + ".",
        _protocol(results),
        _cells(results),
        _budget(results),
        _code(results),
        *_warnings(results),
    ]


def _data(results: Sequence[Result]) -> list[str]:
    """One line for each place: its test tracks, and the tags that macro averages are over."""
    by_place = places(results)
    names = place_names(by_place)
    lines = []
    for place, cells in by_place.items():
        counts, kind = cells[0].counts, cells[0].data.get("kind", "tags")
        scored = f"{counts.get('scored_tags', '?')} of {counts.get('all_tags', '?')} {kind}"
        untagged = str(cells[0].protocol.get("untagged", "kept"))
        lines.append(
            f"{names[place]}, {counts.get('test_tracks', '?')} test tracks (untagged {untagged}), "
            f"macro over {scored}, tracks {place.tracks[:12]}"
        )
    return lines


def _protocol(results: Sequence[Result]) -> str:
    encoders = _listed(result.spec.encoder.name for result in results)
    recipes = _listed(result.spec.recipe for result in results)
    probes = _listed(probe_of(result) for result in results)
    aggregations, labels, intervals = (
        _listed(str(result.protocol.get(name, "?")) for result in results)
        for name in ("aggregation", "labels", "interval")
    )
    return (
        f"Protocol: encoder {encoders}; recipe {recipes}; probe {probes}, chosen on the valid "
        f"split; {aggregations}; labels {labels}; {intervals}."
    )


def _cells(results: Sequence[Result]) -> str:
    methods = _listed(result.spec.method.name for result in results)
    fractions = _listed(
        f"{fraction:g}" for fraction in sorted({result.spec.fraction for result in results})
    )
    draws, seeds, probe_seeds = (
        _numbers(sorted({getattr(result.spec, name) for result in results}))
        for name in ("draw", "seed", "probe_seed")
    )
    return (
        f"Cells: {len(results)}, of {methods}; fractions {fractions}; draws {draws}; pretraining "
        f"seeds {seeds}; probe seeds {probe_seeds}."
    )


def _budget(results: Sequence[Result]) -> str:
    """The pretraining budgets that occur, each with its methods; "" without any pretraining."""
    budgets: dict[str, set[str]] = {}
    for result in results:
        steps = int(result.protocol.get("steps") or 0)
        if steps:
            scale = float(settings_of(result).get("scale", 1.0))
            trial = f", scale {scale:g} of the recipe: a trial" if scale != 1 else ""
            words = f"{steps} steps of {result.spec.train.batch_size} tracks{trial}"
            budgets.setdefault(words, set()).add(result.spec.method.name)
    if not budgets:
        return ""
    if len(budgets) == 1:
        return f"Budget: {next(iter(budgets))}."
    lines = [f"{words} ({_listed(sorted(methods))})" for words, methods in sorted(budgets.items())]
    return f"Budget: {'; '.join(lines)}."


def _code(results: Sequence[Result]) -> str:
    codes = _listed(_version(result) for result in results)
    days = sorted({result.created[:10] for result in results})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return f"Code: {codes}; computed {when}."


def _version(result: Result) -> str:
    code = result.code
    commit = str(code.get("commit") or "not known")[:12]
    changed = " with changes" if code.get("changed") else ""
    return f"{code.get('version', '?')} commit {commit}{changed}"


def _warnings(results: Sequence[Result]) -> list[str]:
    """A paragraph on collapse and on pretraining on test tracks; empty where there is neither."""
    warnings = {
        f"{result.spec.method.name}: {result.training['warning']}"
        for result in results
        if (result.training or {}).get("warning")
    }
    leaks = {
        f"{result.spec.method.name} was pretrained on {result.counts['leaked_tracks']} valid and "
        f"test tracks of {result.dataset}"
        for result in results
        if result.counts.get("leaked_tracks")
    }
    lines = [*sorted(warnings), *sorted(leaks)]
    return [f"Warnings: {'; '.join(lines)}."] if lines else []


def left_out(stock: Stock) -> list[str]:
    """A paragraph on files that were not used; empty where there are none."""
    if not stock.left_out:
        return []
    lines = sorted(set(stock.left_out))
    more = f"; and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return [f"Left out ({len(lines)}): " + "; ".join(lines[:_SHOWN]) + more + "."]


def _listed(texts: Iterable[str]) -> str:
    """Texts with commas, each once; of many the first, and how many more there are."""
    unique = list(dict.fromkeys(texts))
    more = f" and {len(unique) - _SHOWN} more" if len(unique) > _SHOWN else ""
    return ", ".join(unique[:_SHOWN]) + more


def _numbers(values: Sequence[int]) -> str:
    """Ascending numbers with commas, or as "0 to 3" where none is missing between."""
    if len(values) > 2 and values == list(range(values[0], values[-1] + 1)):
        return f"{values[0]} to {values[-1]}"
    return ", ".join(map(str, values))
