"""The commands on scores and subsets: `bench compare`, `bench rescore`, `bench subsets`."""

import json as json_module
from pathlib import Path
from typing import Literal

from cyclopts import App

from bench.cli.flags import Flag, Home, Plugins, Results, begin, fractions, labelled_sets, overrides
from bench.core.errors import InputError

subsets = App(
    name="subsets", help="Write labelled subsets to files, and take up files that others wrote."
)


def compare(
    *names: str,
    dataset: str | None = None,
    fraction: str | None = None,
    metric: str = "map_macro",
    alpha: float = 0.05,
    permutations: int = 10_000,
    results: Results = Path("results"),
    json: Flag = False,
) -> None:
    """Compare methods on the same test tracks, from stored results alone.

    For every pair: the paired difference with its interval, a permutation p-value, Holm's
    adjustment over all pairs, and the smallest difference that these test tracks could show. With
    several data sets: ranks and Nemenyi's critical difference. With several seeds or draws: which
    source of variance rules. Cells of other splits, tags or tracks are refused.

    Parameters
    ----------
    names
        Methods, or result files (.json). Behind a method may stand what to take of it:
        simclr,probe=mlp or vicreg,encoder=resnet (encoder, recipe, pretrain_dataset, probe, seed).
    dataset
        One data set; else all that are stored.
    fraction
        Fractions or numbers of labelled tracks, with commas; else all that are stored.
    metric
        Such as map_macro, roc_auc_macro, accuracy, f1_macro.
    alpha
        Level of the critical difference, and of the smallest difference that could be shown.
    permutations
        Number of permutations of each test.
    json
        Print one JSON document on standard output.
    """
    from bench.core.progress import say
    from bench.core.table import show
    from bench.report.compare import compare as compare_cells
    from bench.report.compare import select
    from bench.report.compare_tables import as_json, pairs_table, ranks_tables, variance_table

    if not 0 < alpha < 1:
        raise InputError(f"--alpha {alpha:g}: give a level between 0 and 1, such as 0.05")
    if permutations < 1:
        raise InputError(f"--permutations {permutations}: give 1 or more")
    entries, left_out = select(names, results, dataset, fractions(fraction) if fraction else [])
    for line in left_out:
        say(line)
    comparison = compare_cells(entries, metric, alpha, permutations)
    if json:
        print(json_module.dumps(as_json(comparison), indent=1, allow_nan=False))
        return
    show(pairs_table(comparison, alpha))
    for ranks in ranks_tables(comparison):
        print()
        show(ranks)
    print("\nwhat a single score depends on:")
    show(variance_table(comparison))


def rescore(
    *,
    resamples: int | None = None,
    by: Literal["track", "group"] | None = None,
    untagged: Literal["kept", "removed"] | None = None,
    confidence: float | None = None,
    home: Home = Path(".bench"),
    results: Results = Path("results"),
) -> None:
    """Score stored logits again: more resamples, resamples of groups, another convention.

    Nothing is trained. The new results stand beside the old ones; `bench compare` takes those with
    most resamples.

    Parameters
    ----------
    resamples
        Bootstrap resamples of the test tracks.
    by
        What is resampled: tracks, or whole groups (artists or albums).
    untagged
        Whether test tracks without a tag count in the first place; both are always reported.
    confidence
        Coverage of the intervals, such as 0.95.
    """
    from bench.core.progress import say
    from bench.core.store import Store, require_writable
    from bench.stages.rescore import rescore as score_again

    given = {"resamples": resamples, "by": by, "untagged": untagged, "confidence": confidence}
    settings = {name: value for name, value in given.items() if value is not None}
    settings |= overrides.get("score", {})
    if not settings:
        raise InputError("say what is to be scored otherwise, such as --resamples 5000")
    if not (results / "runs").is_dir():
        raise InputError(
            f"no results in {results}: `bench run` makes them, --results names another folder"
        )
    require_writable(results)
    done = left_out = 0
    for result, why in score_again(results, Store(home), settings):
        done += result is not None
        left_out += bool(why)
        if why:
            say(f"left out: {why}")
    print(f"{done} cells scored anew, {left_out} left out")


@subsets.command
def export(
    *,
    out: Path,
    fraction: str | None = None,
    draws: int | None = None,
    preset: Literal["deezer", "clmr"] | None = None,
    dataset: str = "midiband",
    recipe: str = "quick",
    home: Home = Path(".bench"),
    plugins: Plugins = None,
) -> None:
    """Write labelled subsets, one file each, named by their hash, with counts of every tag.

    Parameters
    ----------
    out
        Folder for the files.
    fraction
        Shares of the training tracks, or numbers of tracks, with commas.
    draws
        How many draws of each.
    preset
        Fractions, draws and scheme of a published work.
    dataset
        Name of `bench list datasets`, or a CSV.
    recipe
        Names the encoder, and so the sample rate at which the data set is prepared.
    """
    from bench.core.table import Table, show
    from bench.stages.subset_files import export as write

    begin(plugins)
    sets = labelled_sets(fraction, draws, preset, None, overrides, home)
    written = write(dataset, recipe, sets, overrides, home, out)
    rows = [
        [
            subset["hash"],
            f"{subset['fraction']:g}",
            str(subset["draw"]),
            str(len(subset["tracks"])),
            _spread(subset["positives"]),
        ]
        for subset in written
    ]
    columns = ["hash", "fraction", "draw", "tracks", "positives a tag (least, median, most)"]
    show(Table(columns, rows, words=1))
    print(
        f"\n{len(written)} files in {out}; use them: bench subsets import {out}/*.json, "
        "then bench run --subset HASH"
    )


@subsets.command(name="import")
def import_(
    *files: Path,
    dataset: str = "midiband",
    recipe: str = "quick",
    home: Home = Path(".bench"),
    plugins: Plugins = None,
) -> None:
    """Take up files of labelled tracks for `bench run --subset HASH`.

    Every track must be in the training split.

    Parameters
    ----------
    files
        Files that `bench subsets export` wrote, here or elsewhere.
    dataset
        The data set that they are subsets of.
    recipe
        Names the encoder, and so the sample rate at which the data set is prepared.
    """
    from bench.stages.subset_files import import_files

    begin(plugins)
    if not files:
        raise InputError("give one or more files that `bench subsets export` wrote")
    for path, name, tracks in import_files(files, dataset, recipe, overrides, home):
        print(f"{name}  {tracks} tracks  {path}")


def _spread(positives: dict[str, int]) -> str:
    """The least, the median and the most positives of a tag."""
    numbers = sorted(positives.values())
    return f"{numbers[0]} {numbers[len(numbers) // 2]} {numbers[-1]}"
