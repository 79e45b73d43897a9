"""Series: the cells that one curve, strip or row of a table shows, and their share of the labels.

The cells of one place and setting are sorted into series, one for each method. Where the cells of
a method differ in something else than draw and seeds (such as `train.steps`), each variant is a
series of its own, named after what differs.
"""

from collections.abc import Sequence
from typing import Any

from bench.report.groups import grouped
from bench.report.setting import pretrain_of, probe_of
from bench.results import Result
from bench.settings.identity import flat

_NOT_SETTINGS = {
    "fraction",
    "draw",
    "seed",
    "probe_seed",
    "score",
    "dataset",
    "pretrain_dataset",
    "recipe",
}
"""Parts of a spec that figures run over, or that `settings_of` names in its own way."""
_NOT_COMPARED = {
    "probe.memory_mb",
    "train.checkpoint_seconds",
    "encoder.name",
    "method.name",
    "probe.kind",
}
"""Settings that change no number, or that `settings_of` names in its own way."""

Series = dict[str, dict[float, list[Result]]]
"""Name of the series -> fraction of the labels -> its cells (draws and seeds)."""


def series(results: Sequence[Result]) -> Series:
    """Cells of one place and setting by series and by fraction, both sorted."""
    names = series_names(results)
    by_name = grouped(results, lambda result: names[result.cell])
    return {
        name: dict(sorted(grouped(by_name[name], lambda result: result.spec.fraction).items()))
        for name in sorted(by_name)
    }


def series_names(results: Sequence[Result]) -> dict[str, str]:
    """Cell -> name of its series: the method, and the settings in which its cells differ."""
    names = {}
    for method, alike in grouped(results, lambda result: result.spec.method.name).items():
        # Most cells of a method differ in draw and seed alone: each distinct spec is flattened
        # once.
        keys = {result.cell: _key(result) for result in alike}
        examples = {keys[result.cell]: result for result in alike}
        settings = {key: settings_of(result) for key, result in examples.items()}
        known = sorted({name for values in settings.values() for name in values})
        differing = [
            name
            for name in known
            if len({str(values.get(name)) for values in settings.values()}) > 1
        ]
        for cell, key in keys.items():
            what = ", ".join(f"{name}={settings[key].get(name)}" for name in differing)
            names[cell] = f"{method} ({what})" if what else method
    return names


def _key(result: Result) -> tuple[str, ...]:
    """Everything that `settings_of` depends on, as text."""
    spec = result.spec.model_dump_json(exclude=_NOT_SETTINGS)
    return spec, result.spec.recipe, pretrain_of(result), probe_of(result), result.convention


def settings_of(result: Result) -> dict[str, Any]:
    """The settings of a cell by dotted name.

    Left out are those that figures run over and those that change no number.
    """
    spec = result.spec
    values = {
        "recipe": spec.recipe,
        "encoder": spec.encoder.name,
        "pretrain_dataset": pretrain_of(result),
        "probe": probe_of(result),
        "convention": result.convention,
    }
    values |= flat(spec.model_dump(mode="json", exclude=_NOT_SETTINGS))
    return {name: value for name, value in values.items() if name not in _NOT_COMPARED}


def share_of(result: Result) -> float:
    """The share of the labels that a cell used, also where it was given as a number of tracks."""
    fraction = result.spec.fraction
    train = result.data.get("train_tracks") or 0
    return fraction if fraction <= 1 or not train else min(1.0, fraction / float(train))


def at_largest_share(results: Sequence[Result]) -> tuple[float, dict[str, list[Result]]]:
    """The cells that used most labels.

    Args:
        results: cells of one place and setting; at least one.

    Returns:
        (the largest share that any series has, the cells at that share by series).
    """
    by_series = series(results)
    largest = max(share_of(cells[0]) for row in by_series.values() for cells in row.values())
    at_share = {
        name: next((cells for cells in row.values() if share_of(cells[0]) == largest), [])
        for name, row in by_series.items()
    }
    return largest, {name: cells for name, cells in at_share.items() if cells}
