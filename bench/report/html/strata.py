"""Runs put together: configurations of runs that differ in draws and seeds alone, and strata.

A stratum holds the configurations that may be compared with each other.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from bench.core.errors import InputError
from bench.report.groups import Slot, grouped, labels_of, slot_of
from bench.report.html.collect import Arena, Run, values_of
from bench.report.summary import Cell, difference, mean_interval
from bench.results import Values, dataset_name
from bench.settings.identity import flat
from bench.settings.specs import canonical
from bench.settings.traits import traits
from bench.statistics.paired import Paired

_PLACE = ("fraction", "draw", "seed", "probe_seed", "score")  # parts of a spec
_SHOWN = 3  # settings that a name says before it ends in a count
BASELINE = "random_init"
"""The method that every other is compared with: the encoder before any training."""


@dataclass(frozen=True)
class Mean:
    """A mean over runs, with its interval over the choice of test tracks.

    Attributes:
        value: the mean.
        low: lower end of the interval; None without resamples.
        high: upper end of the interval.
    """

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Configuration:
    """The runs of one method with the same settings, on one arena, fraction and probe.

    Attributes:
        name: the method, and the settings that tell it from others of that method; unique in its
            stratum.
        method: name of the method.
        variant: the settings that stand behind the method in `name`; may be empty.
        key: everything in the spec but data set, fraction, draw and seeds; the same in every
            stratum.
        runs: the runs.
        scores: metric -> mean over the runs.
        above: paired difference of mAP to the untrained encoder's runs of the same draws and seeds;
            None without them.
    """

    name: str
    method: str
    variant: str
    key: str
    runs: tuple[Run, ...]
    scores: dict[str, Mean]
    above: Paired | None


@dataclass(frozen=True)
class Stratum:
    """Configurations that may be compared with each other.

    Attributes:
        arena: the arena, with the same test tracks.
        fraction: fraction of the labels.
        labels: how the labelled tracks were drawn.
        probe: kind of the probe.
        rows: the configurations, the highest mAP first.
    """

    arena: Arena
    fraction: float
    labels: str
    probe: str
    rows: tuple[Configuration, ...]


def strata(arena: Arena, runs: Sequence[Run]) -> Iterator[Stratum]:
    """The strata of an arena, the largest fraction first."""

    def kind(run: Run) -> tuple[float, str, str]:
        spec = run.result.spec
        return spec.fraction, labels_of(run.result), spec.probe.kind

    by_kind = grouped(runs, kind)
    for fraction, labels, probe in sorted(by_kind, key=lambda key: (-key[0], *key[1:])):
        rows = _configurations(by_kind[fraction, labels, probe])
        yield Stratum(arena, fraction, labels, probe, tuple(rows))


def _configurations(runs: Sequence[Run]) -> list[Configuration]:
    """The configurations of one stratum, the highest mAP first."""
    by_key = grouped(runs, _key)
    variants = _variants({key: several[0] for key, several in by_key.items()})
    cells = {key: _cells(several) for key, several in by_key.items()}
    rows = []
    for key, several in by_key.items():
        method, variant = several[0].result.spec.method.name, variants[key]
        baselines = [cells[other] for other in by_key if _is_baseline(by_key[other][0], several[0])]
        rows.append(
            Configuration(
                f"{method} ({variant})" if variant else method,
                method,
                variant,
                key,
                tuple(several),
                _scores(cells[key]),
                _above(cells[key], baselines),
            )
        )
    return sorted(
        rows,
        key=lambda row: (
            -row.scores["map_macro"].value if "map_macro" in row.scores else 0,
            row.name,
        ),
    )


def _key(run: Run) -> str:
    """Everything in a run's spec but data set, fraction, draw and seeds, as text.

    Pretraining on the probed data set is one word, the same for every data set.
    """
    spec = run.result.spec
    kept = spec.model_dump(mode="json", exclude={*_PLACE, "dataset"})
    kept["labels"].pop("subset", None)
    if spec.pretrain_dataset == spec.dataset:
        kept["pretrain_dataset"] = "same"
    return canonical(kept)


def _variants(first: dict[str, Run]) -> dict[str, str]:
    """The settings that tell each configuration from the others of its method.

    Args:
        first: key of a configuration -> its first run.

    Returns:
        Key of a configuration -> its settings in words; "" for the only one of a method.
    """
    hidden = {*_PLACE, "dataset"}
    settings = {
        key: flat(run.result.spec.model_dump(mode="json", exclude=hidden))
        for key, run in first.items()
    }
    variants: dict[str, str] = {}
    for keys in grouped(first, lambda key: first[key].result.spec.method.name).values():
        variants |= _words({key: settings[key] for key in keys})
    return variants


def _words(settings: dict[str, dict[str, Any]]) -> dict[str, str]:
    """The variants of one method in words that tell them apart.

    Args:
        settings: key of a configuration -> its settings by dotted name.
    """
    differing = [
        name
        for name in sorted({name for values in settings.values() for name in values})
        if name != "labels.subset"
        and len({canonical(values.get(name)) for values in settings.values()}) > 1
    ]
    # Another encoder or data set brings other settings: its name says enough.
    sections = tuple(name.removesuffix("name") for name in differing if name.endswith(".name"))
    shorter = [
        name for name in differing if name.endswith(".name") or not name.startswith(sections)
    ]
    texts: dict[str, str] = {}
    for names in (shorter, differing):
        texts = {key: _listed(values, names) for key, values in settings.items()}
        if len(set(texts.values())) == len(texts):
            break
    count = Counter(texts.values())
    return {
        key: text if count[text] == 1 else f"{text}, variant {number}"
        for number, (key, text) in enumerate(texts.items(), 1)
    }


def _listed(settings: dict[str, Any], names: Sequence[str]) -> str:
    """Some settings with their values; of many the first, and how many more there are."""
    words = [
        f"{name.removesuffix('.name')}={_word(settings.get(name, 'default'))}" for name in names
    ]
    more = [f"and {len(words) - _SHOWN} more"] if len(words) > _SHOWN + 1 else []
    return ", ".join(words[:_SHOWN] + more if more else words)


def _word(value: Any) -> str:
    """A value as a name shows it."""
    return dataset_name(value) if isinstance(value, str) else canonical(value)


def _cells(runs: Sequence[Run]) -> dict[Slot, Cell]:
    """Runs with their arrays by slot, all cut to the number of resamples that every run has."""
    loaded = list(values_of(runs))
    counts = [len(column) for _, values in loaded for column in values.resampled.values()]
    shared = min(counts, default=0)
    return {slot_of(run.result): Cell(run.result, _cut(values, shared)) for run, values in loaded}


def _cut(values: Values, resamples: int) -> Values:
    return replace(
        values, resampled={name: column[:resamples] for name, column in values.resampled.items()}
    )


def _scores(cells: dict[Slot, Cell]) -> dict[str, Mean]:
    """Means of the metrics that every run has."""
    group = list(cells.values())
    means = {}
    for metric in group[0].result.metrics:
        if all(metric in cell.result.metrics for cell in group):
            low, high = (_known(end) for end in mean_interval(group, metric))
            value = sum(cell.result.metrics[metric].value for cell in group) / len(group)
            means[metric] = Mean(value, low, high)
    return means


def _known(value: float) -> float | None:
    return value if value == value else None  # not NaN


def _is_baseline(run: Run, of: Run) -> bool:
    """Whether a run is that of another's untrained encoder, with the same probe.

    A method that is its own encoder is compared with any untrained encoder.
    """
    spec, other = run.result.spec, of.result.spec
    if spec.method.name != BASELINE or other.method.name == BASELINE:
        return False
    return spec.probe == other.probe and (
        spec.encoder == other.encoder or _own_encoder(other.method.name)
    )


@cache
def _own_encoder(method: str) -> bool:
    """Whether a method is its own encoder."""
    try:
        return traits(method).encoder is not None
    except InputError:  # a plug-in that is not here
        return False


def _above(mine: dict[Slot, Cell], baselines: Sequence[dict[Slot, Cell]]) -> Paired | None:
    """The difference of mAP to the untrained encoder.

    None unless exactly one of the baselines has every draw and seed of a configuration, with the
    same labelled tracks.
    """
    complete = [cells for cells in baselines if set(mine) <= set(cells)]
    if len(complete) != 1:
        return None
    pairs = [(cell, complete[0][slot]) for slot, cell in mine.items()]
    if any(cell.result.probe["subset"] != other.result.probe["subset"] for cell, other in pairs):
        return None
    if any("map_macro" not in cell.result.metrics for pair in pairs for cell in pair):
        return None
    return difference([cell for cell, _ in pairs], [other for _, other in pairs], "map_macro")
