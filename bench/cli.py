"""The command `bench`: flags in, one call out. Nothing heavy is imported before a command runs."""

import json as json_module
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Group, Parameter

from bench import (
    __version__,
    cli_data,
    cli_export,
    cli_figures,
    cli_listen,
    cli_report,
    cli_robustness,
    cli_scores,
    cli_sweep,
    cli_track,
    cli_weights,
)
from bench.cli_flags import (
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
    split_overrides,
    with_flags,
    with_probe,
)
from bench.errors import InputError, LostProcessError
from bench.progress import interruptible
from bench.world import World, end_process

if TYPE_CHECKING:
    from bench.config import RunSpec
    from bench.plan import Request
    from bench.results import Result
    from bench.table import Table

app = App(
    name="bench",
    version=__version__,
    suppress_keyboard_interrupt=False,
    help="""Compare self-supervised pretext tasks for music tagging under one protocol.

    First score, from nothing, on music that the project makes itself: `bench run --method vicreg --fraction 0.1`.
    What there is to compare: `bench list methods`. When something does not work: `bench doctor`.""",
)
app.command(cli_scores.compare)
app.command(cli_scores.rescore)
app.command(cli_robustness.robustness)
app.command(cli_scores.subsets)
app.command(cli_data.data)
app.command(cli_weights.import_, name="import")
app.command(cli_export.export)
app.command(cli_export.embed)
app.command(cli_listen.listen)
app.command(cli_report.report)
app.command(cli_figures.figures)
app.command(cli_figures.table)
app.command(cli_track.track)
for _command in (cli_sweep.sweep, cli_sweep.status, cli_sweep.logs, cli_sweep.cancel):
    app.command(_command)

_COST = Group("Budget and device", sort_key=1)
_LABELS = Group("Published label subsets", sort_key=1)
_TAKE_SETTINGS = (["run"], ["rescore"], ["subsets"], ["data"], ["import"], ["listen"])


@app.command
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

    Every stage is stored, so that nothing is done twice: a killed run goes on from its last checkpoint, and a finished
    cell is printed at once. Any other setting is set by its dotted name, such as `--train.learning_rate 1e-3`,
    `--method.temperature 0.2`, `--augment.gain.probability 0.5`, `--labels.scheme uniform` or `--probe.hidden 256`.

    Two GPUs pretrain together by `torchrun --nproc-per-node 2 -m bench run ...`; machines, by torchrun on each.

    Parameters
    ----------
    method
        Name of `bench list methods`; several with commas. A recipe with an experiment of its own needs none.
    fraction
        Share of the training tracks whose labels may be used, in (0, 1], or a number of tracks; several with commas:
        0.01,0.1,259,1.0 (1.0, or the recipe's).
    draws
        How many draws of the labelled tracks (a fraction of 1 has but one) (1, or the recipe's).
    preset
        Fractions, draws and scheme of a published work: deezer (uniform; 1, 5, 10, 20 % in 4 draws, 100 %), clmr
        (balanced over tags; 1 to 100 % of all tracks).
    subset
        Labelled tracks of `bench subsets import`, by hash; several with commas. In place of fraction and draws.
    dataset
        Name of `bench list datasets`, or a CSV with `path` and `label` or `tags` (| between tags), optionally
        `split`, `group`, `track_id`.
    pretrain_dataset
        Where to pretrain, if not on `--dataset`.
    exclude
        File of `bench data leaks --out`: tracks that are not pretrained on.
    encoder
        Name of `bench list encoders`, if not the recipe's.
    recipe
        Name of `bench list recipes`, or a TOML file.
    augment
        What is done to the views, if not what the recipe does: none, log_mel, clmr, clmr_v1, clmr_thesis, byol_a. Hear
        and see it with `bench listen`.
    weights
        File of `bench import`: what the encoder starts from. Without `--method` it is kept as it is and probed.
    probe
        What is trained on the frozen embeddings, if not the recipe's: linear, mlp, knn, or finetune, which trains the
        encoder on; several with commas.
    seed
        Of pretraining; several with commas.
    probe_seeds
        How many seeds of the probe.
    resamples
        Bootstrap resamples of the test tracks (1000); others than before need no training.
    scale
        Share of the recipe's budget of training, for a trial: 0.001 is a thousandth (probes keep a tenth of theirs).
    steps
        Optimiser steps of pretraining, if not the recipe's.
    device
        Where to train.
    tracks
        Size of a data set that is made, such as midiband (600).
    seconds
        Length of its tracks, in seconds (10).
    conventions
        Print the scores of the same logits under other conventions too (always where test tracks have no tag).
    dry_run
        Say what would be done and what is already there; do nothing.
    json
        Print one JSON document with all rows on standard output, everything else on standard error.
    track
        Mirror finished cells into MLflow: `mlflow.db` here, or MLFLOW_TRACKING_URI.
    """
    from bench import plan
    from bench.recipe import experiment
    from bench.results import find
    from bench.store import Store

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
        plan.Request(
            one, share, draw, pretraining_seed, probe_seed, recipe, dataset, pretrain_dataset, encoder, start, scale,
            {**with_probe(settings, kind), "labels": {**settings.get("labels", {}), **labels}},
        )
        for one in method_names(method if method is not None else ",".join(published.methods))
        for pretraining_seed in seeds(seed)
        for kind in probe_kinds(probe, one, published, settings)
        for share, draw, labels in sets
        for probe_seed in range(1 if plan.traits(one).uses_labels else probe_seeds)
    ]  # fmt: skip
    specs = [plan.resolve(request) for request in requests]
    if dry_run:
        _print_plan(specs, store, results, as_json=json)
        return
    known = [find(results, spec, keys.cell) if (keys := plan.Keys(spec, store)).known else None for spec in specs]
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
    from bench.progress import say
    from bench.store import require_writable

    require_writable(store.home, results)
    if sys.stderr.isatty():
        say("loading torch")  # seconds of silence otherwise, many of them on a cold disk
    from bench.run import check

    for spec in missing:
        check(spec)


def _compute(specs: "dict[int, RunSpec]", store: Any, results: Path, device: str, world: World) -> "dict[int, Result]":
    """The results of cells that are not stored yet, by their index."""
    if not specs and world.size == 1:  # other processes wait to be told that there is nothing to do
        return {}
    from bench.progress import say
    from bench.run import Place
    from bench.run import run as run_cells
    from bench.train.processes import joined

    indices, found = list(specs), {}
    with joined(world, device) as processes:
        for place, result in run_cells(list(specs.values()), Place(store, results, device, processes=processes)):
            found[indices[place]] = result
            spec, score = result.spec, result.metrics["map_macro"].value
            say(f"{spec.method.name}, fraction {spec.fraction:g}, draw {spec.draw}: mAP {score:.3f}")
    return found


def _assist(world: World, store: Any, results: Path, device: str) -> None:
    """Takes part in what process 0 pretrains; it does, prints and writes all else."""
    from bench.run import Place, assist
    from bench.train.processes import joined

    with joined(world, device) as processes:
        assist(Place(store, results, device, processes=processes))


def _finish(
    requests: "list[Request]", found: "list[Result]", store: Any, results: Path, *, as_json: bool, track: bool,
    always: bool,
) -> None:  # fmt: skip
    """Prints the rows or the table, names the files, mirrors."""
    from bench.progress import say
    from bench.report.summary import by_convention
    from bench.results import path_of
    from bench.table import show

    table = _summary(requests, found, store, results)
    files = [str(path_of(results, result)) for result in found]
    if as_json:
        rows = [row for result in found for row in result.rows()]
        others = [row for result in found for row in result.other_rows()]
        print(json_module.dumps({"rows": rows, "other_conventions": others, "files": files}, indent=1))
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
        from bench.tracking import mirror

        say(f"mirrored {len(found)} cells into MLflow at {mirror(found, results, store.home)}; look with: mlflow ui")


def _summary(requests: "list[Request]", found: "list[Result]", store: Any, results: Path) -> "Table":
    from bench import plan
    from bench.report.summary import Cell, read_cell, summarise
    from bench.results import find

    groups: dict[tuple[str, str, str, float], list[tuple[Request, Cell]]] = {}
    for request, result in zip(requests, found, strict=True):
        key = (request.method, result.protocol["probe"], result.spec.labels.subset, request.fraction)
        groups.setdefault(key, []).append((request, read_cell(results, result)))
    baselines: list[list[Cell] | None] = []
    for group in groups.values():
        cells = []
        for request, _ in group:
            spec = plan.resolve(plan.untrained(request))
            keys = plan.Keys(spec, store)
            stored = find(results, spec, keys.cell) if keys.known else None
            cells += [read_cell(results, stored)] if stored else []
        baselines.append(cells if len(cells) == len(group) else None)
    return summarise([[cell for _, cell in group] for group in groups.values()], baselines)


def _print_plan(specs: "list[RunSpec]", store: Any, results: Path, *, as_json: bool) -> None:
    from bench import plan
    from bench.run import check

    rows = []
    for spec in specs:
        check(spec)
        for stage, state in plan.states(spec, store, results):
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
        print(json_module.dumps({"plan": rows, "specs": [spec.model_dump(mode="json") for spec in specs]}, indent=1))
        return
    from bench.table import Table, show

    texts = [[str(value) for value in row.values()] for row in rows]
    columns = ["method", "fraction", "draw", "seed", "probe seed", "stage", "state"]
    show(Table(columns, texts, ["nothing was done (--dry-run)"]))


@app.command(name="list")
def list_(kind: Literal["methods", "datasets", "encoders", "recipes"], *, plugins: Plugins = None) -> None:
    """List what can be named: methods, datasets, encoders or recipes, one line each.

    Parameters
    ----------
    kind
        What to list.
    """
    from bench import registry
    from bench.table import Table, show

    if plugins is not None:
        registry.add_plugins(plugins)
    rows = []
    for name in registry.names(kind):
        about = {key.lower(): value for key, value in registry.describe(kind, name).items()}
        rows.append([name, *(str(about.get(key, "")) for key in ("summary", "paper", "cost"))])
    show(Table(["name", "what it is", "paper", "cost"], rows, words=4))


@app.command
def doctor(*, home: Home = Path(".bench"), results: Results = Path("results")) -> None:
    """Look at versions, known broken mixes, GPU, Slurm, disk and folders; say what mends what is wrong.

    Exit status 1 when something would keep `bench run` from working.
    """
    from bench.doctor import examine

    findings = examine(home, results)
    for finding in findings:
        print(f"{finding.state:<5} {finding.what}: {finding.text}")
        if finding.mend:
            print(f"      mend: {finding.mend}")
    sys.exit(1 if any(finding.state == "bad" for finding in findings) else 0)


def main(tokens: Sequence[str] | None = None) -> None:
    """Runs the command line; anything that a user can mend is one line and exit status 2."""
    if os.environ.get("WORLD_SIZE", "1") == "1":
        _main(tokens)
        return
    status: Any = 0
    try:
        _main(tokens)
    except SystemExit as ended:
        status = ended.code
    except BaseException:
        traceback.print_exc()
        status = 1
    end_process(status or 0)


def _main(tokens: Sequence[str] | None) -> None:
    # OpenMP's threads wait for each other by spinning, which beside other work starves the thread that is waited for.
    # A short spin costs up to a fifth alone and gains half or much more beside another training, depending on the
    # moment (tests/benchmarks/threads.py: 6.0 -> 4.9 and 1.5 -> 2.1 steps/s on 2 cores).
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    # Large pages: training on waveforms spends half its time on page faults otherwise (sample_cnn: 5.0 -> 3.6 s for 24
    # crops on one core).
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    try:
        rest, found = split_overrides(sys.argv[1:] if tokens is None else tokens)
        if found and rest[:1] not in _TAKE_SETTINGS:
            raise InputError(f"dotted settings belong to `bench run`, not to `bench {' '.join(rest[:1])}`")
        overrides.clear()
        overrides.update(found)
        with interruptible():
            app(rest, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        _fail(" ".join(str(error).split()))
    except InputError as error:
        _fail(str(error))
    except BrokenPipeError:
        # The reader has seen enough (`bench list methods | head`); what is left to flush would raise again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except LostProcessError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        from bench.store import explain

        explained = explain(error)
        if explained is None:
            raise
        _fail(str(explained))
    except KeyboardInterrupt:
        print("\nbench: interrupted; the same command goes on from what is stored", file=sys.stderr)
        sys.exit(130)


def _fail(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr)
    sys.exit(2)
