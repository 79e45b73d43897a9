"""`bench run`: flags in, cells computed or found, the table out."""

import json as json_module
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from bench.cli.flags import (
    Flag,
    Home,
    Plugins,
    Results,
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
from bench.core.errors import InputError
from bench.core.world import World

if TYPE_CHECKING:
    from bench.core.table import Table
    from bench.results import Result
    from bench.settings.resolve import Request
    from bench.settings.specs import RunSpec


_COST = Group("Budget and device", sort_key=1)


_LABELS = Group("Published label subsets", sort_key=1)


def run(
    *,
    method: str | None = None,
    fraction: str | None = None,
    draws: int | None = None,
    preset: Annotated[Literal["deezer", "clmr"] | None, Parameter(group=_LABELS)] = None,
    subset: Annotated[str | None, Parameter(group=_LABELS)] = None,
    dataset: str = "midiband",
    pretrain_dataset: str | None = None,
    exclude: Path | None = None,
    encoder: str | None = None,
    recipe: str = "quick",
    augment: str | None = None,
    weights: Path | None = None,
    probe: str | None = None,
    seed: str = "0",
    probe_seeds: int = 1,
    resamples: int | None = None,
    scale: Annotated[float, Parameter(group=_COST)] = 1.0,
    steps: Annotated[int | None, Parameter(group=_COST)] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], Parameter(group=_COST)] = "auto",
    tracks: Annotated[int | None, Parameter(group=_COST)] = None,
    seconds: Annotated[float | None, Parameter(group=_COST)] = None,
    home: Home = Path(".bench"),
    results: Results = Path("results"),
    plugins: Plugins = None,
    conventions: Flag = False,
    dry_run: Flag = False,
    json: Flag = False,
    track: Annotated[bool, Parameter(env_var="BENCH_TRACK", negative="")] = False,
) -> None:
    """Pretrain a method, probe it on a labelled fraction, score it with intervals.

    Every stage is stored, so that nothing is done twice: a killed run goes on from its last
    checkpoint, and a finished cell is printed at once. Any other setting is set by its dotted name,
    such as `--train.learning_rate 1e-3`, `--method.temperature 0.2`, `--augment.gain.probability
    0.5`, `--labels.scheme uniform` or `--probe.hidden 256`.

    Two GPUs pretrain together by `torchrun --nproc-per-node 2 -m bench run ...`; machines, by
    torchrun on each.

    Parameters
    ----------
    method
        Name of `bench list methods`; several with commas. A recipe with an experiment of its own
        needs none.
    fraction
        Share of the training tracks whose labels may be used, in (0, 1], or a number of tracks;
        several with commas: 0.01,0.1,259,1.0 (1.0, or the recipe's).
    draws
        How many draws of the labelled tracks (a fraction of 1 has but one) (1, or the recipe's).
    preset
        Fractions, draws and scheme of a published work: deezer (uniform; 1, 5, 10, 20 % in 4 draws,
        100 %), clmr (balanced over tags; 1 to 100 % of all tracks).
    subset
        Labelled tracks of `bench subsets import`, by hash; several with commas. In place of
        fraction and draws.
    dataset
        Name of `bench list datasets`, or a CSV with `path` and `label` or `tags` (| between tags),
        optionally `split`, `group`, `track_id`.
    pretrain_dataset
        Where to pretrain, if not on `--dataset`.
    exclude
        File of `bench data leaks --out`: tracks that are not pretrained on.
    encoder
        Name of `bench list encoders`, if not the recipe's.
    recipe
        Name of `bench list recipes`, or a TOML file.
    augment
        What is done to the views, if not what the recipe does: none, log_mel, clmr, clmr_v1,
        clmr_thesis, byol_a. Hear and see it with `bench listen`.
    weights
        File of `bench import`: what the encoder starts from. Without `--method` it is kept as it is
        and probed.
    probe
        What is trained on the frozen embeddings, if not the recipe's: linear, mlp, knn, or
        finetune, which trains the encoder on; several with commas.
    seed
        Of pretraining; several with commas.
    probe_seeds
        How many seeds of the probe.
    resamples
        Bootstrap resamples of the test tracks (1000); others than before need no training.
    scale
        Share of the recipe's budget of training, for a trial: 0.001 is a thousandth (probes keep a
        tenth of theirs).
    steps
        Optimiser steps of pretraining, if not the recipe's.
    device
        Where to train.
    tracks
        Size of a data set that is made, such as midiband (600).
    seconds
        Length of its tracks, in seconds (10).
    conventions
        Print the scores of the same logits under other conventions too (always where test tracks
        have no tag).
    dry_run
        Say what would be done and what is already there; do nothing.
    json
        Print one JSON document with all rows on standard output, everything else on standard error.
    track
        Mirror finished cells into MLflow: `mlflow.db` here, or MLFLOW_TRACKING_URI.
    """
    from bench.core.store import Store
    from bench.results import find
    from bench.settings.recipes import experiment
    from bench.settings.resolve import Request, resolve
    from bench.settings.traits import traits
    from bench.stages.keys import Keys

    begin(plugins)
    world = World.from_environment()
    if world.rank:
        _assist(world, store=Store(home), results=results, device=device)
        return
    flags = {
        ("dataset", "tracks"): tracks,
        ("dataset", "seconds"): seconds,
        ("train", "steps"): steps,
        ("augment", "name"): augment,
        ("score", "resamples"): resamples,
        ("views", "exclude"): exclusion_hash(exclude, home) if exclude else None,
    }
    settings = with_flags(overrides, flags)
    start = ""
    if weights is not None:
        start, encoder, settings = imported_weights(weights, encoder, settings, home)
        method = method or "imported"
    if not 1 <= probe_seeds <= 1000:
        raise InputError(f"--probe-seeds {probe_seeds}: give 1 to 1000")
    if not 0 < scale < float("inf"):
        raise InputError(f"--scale {scale:g}: give a number above 0, such as 0.001")
    store = Store(home)
    published = experiment(recipe)
    if fraction is None and preset is None and subset is None:
        fraction = ",".join(f"{share:g}" for share in published.fractions) or None
        draws = published.draws if draws is None and fraction else draws
    sets = labelled_sets(fraction, draws, preset, subset, settings, store.home)
    requests = [
        Request(
            one, share, draw, pretraining_seed, probe_seed, recipe, dataset, pretrain_dataset,
            encoder, start, scale, {**with_probe(settings, kind), "labels": {**settings.get("labels", {}), **labels}},
        )
        for one in method_names(method if method is not None else ",".join(published.methods))
        for pretraining_seed in seeds(seed)
        for kind in probe_kinds(probe, one, published, settings)
        for share, draw, labels in sets
        for probe_seed in range(1 if traits(one).uses_labels else probe_seeds)
    ]  # fmt: skip
    specs = [resolve(request) for request in requests]
    if dry_run:
        _print_plan(specs, store, results, as_json=json)
        return
    known = [
        find(results, spec, keys.cell) if (keys := Keys(spec, store)).known else None
        for spec in specs
    ]
    missing = [index for index, stored in enumerate(known) if stored is None]
    _check([specs[index] for index in missing], store, results)
    found = {index: stored for index, stored in enumerate(known) if stored is not None}
    found |= _compute({index: specs[index] for index in missing}, store, results, device, world)
    _finish(
        requests,
        [found[index] for index in range(len(specs))],
        store,
        results,
        as_json=json,
        track=track,
        always=conventions,
    )


def _check(missing: "list[RunSpec]", store: Any, results: Path) -> None:
    """Finds what is wrong with any of the cells to be computed before the first of them is."""
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
    specs: "dict[int, RunSpec]", store: Any, results: Path, device: str, world: World
) -> "dict[int, Result]":
    """The results of cells that are not stored yet, by their index."""
    if not specs and world.size == 1:  # other processes wait to be told that there is nothing to do
        return {}
    from bench.core.progress import say
    from bench.stages.pretrain.processes import joined
    from bench.stages.run import run as run_cells
    from bench.stages.session import Place

    indices, found = list(specs), {}
    with joined(world, device) as processes:
        for place, result in run_cells(
            list(specs.values()), Place(store, results, device, processes=processes)
        ):
            found[indices[place]] = result
            spec, score = result.spec, result.metrics["map_macro"].value
            say(
                f"{spec.method.name}, fraction {spec.fraction:g}, draw {spec.draw}: mAP {score:.3f}"
            )
    return found


def _assist(world: World, store: Any, results: Path, device: str) -> None:
    """Takes part in what process 0 pretrains; it does, prints and writes all else."""
    from bench.stages.pretrain.processes import joined
    from bench.stages.run import assist
    from bench.stages.session import Place

    with joined(world, device) as processes:
        assist(Place(store, results, device, processes=processes))


def _finish(
    requests: "list[Request]", found: "list[Result]", store: Any, results: Path, *, as_json: bool, track: bool,
    always: bool,
) -> None:  # fmt: skip
    """Prints the rows or the table, names the files, mirrors."""
    from bench.core.progress import say
    from bench.core.table import show
    from bench.report.summary import by_convention
    from bench.results import path_of

    table = _summary(requests, found, store, results)
    files = [str(path_of(results, result)) for result in found]
    if as_json:
        rows = [row for result in found for row in result.rows()]
        others = [row for result in found for row in result.other_rows()]
        print(
            json_module.dumps({"rows": rows, "other_conventions": others, "files": files}, indent=1)
        )
        for note in table.notes:
            say(note)
    else:
        show(table)
        untagged = any("untagged" in name for result in found for name in result.conventions)
        other = by_convention(found) if always or untagged else None
        if other:
            print("\nthe same logits under other conventions:")
            show(other)
        print("\nresults:\n" + "\n".join(f"  {name}" for name in files), flush=True)
    if track:
        from bench.tracking.mirror import mirror

        say(
            f"mirrored {len(found)} cells into MLflow at {mirror(found, results, store.home)}; look with: mlflow ui"
        )


def _summary(
    requests: "list[Request]", found: "list[Result]", store: Any, results: Path
) -> "Table":
    from bench.report.summary import Cell, read_cell, summarise
    from bench.results import find
    from bench.settings.resolve import resolve, untrained
    from bench.stages.keys import Keys

    groups: dict[tuple[str, str, str, float], list[tuple[Request, Cell]]] = {}
    for request, result in zip(requests, found, strict=True):
        key = (
            request.method,
            result.protocol["probe"],
            result.spec.labels.subset,
            request.fraction,
        )
        groups.setdefault(key, []).append((request, read_cell(results, result)))
    baselines: list[list[Cell] | None] = []
    for group in groups.values():
        cells = []
        for request, _ in group:
            spec = resolve(untrained(request))
            keys = Keys(spec, store)
            stored = find(results, spec, keys.cell) if keys.known else None
            cells += [read_cell(results, stored)] if stored else []
        baselines.append(cells if len(cells) == len(group) else None)
    return summarise([[cell for _, cell in group] for group in groups.values()], baselines)


def _print_plan(specs: "list[RunSpec]", store: Any, results: Path, *, as_json: bool) -> None:
    from bench.stages.keys import states
    from bench.stages.session import check

    rows = []
    for spec in specs:
        check(spec)
        for stage, state in states(spec, store, results):
            rows.append(
                {
                    "method": spec.method.name,
                    "fraction": spec.fraction,
                    "draw": spec.draw,
                    "seed": spec.seed,
                    "probe_seed": spec.probe_seed,
                    "stage": stage,
                    "state": state,
                }
            )
    if as_json:
        print(
            json_module.dumps(
                {"plan": rows, "specs": [spec.model_dump(mode="json") for spec in specs]}, indent=1
            )
        )
        return
    from bench.core.table import Table, show

    texts = [[str(value) for value in row.values()] for row in rows]
    columns = ["method", "fraction", "draw", "seed", "probe seed", "stage", "state"]
    show(Table(columns, texts, ["nothing was done (--dry-run)"]))
