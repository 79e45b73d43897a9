"""The commands about data sets: `bench data list, info, fetch, prepare, verify, leaks, sample`."""

import json as json_module
from pathlib import Path
from typing import Any, Literal

from cyclopts import App

from bench.cli.flags import Flag, Home, Plugins, begin, overrides
from bench.core.errors import InputError

_SHOWN = 50  # rows of leaks in the terminal

data = App(name="data", help="Fetch, prepare and check data sets, and look for leaks between them.")


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
            one.name,
            one.facts["split_name"],
            f"{one.facts['sample_rate']} Hz",
            *_counts(one.facts),
            human(one.size),
        ]
        for one in shelved(Store(home))
    ]
    if here:
        print(f"\nprepared in {home}:")
        show(
            Table(
                ["from", "split", "rate", "train", "valid", "test", "left out", "disk"],
                here,
                words=2,
            )
        )


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
    files = files_of(_plugin(name))
    for file in files[:12]:
        size = human(file.bytes) if file.bytes else "size not published"
        print(
            f"  file      {file.name}  {size}, {file.checksum.partition(':')[0] or file.listed_in or 'no checksum'}"
        )
    if len(files) > 12:
        print(f"  and {len(files) - 12} files more")
    for split, counts in getattr(module, "PUBLISHED", {}).items():
        print(
            f"  published {split}: {', '.join(f'{number} {what}' for what, number in counts.items())}"
        )
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
    for note in download(_plugin(name), root, workers, keep_archives):
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

    Goes on where a killed one ended. Parameters
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
    dataset, store = _plugin(name), Store(home)
    require_writable(home)
    if root is not None:
        register(dataset, root, store)
    found = _prepared(dataset, store, sample_rate, recipe, workers, on_bad)
    facts = found.facts
    counts = ", ".join(f"{number} {split}" for split, number in facts["tracks"].items())
    print(
        f"{name}: {len(found.tracks)} tracks ({counts}) at {facts['sample_rate']} Hz, {len(facts['left_out'])} left out"
    )
    print(
        f"  split {facts['split_name']}, {len(facts['tags'])} {facts['kind']}, data {facts['data_hash']}"
    )


@data.command
def verify(
    name: str, *, sample_rate: int | None = None, recipe: str = "quick", home: Home = Path(".bench"),
    plugins: Plugins = None,
) -> None:  # fmt: skip
    """Compare a prepared data set with the published counts, and read it through.

    Exit status 1 where it differs. Parameters
    ----------
    name
        Name of `bench data list`, or a CSV.
    sample_rate
        At which it was prepared, in Hz; else that of the recipe's encoder.
    recipe
        Names the encoder.
    """
    import sys

    from bench.core import registry
    from bench.core.store import Store
    from bench.core.table import Table, show
    from bench.settings.specs import is_csv
    from bench.stages.data_tools import verify as check

    begin(plugins)
    dataset = _plugin(name)
    found = _prepared(dataset, Store(home), sample_rate, recipe)
    rows = check(dataset, found)
    source = "" if is_csv(name) else registry.describe("datasets", name).get("PUBLISHED_IN", "")
    notes = [f"split {found.facts['split_name']}, data {found.facts['data_hash']}"]
    notes += [f"expected: {source}"] if source else []
    notes += [f"left out: {line}" for line in found.facts["left_out"][:10]]
    table = [
        [what, there, expected, "" if right else "differs"] for what, there, expected, right in rows
    ]
    show(Table(["what", "found", "expected", ""], table, notes, words=1))
    sys.exit(0 if all(right for *_, right in rows) else 1)


@data.command
def leaks(
    first: str,
    second: str,
    *,
    out: Path | None = None,
    artists: Flag = False,
    sample_rate: int | None = None,
    recipe: str = "quick",
    home: Home = Path(".bench"),
    plugins: Plugins = None,
    json: Flag = False,
) -> None:
    """Find what of a pretraining set stands in another set: the same audio, near-duplicates, the same artists.

    What stands in the other's valid and test splits makes its scores too high: the file of --out
    names those tracks.

    Parameters
    ----------
    first
        The data set pretrained on: a name or a CSV.
    second
        The data set that is probed. Its settings are --dataset.split and so on, the first one's
        --pretrain-dataset.split.
    out
        Writes a file of the tracks to leave out, for `bench run --exclude FILE`, and a CSV of all
        leaks beside it.
    artists
        Leave out tracks by artists of the second set's valid and test splits as well.
    sample_rate
        At which both are prepared, in Hz; else that of the recipe's encoder.
    recipe
        Names the encoder.
    json
        Print one JSON document on standard output.
    """
    from bench.core.progress import say
    from bench.core.store import Store, require_writable
    from bench.core.table import Table, show
    from bench.data.leaks import AUDIO_KINDS, KINDS, exclusions, write_exclusions
    from bench.results import dataset_name
    from bench.stages.data_tools import held_out
    from bench.stages.data_tools import leaks as find

    begin(plugins)
    store = Store(home)
    if out is not None:
        require_writable(out.parent)
    if out is not None and out.suffix.lower() == ".csv":
        raise InputError(
            f"--out {out}: give a name such as leaks.json; the CSV of all leaks goes beside it"
        )
    sides = _plugin(first, "pretrain_dataset"), _plugin(second)
    found = find(*(_prepared(side, store, sample_rate, recipe) for side in sides))
    kinds, harmful = KINDS if artists else AUDIO_KINDS, held_out(found)
    if out is not None:
        write_exclusions(out, harmful, kinds)
        found.as_table().to_csv(out.with_suffix(".csv"), index=False)
    excluded = exclusions(harmful, kinds)
    if json:
        rows = json_module.loads(found.as_table().to_json(orient="records"))
        document = {
            "leaks": rows,
            "excluded": excluded,
            "first": found.first,
            "second": found.second,
        }
        print(json_module.dumps(document, indent=1))
    else:
        one, other = dataset_name(first), dataset_name(second)
        shown = [row for row in found.rows if row.kind in AUDIO_KINDS]
        table = [
            [
                row.first,
                row.second,
                row.second_split,
                row.kind,
                _number(row.offset_seconds),
                _number(row.matched_seconds),
            ]
            for row in sorted(shown, key=lambda row: row.kind != "near-duplicate")[:_SHOWN]
        ]
        notes = [f"{len(shown) - _SHOWN} more rows: --out FILE writes all of them to a CSV"] * (
            len(shown) > _SHOWN
        )
        for title, some in (("all", found), ("valid and test", harmful)):
            counts = ", ".join(f"{number} {kind}" for kind, number in some.counts().items())
            notes.append(f"tracks of {one} that stand in {title} of {other}: {counts}")
        notes += (
            [f"{found.too_short} tracks are too short for near-duplicates"]
            if found.too_short
            else []
        )
        show(Table([one, other, "split", "kind", "offset s", "matched s"], table, notes, words=4))
    if out is not None:
        say(f"{len(excluded)} tracks to leave out in {out}: bench run ... --exclude {out}")


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
    number = write(
        _prepared(_plugin(name), Store(home), sample_rate, recipe), tracks, seconds, seed, out
    )
    print(
        f"{number} tracks in {out}; use them: bench run --method vicreg --dataset {out / 'tracks.csv'}"
    )


def _plugin(name: str, section: str = "dataset") -> Any:
    """A data set with its dotted settings of the command line."""
    from bench.core import registry
    from bench.settings.specs import PlugIn, is_csv

    if not is_csv(name):
        registry.find("datasets", name)
    unknown = set(overrides) - {"dataset", section}
    if unknown:
        raise InputError(
            f"{sorted(unknown)[0]}: only settings of the data set belong here, such as --dataset.split"
        )
    settings = overrides.get(section, {})
    if "name" in settings:
        raise InputError(f"{section}.name is no setting: the name is given without a flag")
    return PlugIn(name=name, **settings)


def _prepared(
    dataset: Any, store: Any, sample_rate: int | None, recipe: str, workers: int | None = None,
    on_bad: Literal["report", "fail"] = "report",
) -> Any:  # fmt: skip
    from bench.settings.recipes import read_recipe
    from bench.settings.resolve import DEFAULT_ENCODER
    from bench.settings.specs import PlugIn
    from bench.settings.traits import sample_rate as rate_of
    from bench.stages.prepare.stage import dataset_settings, prepared

    dataset_settings(dataset, "dataset")
    encoder = PlugIn(name=read_recipe(recipe).get("encoder", {}).get("name", DEFAULT_ENCODER))
    rate = sample_rate or rate_of(encoder)
    return prepared(dataset, rate, store, workers=workers, on_bad=on_bad)


def _counts(facts: dict[str, Any]) -> list[str]:
    return [
        *(str(facts["tracks"][split]) for split in ("train", "valid", "test")),
        str(len(facts["left_out"])),
    ]


def _number(value: float) -> str:
    return "" if value != value else f"{value:.1f}"
