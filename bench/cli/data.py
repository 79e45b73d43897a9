"""The commands on data sets: `bench data list, info, fetch, prepare, verify, leaks, sample`."""

import sys
from pathlib import Path
from typing import Any, Literal

from cyclopts import App

from bench.cli.flags import Home, Plugins, begin
from bench.cli.leaks import leaks
from bench.cli.prepared import named_dataset, prepared_dataset
from bench.core.errors import InputError

_FILES = 12  # the most files that `bench data info` lists

data = App(name="data", help="Fetch, prepare and check data sets, and look for leaks between them.")
data.command(leaks)


@data.command(name="list")
def list_(*, home: Home = Path(".bench"), plugins: Plugins = None) -> None:
    """List the data sets that are known, and what is prepared of them here."""
    from bench.core import registry
    from bench.core.store import Store
    from bench.core.table import Table, show
    from bench.data.fetch.disk import human
    from bench.stages.data_tools import shelved

    begin(plugins)
    rows = []
    for name in registry.names("datasets"):
        about = registry.describe("datasets", name)
        rows.append([name, *(str(about.get(key, "")) for key in ("COST", "LICENCE", "HOMEPAGE"))])
    show(Table(["name", "size", "licence", "homepage"], rows, words=4))
    here = [
        [
            product.name,
            product.facts["split_name"],
            f"{product.facts['sample_rate']} Hz",
            *_counts(product.facts),
            human(product.size),
        ]
        for product in shelved(Store(home))
    ]
    if here:
        print(f"\nprepared in {home}:")
        columns = ["from", "split", "rate", "train", "valid", "test", "left out", "disk"]
        show(Table(columns, here, words=2))


@data.command
def info(name: str, *, plugins: Plugins = None) -> None:
    """What a data set is: papers, licence, files to download, published counts.

    Parameters
    ----------
    name
        Name of `bench data list`.
    """
    from bench.core import registry
    from bench.data.fetch.disk import human
    from bench.stages.data_tools import files_of

    begin(plugins)
    about = registry.describe("datasets", name)
    module = registry.load("datasets", name)
    print(f"{name}: {about.get('SUMMARY', '')}".rstrip(": "))
    for key in ("PAPER", "HOMEPAGE", "LICENCE", "CITATION", "COST"):
        if about.get(key):
            print(f"  {key.lower():<9} {about[key]}")
    fields = module.Settings.model_fields
    for setting, field in fields.items():
        print(f"  --dataset.{setting} ({field.default})")
    files = files_of(named_dataset(name))
    for file in files[:_FILES]:
        size = human(file.bytes) if file.bytes else "size not published"
        checked = file.checksum.partition(":")[0] or file.listed_in or "no checksum"
        print(f"  file      {file.name}  {size}, {checked}")
    if len(files) > _FILES:
        print(f"  and {len(files) - _FILES} files more")
    for split, counts in getattr(module, "PUBLISHED", {}).items():
        listed = ", ".join(f"{number} {what}" for what, number in counts.items())
        print(f"  published {split}: {listed}")
    if about.get("INSTRUCTIONS"):
        print(f"  what to do: {' '.join(str(about['INSTRUCTIONS']).split())}")


@data.command
def fetch(
    name: str, *, root: Path, workers: int = 4, keep_archives: bool = True, plugins: Plugins = None
) -> None:
    """Download what is openly downloadable of a data set; resumes, checks checksums, unpacks.

    Parameters
    ----------
    name
        Name of `bench data list`; its settings choose the files, such as --dataset.size medium.
    root
        Folder for the files.
    workers
        Files that arrive at the same time.
    keep_archives
        Keep archives when they are unpacked.
    """
    from bench.core.progress import say
    from bench.stages.data_tools import fetch as download

    begin(plugins)
    if workers < 1:
        raise InputError(f"--workers {workers}: give 1 or more")
    for note in download(named_dataset(name), root, workers, keep_archives):
        say(note)
    print(f"{name} is in {root}; next: bench data prepare {name} --root {root}")


@data.command
def prepare(
    name: str,
    *,
    root: Path | None = None,
    sample_rate: int | None = None,
    recipe: str = "quick",
    workers: int | None = None,
    on_bad: Literal["report", "fail"] = "report",
    home: Home = Path(".bench"),
    plugins: Plugins = None,
) -> None:
    """Decode and resample a data set once, for all runs; says what cannot be used.

    Goes on where a killed one ended.

    Parameters
    ----------
    name
        Name of `bench data list`, or a CSV. Settings such as --dataset.split pons choose split and
        task.
    root
        Folder with the data set's own files. When files were added there, say it again: only those
        are decoded.
    sample_rate
        In Hz; else that of the recipe's encoder.
    recipe
        Names the encoder.
    workers
        Files decoded at the same time; else as many as there are cores.
    on_bad
        What to do with files that cannot be used: report leaves them out and lists them, fail stops
        at the first.
    """
    from bench.core.store import Store, require_writable
    from bench.stages.prepare.stage import register

    begin(plugins)
    if sample_rate is not None and not 1000 <= sample_rate <= 384_000:
        raise InputError(
            f"--sample-rate {sample_rate}: give 1000 to 384000 Hz, such as 16000 or 22050"
        )
    if workers is not None and workers < 1:
        raise InputError(f"--workers {workers}: give 1 or more")
    dataset, store = named_dataset(name), Store(home)
    require_writable(home)
    if root is not None:
        register(dataset, root, store)
    product = prepared_dataset(dataset, store, sample_rate, recipe, workers, on_bad)
    facts = product.facts
    counts = ", ".join(f"{number} {split}" for split, number in facts["tracks"].items())
    print(
        f"{name}: {len(product.tracks)} tracks ({counts}) at {facts['sample_rate']} Hz, "
        f"{len(facts['left_out'])} left out"
    )
    print(
        f"  split {facts['split_name']}, {len(facts['tags'])} {facts['kind']}, "
        f"data {facts['data_hash']}"
    )


@data.command
def verify(
    name: str,
    *,
    sample_rate: int | None = None,
    recipe: str = "quick",
    home: Home = Path(".bench"),
    plugins: Plugins = None,
) -> None:
    """Compare a prepared data set with the published counts, and read it through.

    Exit status 1 where it differs.

    Parameters
    ----------
    name
        Name of `bench data list`, or a CSV.
    sample_rate
        At which it was prepared, in Hz; else that of the recipe's encoder.
    recipe
        Names the encoder.
    """
    from bench.core import registry
    from bench.core.store import Store
    from bench.core.table import Table, show
    from bench.settings.specs import is_csv
    from bench.stages.data_tools import verify as check

    begin(plugins)
    dataset, store = named_dataset(name), Store(home, as_it_is=True)
    try:
        product = prepared_dataset(dataset, store, sample_rate, recipe)
    except (OSError, ValueError, KeyError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(
            f"what is prepared of {name} is damaged ({reason}): `bench data prepare` makes it again"
        ) from error
    rows = check(dataset, product, store)
    source = "" if is_csv(name) else registry.describe("datasets", name).get("PUBLISHED_IN", "")
    notes = [f"split {product.facts['split_name']}, data {product.facts['data_hash']}"]
    notes += [f"expected: {source}"] if source else []
    notes += [f"left out: {line}" for line in product.facts["left_out"][:10]]
    table = [
        [what, there, expected, "" if right else "differs"] for what, there, expected, right in rows
    ]
    show(Table(["what", "found", "expected", ""], table, notes, words=1))
    sys.exit(0 if all(right for *_, right in rows) else 1)


@data.command
def sample(
    name: str,
    *,
    out: Path,
    tracks: int = 300,
    seconds: float = 0.0,
    seed: int = 0,
    sample_rate: int | None = None,
    recipe: str = "quick",
    home: Home = Path(".bench"),
    plugins: Plugins = None,
) -> None:
    """Write a few hundred tracks, balanced over tags, with a CSV: a data set for a laptop.

    Parameters
    ----------
    name
        Name of `bench data list`, or a CSV.
    out
        Folder for `tracks.csv` and the audio.
    tracks
        How many.
    seconds
        Of each, from its middle; 0 for all of it.
    seed
        Of the draw.
    sample_rate
        At which the data set is prepared, in Hz; else that of the recipe's encoder.
    recipe
        Names the encoder.
    """
    from bench.core.store import Store
    from bench.stages.data_tools import sample as write

    begin(plugins)
    if not 0 <= seconds < 1e6:
        raise InputError(f"--seconds {seconds:g}: give 0 or more")
    product = prepared_dataset(named_dataset(name), Store(home), sample_rate, recipe)
    number = write(product, tracks, seconds, seed, out)
    print(
        f"{number} tracks in {out}; use them: "
        f"bench run --method vicreg --dataset {out / 'tracks.csv'}"
    )


def _counts(facts: dict[str, Any]) -> list[str]:
    """Number of tracks of each split, and of those left out, as text."""
    return [
        *(str(facts["tracks"][split]) for split in ("train", "valid", "test")),
        str(len(facts["left_out"])),
    ]
