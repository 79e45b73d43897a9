"""A comparison as tables of text and as JSON."""

import math
from typing import Any

from bench.core.table import Table
from bench.report.comparison import Comparison, Stratum
from bench.statistics.variance import SOURCES, VarianceComponents

_TITLES = dict(
    zip(
        SOURCES,
        ("pretraining seed", "label draw", "seed x draw", "probe seed", "test sample"),
        strict=True,
    )
)
"""Source of variance -> its column."""


def pairs_table(comparison: Comparison, alpha: float) -> Table:
    """The differences and their tests, one row for each pair and stratum.

    Args:
        comparison: what is shown.
        alpha: level below which a p-value after Holm's adjustment gets a star.
    """
    columns = [
        "A",
        "B",
        "data set",
        "fraction",
        "cells",
        f"{comparison.metric}: A - B",
        "p",
        "p (Holm)",
        "detectable",
        "known sources",
    ]
    rows = [
        [
            pair.first,
            pair.second,
            _where(pair.stratum, comparison),
            f"{pair.stratum.fraction:g}",
            str(pair.cells),
            signed(pair.found.difference, pair.found.low, pair.found.high),
            _p(pair.p_value),
            _p(pair.adjusted) + ("*" if pair.adjusted < alpha else ""),
            _number(pair.detectable),
            signed(pair.variance.mean, pair.variance.low, pair.variance.high),
        ]
        for pair in comparison.pairs
    ]
    notes = [
        f"A - B: mean over matched cells, {comparison.pairs[0].found.resamples} shared resamples "
        "of the test tracks, 95 % percentile interval; p: sign-flip permutation test of the "
        f"tracks; Holm over all rows (* below {alpha:g}); detectable: smallest true difference "
        f"found with 80 % power at {alpha:g} over all rows; known sources: the same difference "
        "with a t interval that counts seeds and draws too, where there are several",
        *_protocols(comparison),
        *comparison.notes,
    ]
    return Table(columns, rows, notes)


def _where(stratum: Stratum, comparison: Comparison) -> str:
    """The data set's name, with split and tracks where it occurs with several."""
    same = {
        (other.split, other.tracks)
        for other, _ in comparison.scores
        if other.dataset == stratum.dataset
    }
    return (
        stratum.dataset
        if len(same) == 1
        else f"{stratum.dataset} ({stratum.split}, {stratum.tracks[:6]})"
    )


def _protocols(comparison: Comparison) -> list[str]:
    """Split, tracks, labels and probe of each stratum; lines that are the same stand once."""
    lines = []
    for stratum in (pair.stratum for pair in comparison.pairs):
        probe = f"probe {stratum.probe}" if stratum.probe else "probes as named"
        lines.append(
            f"{stratum.dataset}: split {stratum.split}, tracks {stratum.tracks}, "
            f"labels {stratum.labels}, {probe}"
        )
    return list(dict.fromkeys(lines))


def variance_table(comparison: Comparison) -> Table:
    """The sources of variance of single scores, one row for each method and stratum.

    Each source has the standard deviation that it gives a single score; the last column names the
    largest.
    """
    columns = [
        "method",
        "data set",
        "fraction",
        "seeds x draws x probe seeds",
        *(_TITLES[name] for name in SOURCES),
        "rules",
    ]
    rows = []
    unknown: dict[str, None] = {}
    for (stratum, name), components in comparison.scores.items():
        rows.append(
            [
                name,
                _where(stratum, comparison),
                f"{stratum.fraction:g}",
                " x ".join(map(str, components.shape)),
                *(_deviation(source.deviation, source.share) for source in components.sources),
                _TITLES.get(components.largest, ""),
            ]
        )
        unknown |= dict.fromkeys(components.unknown)
    notes = [
        f"standard deviation that a source gives a single {comparison.metric}, and its share of "
        "the known variance; a source with one level is not known (?)",
        *unknown,
    ]
    return Table(columns, rows, notes, words=3)


def ranks_tables(comparison: Comparison) -> list[Table]:
    """Average ranks over data sets, one table for each fraction and probe."""
    tables = []
    for (fraction, probe), (datasets, names, test) in comparison.ranks.items():
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
        note = (
            f"{which}, over {', '.join(datasets)}: Friedman p {_p(test.p_value)}, "
            f"Iman-Davenport p {_p(test.f_p_value)}; Nemenyi's critical difference "
            f"{test.critical_difference:.2f} at {test.alpha:g}; methods of one group do not differ"
        )
        notes = [note, test.weak] if test.weak else [note]
        tables.append(Table(["method", "average rank", "group"], rows, notes, words=1))
    return tables


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Everything in the comparison, ready for JSON; what is not known is null."""
    return {
        "metric": comparison.metric,
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
            for pair in comparison.pairs
        ],
        "scores": [
            {**_stratum(stratum), "method": name, **_components(components)}
            for (stratum, name), components in comparison.scores.items()
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
            for (fraction, probe), (datasets, names, test) in comparison.ranks.items()
        ],
        "notes": comparison.notes,
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
    """A difference with its sign, and its interval in brackets where it has one."""
    text = f"{value:+.3f}"
    return text if math.isnan(low) else f"{text} [{low:+.3f}, {high:+.3f}]"


def _p(value: float) -> str:
    if math.isnan(value):
        return "?"
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"
