"""The grid of a sweep as cells: every combination of the axes that a recipe can make sense of, once.

What does not depend on the labelled tracks and seeds is resolved once for all cells that share it,
so that thousands of cells cost little.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core import registry
from bench.core.errors import InputError, unknown
from bench.settings.recipes import experiment
from bench.settings.resolve import Request, resolve
from bench.settings.specs import RunSpec, digest, is_csv
from bench.settings.traits import Traits, traits
from bench.sweep.read import Sweep
from bench.sweep.spec import AXES, AxesSpec, ExcludeSpec

MOST_CELLS = 100_000
"""Of a sweep: a slip of the keyboard in the axes is not to fill the memory."""


@dataclass(frozen=True)
class Cell:
    """One cell of a sweep.

    Attributes:
        id: digest of what is asked for, whatever the code.
        base: digest of the combination that it is one of; cells of one combination differ in what
            stands below.
        spec: what is computed.
        axes: its value on every axis of AXES, as the sweep file says it.
        group: cells of one group share their pretraining.
    """

    id: str
    base: str
    spec: RunSpec
    axes: tuple[Any, ...]
    group: str

    @property
    def label(self) -> str:
        """In words: what distinguishes it."""
        spec = self.spec
        named = f"{spec.method.name} {spec.encoder.name} {spec.probe.kind} f{spec.fraction:g} d{spec.draw} s{spec.seed}"
        return named + (f" p{spec.probe_seed}" if spec.probe_seed else "")


def cells(sweep: Sweep) -> list[Cell]:
    """Every cell of a sweep, in the order of its axes; one that several grids have, once.

    Raises:
        InputError: an unknown name, a setting that cannot be, or excludes that leave nothing or
            meet nothing.
    """
    spec = sweep.spec
    grids: list[tuple[tuple[str | int, ...], AxesSpec]] = [(("axes",), spec.axes)]
    for place, also in enumerate(spec.also):
        given = {name: getattr(also, name) for name in also.model_fields_set}
        grids.append((("also", place), spec.axes.model_copy(update=given)))
    found: dict[str, Cell] = {}
    used = [False] * len(spec.exclude)
    for where, axes in grids:
        _check_names(sweep, where, axes)
        for cell in _grid(sweep, axes, used):
            found.setdefault(cell.id, cell)
            if len(found) > MOST_CELLS:
                raise sweep.error(
                    f"more than {MOST_CELLS} cells: make several sweeps of it, with fewer values",
                    *where,
                )
    for place, met in enumerate(used):
        if not met:
            raise sweep.error(
                "this exclude meets no cell of the grid: which value has none?", "exclude", place
            )
    if not found:
        raise sweep.error("the excludes leave no cell: take one out", "exclude", 0)
    return list(found.values())


def _check_names(sweep: Sweep, where: tuple[str | int, ...], axes: AxesSpec) -> None:
    plugins = {"methods": "methods", "encoders": "encoders", "recipes": "recipes"}
    kinds = {**plugins, "datasets": "datasets", "pretrain_datasets": "datasets"}
    for axis, kind in kinds.items():
        for name in getattr(axes, axis) or ():
            own_file = name.endswith(".toml") if axis == "recipes" else is_csv(name)
            if axis == "pretrain_datasets" and name == "same":
                continue
            place = where if axis in sweep.spec.axes.model_fields_set or where[0] == "also" else ()
            if own_file and not Path(name).exists():
                raise sweep.error(
                    f"no such file: {name}; looked for from {Path.cwd()}", *place, axis
                )
            if not own_file and name not in registry.names(kind):
                raise sweep.error(
                    str(unknown(kind.removesuffix("s"), name, registry.names(kind))), *place, axis
                )


def _grid(sweep: Sweep, axes: AxesSpec, used: list[bool]) -> Iterator[Cell]:
    for recipe, dataset in itertools.product(axes.recipes, axes.datasets):
        published = experiment(recipe)
        methods = axes.methods or published.methods
        if not methods:
            raise sweep.error(f"recipe {recipe} names no methods: give methods", "axes")
        for method, encoder in itertools.product(methods, axes.encoders or (None,)):
            about = traits(method)
            if (
                about.encoder is not None
            ):  # a method that is its own encoder has one cell, whatever the axis says
                encoder = None
            kinds = axes.probes or (
                () if "kind" in sweep.spec.settings.get("probe", {}) else published.probes
            )
            for given, kind in itertools.product(axes.pretrain_datasets, (kinds or (None,))):
                # Where nothing is pretrained on other data, or the probe is the method's own, one
                # of an axis is all.
                if about.uses_labels and kind != (kinds or (None,))[0]:
                    continue
                pretrain = (
                    None
                    if given in ("same", dataset) or about.uses_labels or not about.trains
                    else given
                )
                if (
                    pretrain is None
                    and given not in ("same", dataset)
                    and given != axes.pretrain_datasets[0]
                ):
                    continue
                request = Request(
                    method, 1.0, recipe=recipe, dataset=dataset, pretrain_dataset=pretrain,
                    encoder=encoder, scale=sweep.spec.scale, overrides=_settings(sweep, kind),
                )  # fmt: skip
                try:
                    spec = resolve(request)
                except InputError as error:
                    raise located(sweep, error) from error
                shares = axes.fractions or published.fractions or (1.0,)
                draws = axes.draws or (1 if axes.fractions else published.draws)
                seeds = 1 if about.uses_labels else axes.probe_seeds
                named = (method, spec.encoder.name, recipe, dataset, given)
                yield from _points(
                    sweep, spec, about, named, shares, draws, axes.seeds, seeds, used
                )


def _points(
    sweep: Sweep, spec: RunSpec, about: Traits, named: tuple[str, ...], shares: tuple[float, ...],
    draws: int, seeds: tuple[int, ...], probe_seeds: int, used: list[bool],
) -> Iterator[Cell]:  # fmt: skip
    """The cells of one combination."""
    base = digest(spec)
    for share in shares:
        if share > 1 and not share.is_integer():
            raise sweep.error(
                f"fraction {share:g}: above 1 it must be a whole number of tracks",
                "axes",
                "fractions",
            )
    exclude = sweep.spec.exclude
    relevant = [(place, one) for place, one in enumerate(exclude) if _fits(one, named, AXES[:5])]
    relevant = [
        (place, one) for place, one in relevant if one.probe is None or spec.probe.kind in one.probe
    ]
    for seed in seeds:
        shared = group_key(spec, seed) if not about.uses_labels else ""
        for share in shares:
            for draw in range(draws if share != 1 else 1):
                group = shared or digest([base, seed, share, draw], 12)
                for probe_seed in range(probe_seeds):
                    axes = (*named, share, draw, seed, spec.probe.kind, probe_seed)
                    out = [place for place, one in relevant if _fits(one, axes, AXES)]
                    for place in out:
                        used[place] = True
                    if out:
                        continue
                    update = {
                        "fraction": share,
                        "draw": draw,
                        "seed": seed,
                        "probe_seed": probe_seed,
                    }
                    id_ = digest([base, share, draw, seed, probe_seed], 12)
                    yield Cell(id_, base, spec.model_copy(update=update), axes, group)


def _fits(exclude: ExcludeSpec, axes: tuple[Any, ...], names: tuple[str, ...]) -> bool:
    wanted = ((getattr(exclude, name), value) for name, value in zip(names, axes, strict=True))
    return all(values is None or value in values for values, value in wanted)


def group_key(spec: RunSpec, seed: int) -> str:
    """Digest of what a pretraining without labels depends on, before its data are prepared."""
    train = spec.train.model_dump(mode="json", exclude={"checkpoint_seconds"})
    parts: list[Any] = [spec.method, spec.encoder, spec.weights, seed, spec.pretrain_dataset]
    return digest([*parts, spec.views, spec.augment, train], 12)


def _settings(sweep: Sweep, kind: str | None) -> dict[str, dict[str, Any]]:
    settings = {section: dict(values) for section, values in sweep.spec.settings.items()}
    if kind is None:
        return settings
    if "kind" in settings.get("probe", {}):
        raise sweep.error(
            "probe.kind is given twice, here and by axes.probes", "settings", "probe", "kind"
        )
    return {**settings, "probe": {**settings.get("probe", {}), "kind": kind}}


def located(sweep: Sweep, error: InputError) -> InputError:
    """An error of the settings with the line where the one it names stands."""
    for name in re.findall(r"[a-z_]+(?:\.[a-z_]+)+|(?<=')[a-z_]+(?=')", str(error)):
        where = ("settings", *name.split("."))
        located = sweep.error(str(error), *where)
        if ", line " in str(located):
            return located
    return sweep.error(str(error))
