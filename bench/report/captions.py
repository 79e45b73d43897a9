"""What stands below a figure: data, split, probe, resamples, seeds, commit."""

from collections.abc import Iterable, Sequence

from bench.report.stock import Stock, flattened, place_names, place_of, places, probe_of
from bench.results import Result

_SHOWN = 12  # of a list in one sentence


def protocol(results: Sequence[Result]) -> list[str]:
    """Paragraphs on the cells that a figure was drawn from."""
    if not results:
        return ["No stored cell of ours is drawn."]
    paragraphs = ["Data: " + "; ".join(_data(results)) + "."]
    probes = _listed(probe_of(result) for result in results)
    aggregations = _listed(str(result.protocol.get("aggregation", "?")) for result in results)
    intervals = _listed(str(result.protocol.get("interval", "?")) for result in results)
    labels = _listed(str(result.protocol.get("labels", "?")) for result in results)
    encoders = _listed(result.spec.encoder.name for result in results)
    recipes = _listed(result.spec.recipe for result in results)
    paragraphs.append(
        f"Protocol: encoder {encoders}; recipe {recipes}; probe {probes}, chosen on the valid split; {aggregations}; "
        f"labels {labels}; {intervals}."
    )
    methods = _listed(result.spec.method.name for result in results)
    fractions = _listed(
        f"{fraction:g}" for fraction in sorted({result.spec.fraction for result in results})
    )
    counts = {
        name: sorted({getattr(r.spec, name) for r in results})
        for name in ("draw", "seed", "probe_seed")
    }
    paragraphs.append(
        f"Cells: {len(results)}, of {methods}; fractions {fractions}; draws {_numbers(counts['draw'])}; pretraining "
        f"seeds {_numbers(counts['seed'])}; probe seeds {_numbers(counts['probe_seed'])}."
    )
    paragraphs.append(_budget(results))
    codes = _listed(
        f"{r.code.get('version', '?')} commit {str(r.code.get('commit') or 'not known')[:12]}"
        + (" with changes" if r.code.get("changed") else "")
        for r in results
    )
    days = sorted({result.created[:10] for result in results})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    paragraphs.append(f"Code: {codes}; computed {when}.")
    warnings = sorted(
        {
            f"{r.spec.method.name}: {r.training['warning']}"
            for r in results
            if (r.training or {}).get("warning")
        }
    )
    leaks = sorted(
        {
            f"{r.spec.method.name} was pretrained on {r.counts['leaked_tracks']} valid and test tracks of {r.dataset}"
            for r in results
            if r.counts.get("leaked_tracks")
        }
    )
    if warnings or leaks:
        paragraphs.append("Warnings: " + "; ".join([*warnings, *leaks]) + ".")
    return paragraphs


def _budget(results: Sequence[Result]) -> str:
    budgets: dict[str, set[str]] = {}
    for result in results:
        steps = int(result.protocol.get("steps") or 0)
        if steps:
            scale = float(flattened(result).get("scale", 1.0))
            trial = f", scale {scale:g} of the recipe: a trial" if scale != 1 else ""
            words = f"{steps} steps of {result.spec.train.batch_size} tracks{trial}"
            budgets.setdefault(words, set()).add(result.spec.method.name)
    if not budgets:
        return ""
    if len(budgets) == 1:
        return f"Budget: {next(iter(budgets))}."
    return (
        "Budget: "
        + "; ".join(f"{words} ({_listed(sorted(who))})" for words, who in sorted(budgets.items()))
        + "."
    )


def _data(results: Sequence[Result]) -> list[str]:
    found = places(results)
    names = place_names(found)
    lines = []
    for place, cells in found.items():
        counts, kind = cells[0].counts, cells[0].data.get("kind", "tags")
        scored = f"{counts.get('scored_tags', '?')} of {counts.get('all_tags', '?')} {kind}"
        untagged = str(cells[0].protocol.get("untagged", "kept"))
        lines.append(
            f"{names[place]}, {counts.get('test_tracks', '?')} test tracks (untagged {untagged}), macro over {scored}, "
            f"tracks {place.tracks[:12]}"
        )
    return lines


def left_out(stock: Stock) -> list[str]:
    """A paragraph on files that were not used; empty where there are none."""
    if not stock.left_out:
        return []
    lines = sorted(set(stock.left_out))
    more = f"; and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return [f"Left out ({len(lines)}): " + "; ".join(lines[:_SHOWN]) + more + "."]


def cells_used(stock: Stock, results: Iterable[Result]) -> list[Result]:
    """Those of the results whose arrays can be read."""
    return [result for result in results if stock.cell(result)]


def _listed(texts: Iterable[str]) -> str:
    found = list(dict.fromkeys(texts))
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more


def _numbers(values: Sequence[int]) -> str:
    if len(values) > 2 and values == list(range(values[0], values[-1] + 1)):
        return f"{values[0]} to {values[-1]}"
    return ", ".join(map(str, values))


def where(results: Sequence[Result]) -> str:
    """Data set and split of cells of one place."""
    place = place_of(results[0])
    return f"{place.dataset} ({place.split})"
