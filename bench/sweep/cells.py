"""The grid of a sweep as cells: every combination of the axes that a recipe allows, once.

What does not depend on the labelled tracks and the seeds is resolved once for all cells that share
it, so that thousands of cells cost little time.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core import registry
from bench.core.errors import InputError, unknown
from bench.settings.identity import pretraining_id
from bench.settings.recipes import experiment
from bench.settings.resolve import Request, resolve
from bench.settings.specs import ExperimentSpec, RunSpec, digest, is_csv
from bench.settings.traits import Traits, traits
from bench.sweep.read import Sweep
from bench.sweep.spec import AXES, AxesSpec, ExcludeSpec

MOST_CELLS = 100_000
"""The most cells of a sweep: a slip of the keyboard in the axes must not fill the memory."""
_OF_COMBINATION = AXES[:5]
"""The axes that name a combination: method, encoder, recipe, data set, pretraining data set."""


@dataclass(frozen=True)
class SweepCell:
    """One cell of a sweep.

    Attributes:
        id: digest of what is asked for, whatever code computes it.
        base: digest of the combination that the cell belongs to. The cells of a combination differ
            only in fraction, draw, seed and seed of the probe.
        spec: what is computed.
        axes: the cell's value on every axis of `AXES`, as the sweep file says it.
        group: name of the pretraining; cells of one group share it.
    """

    id: str
    base: str
    spec: RunSpec
    axes: tuple[Any, ...]
    group: str

    @property
    def label(self) -> str:
        """The cell in words, such as `vicreg resnet_small linear f0.1 d0 s0`."""
        spec = self.spec
        label = (
            f"{spec.method.name} {spec.encoder.name} {spec.probe.kind} "
            f"f{spec.fraction:g} d{spec.draw} s{spec.seed}"
        )
        return label + (f" p{spec.probe_seed}" if spec.probe_seed else "")


def cells(sweep: Sweep) -> list[SweepCell]:
    """Every cell of a sweep, in the order of its axes; a cell of several grids stands once.

    Args:
        sweep: the sweep as read from its file.

    Returns:
        The cells.

    Raises:
        InputError: an unknown name, an impossible setting, too many cells, or excludes that leave
            no cell or meet none.
    """
    spec = sweep.spec
    grids: list[tuple[tuple[str | int, ...], AxesSpec]] = [(("axes",), spec.axes)]
    for place, also in enumerate(spec.also):
        given = {name: getattr(also, name) for name in also.model_fields_set}
        grids.append((("also", place), spec.axes.model_copy(update=given)))
    by_id: dict[str, SweepCell] = {}
    used = [False] * len(spec.exclude)
    for where, axes in grids:
        _check_names(sweep, where, axes)
        for cell in _grid(sweep, axes, used):
            by_id.setdefault(cell.id, cell)
            if len(by_id) > MOST_CELLS:
                raise sweep.error(
                    f"more than {MOST_CELLS} cells: make several sweeps of it, with fewer values",
                    *where,
                )
    for place, met in enumerate(used):
        if not met:
            raise sweep.error(
                "this exclude meets no cell of the grid: which value has none?", "exclude", place
            )
    if not by_id:
        raise sweep.error("the excludes leave no cell: take one out", "exclude", 0)
    return list(by_id.values())


def _check_names(sweep: Sweep, where: tuple[str | int, ...], axes: AxesSpec) -> None:
    """Checks that every plug-in and file that the axes name is there.

    Args:
        sweep: the sweep, for the place of an error.
        where: section of the file that holds the axes.
        axes: the axes.
    """
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


def _grid(sweep: Sweep, axes: AxesSpec, used: list[bool]) -> Iterator[SweepCell]:
    """The cells of one grid.

    Args:
        sweep: the sweep.
        axes: axes of the grid.
        used: for each exclude, whether it has met a cell; set here.
    """
    for recipe, dataset in itertools.product(axes.recipes, axes.datasets):
        published = experiment(recipe)
        methods = axes.methods or published.methods
        if not methods:
            raise sweep.error(f"recipe {recipe} names no methods: give methods", "axes")
        for method, encoder in itertools.product(methods, axes.encoders or (None,)):
            yield from _of_method(sweep, axes, used, published, recipe, dataset, method, encoder)


def _of_method(
    sweep: Sweep,
    axes: AxesSpec,
    used: list[bool],
    published: ExperimentSpec,
    recipe: str,
    dataset: str,
    method: str,
    encoder: str | None,
) -> Iterator[SweepCell]:
    """The cells of a grid with one recipe, data set, method and encoder.

    Args:
        sweep: the sweep.
        axes: axes of the grid.
        used: for each exclude, whether it has met a cell; set here.
        published: the experiment of the recipe, for the axes that are left out.
        recipe: name of the recipe.
        dataset: the data set that is probed.
        method: name of the method.
        encoder: name of the encoder; None for the recipe's.
    """
    about = traits(method)
    if about.encoder is not None:
        encoder = None  # a method that is its own encoder has one cell, whatever the axis says
    given_twice = "kind" in sweep.spec.settings.get("probe", {})
    kinds = axes.probes or (() if given_twice else published.probes) or (None,)
    for given, kind in itertools.product(axes.pretrain_datasets, kinds):
        # A method that learns from labels is scored by its own classifier: one kind stands for all.
        if about.uses_labels and kind != kinds[0]:
            continue
        same = given in ("same", dataset)
        pretrain = None if same or about.uses_labels or not about.trains else given
        # Where nothing is pretrained on other data, one value of the axis stands for all.
        if pretrain is None and not same and given != axes.pretrain_datasets[0]:
            continue
        request = Request(
            method,
            1.0,
            recipe=recipe,
            dataset=dataset,
            pretrain_dataset=pretrain,
            encoder=encoder,
            scale=sweep.spec.scale,
            overrides=_settings(sweep, kind),
        )
        try:
            spec = resolve(request)
        except InputError as error:
            raise located(sweep, error) from error
        fractions = axes.fractions or published.fractions or (1.0,)
        draws = axes.draws or (1 if axes.fractions else published.draws)
        probe_seeds = 1 if about.uses_labels else axes.probe_seeds
        named = (method, spec.encoder.name, recipe, dataset, given)
        yield from _points(
            sweep, spec, about, named, fractions, draws, axes.seeds, probe_seeds, used
        )


def _points(
    sweep: Sweep,
    spec: RunSpec,
    about: Traits,
    named: tuple[str, ...],
    fractions: tuple[float, ...],
    draws: int,
    seeds: tuple[int, ...],
    probe_seeds: int,
    used: list[bool],
) -> Iterator[SweepCell]:
    """The cells of one combination: every fraction, draw, seed and seed of the probe.

    Args:
        sweep: the sweep.
        spec: what is computed, with any fraction, draw and seeds.
        about: traits of the method.
        named: values of the axes that the combination is made of (`_OF_COMBINATION`).
        fractions: shares of the labels, or numbers of labelled tracks.
        draws: how many draws of each fraction below 1.
        seeds: seeds of pretraining.
        probe_seeds: how many seeds of the probe.
        used: for each exclude, whether it has met a cell; set here.
    """
    base = digest(spec)
    _check_fractions(sweep, fractions)
    # Most excludes name other combinations; those are not asked again for every cell.
    relevant = [
        (place, exclude)
        for place, exclude in enumerate(sweep.spec.exclude)
        if _fits(exclude, named, _OF_COMBINATION)
        and (exclude.probe is None or spec.probe.kind in exclude.probe)
    ]
    for seed in seeds:
        shared = pretraining_id(spec.model_copy(update={"seed": seed}), uses_labels=False)
        for fraction in fractions:
            for draw in range(draws if fraction != 1 else 1):
                group = shared
                if about.uses_labels:
                    labelled = {"seed": seed, "fraction": fraction, "draw": draw}
                    group = pretraining_id(spec.model_copy(update=labelled), uses_labels=True)
                for probe_seed in range(probe_seeds):
                    axes = (*named, fraction, draw, seed, spec.probe.kind, probe_seed)
                    out = [place for place, exclude in relevant if _fits(exclude, axes, AXES)]
                    for place in out:
                        used[place] = True
                    if out:
                        continue
                    point = {"fraction": fraction, "draw": draw, "seed": seed}
                    point |= {"probe_seed": probe_seed}
                    id_ = digest([base, fraction, draw, seed, probe_seed], 12)
                    yield SweepCell(id_, base, spec.model_copy(update=point), axes, group)


def _check_fractions(sweep: Sweep, fractions: tuple[float, ...]) -> None:
    for fraction in fractions:
        if fraction > 1 and not fraction.is_integer():
            raise sweep.error(
                f"fraction {fraction:g}: above 1 it must be a whole number of tracks",
                "axes",
                "fractions",
            )


def _fits(exclude: ExcludeSpec, axes: tuple[Any, ...], names: tuple[str, ...]) -> bool:
    """Whether an exclude names a cell, as far as its values on some axes tell.

    Args:
        exclude: the exclude.
        axes: values of the cell.
        names: the axes that they are values on.
    """
    wanted = ((getattr(exclude, name), value) for name, value in zip(names, axes, strict=True))
    return all(values is None or value in values for values, value in wanted)


def _settings(sweep: Sweep, kind: str | None) -> dict[str, dict[str, Any]]:
    """The fixed settings of a sweep, with the kind of the probe where the axes give one."""
    settings = {section: dict(values) for section, values in sweep.spec.settings.items()}
    if kind is None:
        return settings
    if "kind" in settings.get("probe", {}):
        raise sweep.error(
            "probe.kind is given twice, here and by axes.probes", "settings", "probe", "kind"
        )
    return {**settings, "probe": {**settings.get("probe", {}), "kind": kind}}


def located(sweep: Sweep, error: InputError) -> InputError:
    """Adds to an error of the settings the line of the sweep file where the setting stands.

    Args:
        sweep: the sweep.
        error: the error; its message names the setting, such as `train.steps` or 'scale'.

    Returns:
        The error with file, line and column; with the file alone where no line is found.
    """
    for name in re.findall(r"[a-z_]+(?:\.[a-z_]+)+|(?<=')[a-z_]+(?=')", str(error)):
        where = ("settings", *name.split("."))
        placed = sweep.error(str(error), *where)
        if ", line " in str(placed):
            return placed
    return sweep.error(str(error))
