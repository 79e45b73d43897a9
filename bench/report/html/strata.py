"""Runs put together: a configuration is what differs in draws and seeds alone, a stratum what may be compared."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from bench.core.errors import InputError
from bench.report.html.collect import Arena, Run, values_of
from bench.report.summary import Cell, difference, mean_interval
from bench.results import Values, dataset_name
from bench.settings.identity import flat
from bench.settings.specs import canonical
from bench.settings.traits import traits
from bench.statistics.paired import Paired

_PLACE = ("fraction", "draw", "seed", "probe_seed", "score")
_SHOWN = 3  # settings that a name says before it ends in a count
BASELINE = "random_init"
"""What every method is held against: the encoder before any training."""


@dataclass(frozen=True)
class Score:
    """A mean over runs, with the interval over the choice of test tracks.

    None without resamples.
    """

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Configuration:
    """The runs of one method with the same settings, on one arena, fraction and probe.

    Attributes:
        name: of the method, and what tells it from the others of that method in the stratum; no
            other has it there.
        method: name of the method.
        variant: what stands behind the method in `name`; may be empty.
        key: of everything but data set, fraction, draw and seeds: the same in every stratum.
        runs: its runs.
        scores: metric -> mean over the runs.
        above: paired difference of mAP to the untrained encoder's runs of the same draws and seeds;
            None without them.
    """

    name: str
    method: str
    variant: str
    key: str
    runs: tuple[Run, ...]
    scores: dict[str, Score]
    above: Paired | None


@dataclass(frozen=True)
class Stratum:
    """Configurations that may be compared with each other.

    Attributes:
        arena: their test tracks.
        fraction: of the labels.
        labels: how the labelled tracks were drawn.
        probe: kind of the probe.
        rows: the configurations, best mAP first.
    """

    arena: Arena
    fraction: float
    labels: str
    probe: str
    rows: tuple[Configuration, ...]


def strata(arena: Arena, runs: Sequence[Run]) -> Iterator[Stratum]:
    """The strata of an arena, the largest fraction first."""
    found: dict[tuple[float, str, str], list[Run]] = {}
    for run in runs:
        spec = run.result.spec
        labels = "imported" if spec.labels.subset else str(run.result.protocol["labels"])
        found.setdefault((spec.fraction, labels, spec.probe.kind), []).append(run)
    for fraction, labels, probe in sorted(found, key=lambda key: (-key[0], *key[1:])):
        rows = _configurations(found[fraction, labels, probe])
        yield Stratum(arena, fraction, labels, probe, tuple(rows))


def _configurations(runs: Sequence[Run]) -> list[Configuration]:
    by_key: dict[str, list[Run]] = {}
    for run in runs:
        by_key.setdefault(_key(run), []).append(run)
    variants = _variants({key: several[0] for key, several in by_key.items()})
    cells = {key: _cells(several) for key, several in by_key.items()}
    rows = []
    for key, several in by_key.items():
        method, variant = several[0].result.spec.method.name, variants[key]
        rows.append(
            Configuration(
                f"{method} ({variant})" if variant else method,
                method,
                variant,
                key,
                tuple(several),
                _scores(cells[key]),
                _above(
                    cells[key],
                    [
                        cells[other]
                        for other in by_key
                        if _is_baseline(by_key[other][0], several[0])
                    ],
                ),
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
    """Everything in a spec but data set, fraction, draw and seeds.

    Pretraining on the probed data set is one word.
    """
    spec = run.result.spec
    kept = spec.model_dump(mode="json", exclude={*_PLACE, "dataset"})
    kept["labels"].pop("subset", None)
    if spec.pretrain_dataset == spec.dataset:
        kept["pretrain_dataset"] = "same"
    return canonical(kept)


def _variants(first: dict[str, Run]) -> dict[str, str]:
    """The settings that tell each configuration from the others of its method.

    Empty where it is the only one.
    """
    hidden = {*_PLACE, "dataset"}
    given = {
        key: flat(run.result.spec.model_dump(mode="json", exclude=hidden))
        for key, run in first.items()
    }
    methods: dict[str, list[str]] = {}
    for key, run in first.items():
        methods.setdefault(run.result.spec.method.name, []).append(key)
    found = dict.fromkeys(first, "")
    for keys in methods.values():
        differing = [
            name
            for name in sorted({name for key in keys for name in given[key]})
            if name != "labels.subset"
            and len({canonical(given[key].get(name)) for key in keys}) > 1
        ]
        # Another encoder or data set brings other settings: its name says enough.
        named = [name.removesuffix("name") for name in differing if name.endswith(".name")]
        told = [
            name
            for name in differing
            if name.endswith(".name") or not name.startswith(tuple(named))
        ]
        for names in (told, differing):
            texts = {key: _told(given[key], names) for key in keys}
            if len(set(texts.values())) == len(keys):
                break
        for number, key in enumerate(keys):
            alone = list(texts.values()).count(texts[key]) == 1
            found[key] = texts[key] if alone else f"{texts[key]}, variant {number + 1}"
    return found


def _told(settings: dict[str, Any], names: Sequence[str]) -> str:
    words = [
        f"{name.removesuffix('.name')}={_word(settings.get(name, 'default'))}" for name in names
    ]
    more = [f"and {len(words) - _SHOWN} more"] if len(words) > _SHOWN + 1 else []
    return ", ".join(words[:_SHOWN] + more if more else words)


def _word(value: Any) -> str:
    return dataset_name(value) if isinstance(value, str) else canonical(value)


def _cells(runs: Sequence[Run]) -> dict[tuple[str, int, int, int], Cell]:
    """Runs with their arrays, by draw and seeds.

    Where some have more resamples, the first that all have.
    """
    loaded = [(run, values) for run, values in values_of(runs)]
    counts = [len(column) for _, values in loaded for column in values.resampled.values()]
    shared = min(counts, default=0)
    found = {}
    for run, values in loaded:
        spec = run.result.spec
        place = (spec.labels.subset, spec.draw, spec.seed, spec.probe_seed)
        found[place] = Cell(run.result, _cut(values, shared))
    return found


def _cut(values: Values, resamples: int) -> Values:
    return replace(
        values, resampled={name: column[:resamples] for name, column in values.resampled.items()}
    )


def _scores(cells: dict[tuple[str, int, int, int], Cell]) -> dict[str, Score]:
    """Means of the metrics that every run has."""
    group = list(cells.values())
    found = {}
    for metric in group[0].result.metrics:
        if all(metric in cell.result.metrics for cell in group):
            low, high = (_known(end) for end in mean_interval(group, metric))
            value = sum(cell.result.metrics[metric].value for cell in group) / len(group)
            found[metric] = Score(value, low, high)
    return found


def _known(value: float) -> float | None:
    return value if value == value else None  # not NaN


def _is_baseline(run: Run, of: Run) -> bool:
    """Whether a run is of the untrained encoder of another.

    A method that is its own encoder has the usual one.
    """
    spec, other = run.result.spec, of.result.spec
    if spec.method.name != BASELINE or other.method.name == BASELINE:
        return False
    return spec.probe == other.probe and (
        spec.encoder == other.encoder or _own_encoder(other.method.name)
    )


@cache
def _own_encoder(method: str) -> bool:
    try:
        return traits(method).encoder is not None
    except InputError:  # a plug-in that is not here
        return False


def _above(
    mine: dict[tuple[str, int, int, int], Cell],
    baselines: Sequence[dict[tuple[str, int, int, int], Cell]],
) -> Paired | None:
    """The difference to the one untrained encoder that has every draw and seed of a configuration."""
    complete = [cells for cells in baselines if set(mine) <= set(cells)]
    if len(complete) != 1:
        return None
    pairs = [(cell, complete[0][place]) for place, cell in mine.items()]
    if any(cell.result.probe["subset"] != other.result.probe["subset"] for cell, other in pairs):
        return None
    if any("map_macro" not in cell.result.metrics for pair in pairs for cell in pair):
        return None
    return difference([cell for cell, _ in pairs], [other for _, other in pairs], "map_macro")
