"""A comparison as tables and as JSON."""

import math
from typing import Any

from bench.core.table import Table
from bench.report.compare import Comparison, Stratum
from bench.statistics.variance import SOURCES, VarianceComponents

_SHORT = dict(
    zip(
        SOURCES,
        ("pretraining seed", "label draw", "seed x draw", "probe seed", "test sample"),
        strict=True,
    )
)


def pairs_table(found: Comparison, alpha: float) -> Table:
    """One row a pair and stratum."""
    columns = [
        "A",
        "B",
        "data set",
        "fraction",
        "cells",
        f"{found.metric}: A - B",
        "p",
        "p (Holm)",
        "detectable",
        "known sources",
    ]
    rows = []
    for pair in found.pairs:
        rows.append(
            [
                pair.first,
                pair.second,
                _where(pair.stratum, found),
                f"{pair.stratum.fraction:g}",
                str(pair.cells),
                signed(pair.found.difference, pair.found.low, pair.found.high),
                _p(pair.p_value),
                _p(pair.adjusted) + ("*" if pair.adjusted < alpha else ""),
                _number(pair.detectable),
                signed(pair.variance.mean, pair.variance.low, pair.variance.high),
            ]
        )
    first = found.pairs[0]
    notes = [
        f"A - B: mean over matched cells, {first.found.resamples} shared resamples of the test tracks, 95 % percentile "
        "interval; p: sign-flip permutation test of the tracks; Holm over all rows (* below "
        f"{alpha:g}); detectable: smallest true difference found with 80 % power at {alpha:g} over all rows; known "
        "sources: the same difference with a t interval that counts seeds and draws too, where there are several",
        *_protocols(found),
        *found.notes,
    ]
    return Table(columns, rows, notes)


def _where(stratum: Stratum, found: Comparison) -> str:
    """The data set's name, with split and tracks where it occurs with several."""
    same = {(one.split, one.tracks) for one, _ in found.scores if one.dataset == stratum.dataset}
    return (
        stratum.dataset
        if len(same) == 1
        else f"{stratum.dataset} ({stratum.split}, {stratum.tracks[:6]})"
    )


def _protocols(found: Comparison) -> list[str]:
    """Split, tracks and labels of each stratum, once."""
    lines = []
    for pair in found.pairs:
        stratum = pair.stratum
        probe = f"probe {stratum.probe}" if stratum.probe else "probes as named"
        line = f"{stratum.dataset}: split {stratum.split}, tracks {stratum.tracks}, labels {stratum.labels}, {probe}"
        if line not in lines:
            lines.append(line)
    return lines


def variance_table(found: Comparison) -> Table:
    """One row a method and stratum: the deviation that each source gives a single score, and which one rules."""
    columns = [
        "method",
        "data set",
        "fraction",
        "seeds x draws x probe seeds",
        *(_SHORT[name] for name in SOURCES),
        "rules",
    ]
    rows, unknown = [], []
    for (stratum, name), components in found.scores.items():
        rows.append(
            [
                name,
                _where(stratum, found),
                f"{stratum.fraction:g}",
                " x ".join(map(str, components.shape)),
                *(_deviation(source.deviation, source.share) for source in components.sources),
                _SHORT.get(components.largest, ""),
            ]
        )
        unknown += [line for line in components.unknown if line not in unknown]
    notes = [
        f"standard deviation that a source gives a single {found.metric}, and its share of the known variance; "
        "a source with one level is not known (?)",
        *unknown,
    ]
    return Table(columns, rows, notes, words=3)


def ranks_tables(found: Comparison) -> list[Table]:
    """Average ranks over data sets, one table a fraction and probe."""
    tables = []
    for (fraction, probe), (datasets, names, test) in found.ranks.items():
        order = sorted(range(len(names)), key=lambda index: (test.average_ranks[index], index))
        groups = {
            index: [str(number + 1) for number, group in enumerate(test.groups) if index in group]
            for index in order
        }
        rows = [
            [names[index], f"{test.average_ranks[index]:.2f}", " ".join(groups[index]) or "-"]
            for index in order
        ]
        which = f"fraction {fraction:g}" + (f", probe {probe}" if probe else "")
        notes = [
            f"{which}, over {', '.join(datasets)}: Friedman p {_p(test.p_value)}, "
            f"Iman-Davenport p {_p(test.f_p_value)}; Nemenyi's critical difference {test.critical_difference:.2f} at "
            f"{test.alpha:g}; methods of one group do not differ",
        ]
        tables.append(
            Table(
                ["method", "average rank", "group"],
                rows,
                notes + ([test.weak] if test.weak else []),
                words=1,
            )
        )
    return tables


def as_json(found: Comparison) -> dict[str, Any]:
    """Everything in the comparison; what is not known is null."""
    return {
        "metric": found.metric,
        "pairs": [
            {
                **_stratum(pair.stratum),
                "first": pair.first,
                "second": pair.second,
                "cells": pair.cells,
                "difference": pair.found.difference,
                "low": _known(pair.found.low),
                "high": _known(pair.found.high),
                "standard_error": _known(pair.found.standard_error),
                "ahead": _known(pair.found.ahead),
                "resamples": pair.found.resamples,
                "p_value": _known(pair.p_value),
                "p_holm": _known(pair.adjusted),
                "smallest_detectable": _known(pair.detectable),
                "all_known_sources": _components(pair.variance),
            }
            for pair in found.pairs
        ],
        "scores": [
            {**_stratum(stratum), "method": name, **_components(components)}
            for (stratum, name), components in found.scores.items()
        ],
        "ranks": [
            {
                "fraction": fraction,
                "probe": probe,
                "datasets": datasets,
                "methods": names,
                "average_ranks": [float(rank) for rank in test.average_ranks],
                "friedman_p": test.p_value,
                "iman_davenport_p": test.f_p_value,
                "critical_difference": test.critical_difference,
                "alpha": test.alpha,
                "groups": [[names[index] for index in group] for group in test.groups],
                "weak": test.weak,
            }
            for (fraction, probe), (datasets, names, test) in found.ranks.items()
        ],
        "notes": found.notes,
    }


def _stratum(stratum: Stratum) -> dict[str, Any]:
    return {
        "dataset": stratum.dataset,
        "split": stratum.split,
        "tracks_hash": stratum.tracks,
        "fraction": stratum.fraction,
        "labels": stratum.labels,
        "probe": stratum.probe,
    }


def _components(components: VarianceComponents) -> dict[str, Any]:
    return {
        "mean": components.mean,
        "low": _known(components.low),
        "high": _known(components.high),
        "p_value": _known(components.p_value),
        "standard_error": _known(components.standard_error),
        "degrees_of_freedom": _known(components.degrees),
        "grid": dict(
            zip(("pretraining_seeds", "label_draws", "probe_seeds"), components.shape, strict=True)
        ),
        "sources": {
            source.name: {
                "deviation": _known(source.deviation),
                "share": _known(source.share),
                "truncated": source.truncated,
                "missing": source.missing,
            }
            for source in components.sources
        },
        "rules": components.largest,
    }


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _number(value: float) -> str:
    return "?" if math.isnan(value) else f"{value:.3f}"


def _deviation(deviation: float, share: float) -> str:
    return "?" if math.isnan(deviation) else f"{deviation:.4f} ({share:.0%})"


def signed(value: float, low: float, high: float) -> str:
    """A difference with its interval, where it has one."""
    text = f"{value:+.3f}"
    return text if math.isnan(low) else f"{text} [{low:+.3f}, {high:+.3f}]"


def _p(value: float) -> str:
    if math.isnan(value):
        return "?"
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"
