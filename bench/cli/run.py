"""`bench run`: computes the cells that the flags ask for, unless stored, and prints them all."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cli.flags import (
    begin,
    exclusion_hash,
    imported_weights,
    labelled_sets,
    method_names,
    overrides,
    probe_kinds,
    seeds,
    with_flags,
    with_probe,
)
from bench.cli.run_flags import Budget, Cells, Output
from bench.cli.run_output import print_plan, print_results
from bench.core.errors import InputError
from bench.core.world import World

if TYPE_CHECKING:
    from bench.core.store import Store
    from bench.results import Result
    from bench.settings.resolve import Request
    from bench.settings.specs import RunSpec

_ALL_CELLS, _ANY_BUDGET, _USUAL_OUTPUT = Cells(), Budget(), Output()


def run(
    *, cells: Cells = _ALL_CELLS, budget: Budget = _ANY_BUDGET, output: Output = _USUAL_OUTPUT
) -> None:
    """Pretrain a method, probe it on a labelled fraction, score it with intervals.

    Every stage is stored, so that nothing is done twice: a killed run goes on from its last
    checkpoint, and a finished cell is printed at once. Any other setting is set by its dotted name,
    such as `--train.learning_rate 1e-3`, `--method.temperature 0.2`, `--augment.gain.probability
    0.5`, `--labels.scheme uniform` or `--probe.hidden 256`.

    Two GPUs pretrain together by `torchrun --nproc-per-node 2 -m bench run ...`; machines, by
    torchrun on each.
    """
    from bench.core.store import Store
    from bench.settings.resolve import resolve
    from bench.stages.keys import Keys, stored_result

    begin(output.plugins)
    world, store = World.from_environment(), Store(output.home, fresh=output.fresh)
    if world.rank:
        _assist(world, store, output.results, budget.device)
        return
    requests = _requests(cells, budget, output.home)
    specs = [resolve(request) for request in requests]
    if output.dry_run:
        print_plan(specs, store, output)
        return
    stored = [stored_result(output.results, spec, Keys(spec, store), store) for spec in specs]
    missing = {index: specs[index] for index, result in enumerate(stored) if result is None}
    _check(list(missing.values()), store, output.results)
    computed = _compute(missing, store, output.results, budget.device, world)
    results = [result or computed[index] for index, result in enumerate(stored)]
    print_results(requests, results, store, output)


def _requests(cells: Cells, budget: Budget, home: Path) -> "list[Request]":
    """Every cell asked for: methods x seeds x probes x labelled sets x probe seeds.

    Raises:
        InputError: a flag has a value that it cannot have, or two contradict each other.
    """
    from bench.settings.recipes import experiment
    from bench.settings.resolve import Request
    from bench.settings.traits import traits

    if not 1 <= cells.probe_seeds <= 1000:
        raise InputError(f"--probe-seeds {cells.probe_seeds}: give 1 to 1000")
    if not 0 < budget.scale < float("inf"):
        raise InputError(f"--scale {budget.scale:g}: give a number above 0, such as 0.001")
    settings = with_flags(overrides, _flags(cells, budget, home))
    method, encoder, start = cells.method, cells.encoder, ""
    if cells.weights is not None:
        start, encoder, settings = imported_weights(cells.weights, encoder, settings, home)
        method = method or "imported"
    published = experiment(cells.recipe)
    fraction, draws = cells.fraction, cells.draws
    if fraction is None and cells.preset is None and cells.subset is None:
        fraction = ",".join(f"{share:g}" for share in published.fractions) or None
        draws = published.draws if draws is None and fraction else draws
    sets = labelled_sets(fraction, draws, cells.preset, cells.subset, settings, home)
    names = method_names(method if method is not None else ",".join(published.methods))
    return [
        Request(
            name, share, draw, seed, probe_seed, cells.recipe, cells.dataset,
            cells.pretrain_dataset, encoder, start, budget.scale,
            {**with_probe(settings, kind), "labels": {**settings.get("labels", {}), **labels}},
        )
        for name in names
        for seed in seeds(cells.seed)
        for kind in probe_kinds(cells.probe, name, published, settings)
        for share, draw, labels in sets
        for probe_seed in range(1 if traits(name).uses_labels else cells.probe_seeds)
    ]  # fmt: skip


def _flags(cells: Cells, budget: Budget, home: Path) -> dict[tuple[str, str], Any]:
    """Settings that have a flag of their own, by section and name."""
    return {
        ("dataset", "tracks"): budget.tracks,
        ("dataset", "seconds"): budget.seconds,
        ("train", "steps"): budget.steps,
        ("augment", "name"): cells.augment,
        ("score", "resamples"): cells.resamples,
        ("views", "exclude"): exclusion_hash(cells.exclude, home) if cells.exclude else None,
    }


def _check(missing: "list[RunSpec]", store: "Store", results: Path) -> None:
    """Checks all cells that are to be computed, before the first of them is."""
    if not missing:
        return
    from bench.core.progress import say
    from bench.core.store import require_writable

    require_writable(store.home, results)
    if sys.stderr.isatty():
        say("loading torch")  # seconds of silence otherwise, many of them on a cold disk
    from bench.stages.session import check

    for spec in missing:
        check(spec)


def _compute(
    specs: "dict[int, RunSpec]", store: "Store", results: Path, device: str, world: World
) -> "dict[int, Result]":
    """The results of cells that are not stored yet, by their index."""
    # Where other processes take part, they wait to be told that there is nothing to do.
    if not specs and world.size == 1:
        return {}
    from bench.core.progress import say
    from bench.stages.pretrain.processes import joined
    from bench.stages.run import run as run_cells
    from bench.stages.session import Place

    indices, computed = list(specs), {}
    with joined(world, device) as processes:
        place = Place(store, results, device, processes=processes)
        for number, result in run_cells(list(specs.values()), place):
            computed[indices[number]] = result
            spec, score = result.spec, result.metrics["map_macro"].value
            cell = f"{spec.method.name}, fraction {spec.fraction:g}, draw {spec.draw}"
            say(f"{cell}: mAP {score:.3f}")
    return computed


def _assist(world: World, store: "Store", results: Path, device: str) -> None:
    """Takes part in the pretraining of process 0, which does, prints and writes all else."""
    from bench.stages.assist import assist
    from bench.stages.pretrain.processes import joined
    from bench.stages.session import Place

    with joined(world, device) as processes:
        assist(Place(store, results, device, processes=processes))
